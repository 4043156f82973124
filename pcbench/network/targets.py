"""What each PCoder predicts: the layer below, what goes into its own module, or another layer that it names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from torch import nn

from pcbench.network.configuration import INPUT, NetworkConfiguration


@dataclass(frozen=True)
class Spot:
    """Where in a backbone a value is that a PCoder predicts, though it is no PCoder's representation."""

    path: str
    """The name of a module."""
    entering: bool
    """Whether it is what goes into the module, not what comes out of it."""


@dataclass(frozen=True)
class Targets:
    """Which value of a pass each PCoder predicts.

    The values are e_0, e_1 .. e_N, and after them those of the backbone that are at a `Spot`. All are those of the
    same timestep as the representation that predicts them.
    """

    of: tuple[int, ...]
    """For each PCoder, from the first to the last, the number of the value."""

    @classmethod
    def below(cls, count: int) -> Targets:
        """Return what is usual: PCoder n predicts e_{n-1}."""
        return cls(tuple(range(count)))

    @property
    def feedback(self) -> tuple[int | None, ...]:
        """For each PCoder, counted from 0, the first one above it that predicts its representation; None: none does."""
        return tuple(
            next((above for above in range(index + 1, len(self.of)) if self.of[above] == index + 1), None)
            for index in range(len(self.of))
        )

    @property
    def image(self) -> int | None:
        """The first PCoder, counted from 0, that predicts e_0; None where none does."""
        return self.of.index(0) if 0 in self.of else None


def read_targets(configuration: NetworkConfiguration, modules: Mapping[str, nn.Module]) -> list[int | Spot]:
    """Return what each PCoder predicts: the number of a representation below, or a spot in the backbone.

    Args:
        configuration: Its PCoders' modules are among `modules`.
        modules: Every module of the backbone under all of its names.

    Raises:
        ConfigurationError: A PCoder is to predict itself, one that comes later, or a module that there is not.
    """
    pcoders = {id(modules[pcoder.path]): index for index, pcoder in enumerate(configuration.table.pcoders)}
    found: list[int | Spot] = []
    for index, pcoder in enumerate(configuration.table.pcoders):
        path = pcoder.predicted_path
        if pcoder.predicts is None or path is None:
            found.append(index if pcoder.predicts is None else Spot(pcoder.path, entering=True))
            continue
        if path not in modules:
            problem = f"{no_such_module(path, modules)}; '{INPUT}' is what goes into the PCoder's own"
            raise configuration.problem(index, f"predicts = {pcoder.predicts!r}: {problem}")
        other = pcoders.get(id(modules[path]))
        if other is None:
            found.append(Spot(path, entering=False))
        elif other < index:
            found.append(other + 1)
        else:
            raise configuration.problem(index, _too_late(pcoder.predicts, itself=other == index))
    return found


def too_late(predicts: str) -> str:
    """Return what a configuration's message says of a layer that is not there yet when the PCoder predicts it."""
    return _too_late(predicts, itself=False)


def _too_late(predicts: str, *, itself: bool) -> str:
    why = "that is the PCoder itself" if itself else "that comes after the PCoder's own module"
    return f"predicts = {predicts!r}: {why}; name a layer before it, or '{INPUT}' for what goes into its module"


def no_such_module(path: str, modules: Mapping[str, nn.Module]) -> str:
    """Return what a configuration's message says of a module that the backbone does not have: those near it."""
    parent = path
    while parent and parent not in modules:
        parent = parent.rpartition(".")[0]
    prefix = f"{parent}." if parent else ""
    former = re.fullmatch(r"act(\d+)", path.removeprefix(prefix))
    if former is not None and f"{prefix}bn{former.group(1)}" in modules:
        return (
            f"the backbone has no such module; in today's timm '{prefix}bn{former.group(1)}' holds that activation: "
            "name it, as pefficientnet_b0_timm of the zoo does"
        )
    children = [prefix + name for name, _ in modules[parent].named_children()]
    return f"the backbone has no such module; {repr(parent) if parent else 'it'} holds {', '.join(children) or 'none'}"
