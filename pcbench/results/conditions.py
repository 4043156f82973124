"""A condition: what was done to images. The same value goes from the plan to the outcomes, the metrics and figures."""

from __future__ import annotations

import dataclasses
import re

from pcbench.names import IN_PATHS, fault_among

CORRUPTED = ("corruption", "noise")
"""The kinds of conditions that have a severity: made to the pixels, or added to the network's own input."""

RETRIED = "_retried"
"""What the name of an attack ends with that is the second attempt of another (`pcbench.attacks.retry`)."""


def slug(name: str) -> str:
    """Return a name as it may stand in the name of a file or folder."""
    return re.sub(r"[^\w.+-]+", "-", name)


@dataclasses.dataclass(frozen=True)
class Condition:
    """What was done to the images, apart from who is asked: the columns that are the same in a block of rows."""

    suite: str
    """Name of the suite."""
    kind: str
    """``"clean"``, ``"corruption"``, ``"noise"`` or ``"attack"``."""
    name: str
    """Name of the corruption or attack; ``"clean"`` for clean images."""
    severity: int | None = None
    """1 to 5 for corruptions."""
    norm: str | None = None
    """Norm of an attack's budget, such as ``"linf"``."""
    epsilon: float | None = None
    """An attack's budget in [0,1] pixel units, or the level of a noise on e_0 (see `input_noise_level`)."""
    targeted: bool | None = None
    """Whether an attack aims at a class."""
    gradient: str | None = None
    """The mode of the gradient that an attack takes, of `pcbench.network.gradient`; none where it uses no gradient."""
    attacked_timestep: int | None = None
    """The timestep whose loss an attack takes."""

    def __post_init__(self) -> None:
        for what in IN_PATHS:
            fault = fault_among([getattr(self, what)])
            if fault is not None:
                raise ValueError(f"{what}: {fault}")

    @property
    def path(self) -> str:
        """Its path in a folder of tables, without an ending: ``digits-c/fog-3``, ``linf/pgd-t8``."""
        suite, name = slug(self.suite), slug(self.name)
        if self.severity is not None:
            return f"{suite}/{name}-{self.severity}"
        if self.attacked_timestep is not None:
            return f"{suite}/{name}-t{self.attacked_timestep}"
        return f"{suite}/{name}"

    @property
    def title(self) -> str:
        """What a progress bar and messages call it."""
        if self.severity is not None:
            return f"{self.suite}: {self.name} {self.severity}"
        if self.attacked_timestep is not None:
            return f"{self.suite}: {self.name}, t = {self.attacked_timestep}"
        return f"{self.suite}: {self.name}{', all t' if self.kind == 'attack' else ''}"
