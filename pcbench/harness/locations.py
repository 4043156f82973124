"""Where things lie: paths of images, weights and code. It can change no number, so it is not in a run's key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from pcbench.attacks.definitions import AttackSuite
from pcbench.corruptions.definitions import CorruptionSuite
from pcbench.errors import UsageError
from pcbench.harness.given_suites import given_definitions
from pcbench.harness.request import RunOptions
from pcbench.network.own_modules import check_network


@dataclass(frozen=True)
class Locations:
    """Where a worker finds what a run's description names."""

    model: str | None
    """The model's name, ``"module:function"``, or path of a configuration; None for a Python object."""
    device: str = "cpu"
    """Where the network computes: ``"cpu"``, ``"cuda"``, ``"cuda:1"``."""
    backbone_weights: Path | None = None
    """File of the backbone's weights."""
    configuration: Path | None = None
    """File of the configuration in place of the model's own."""
    weights: Path | None = None
    """File of the predictors' weights."""
    data: str | None = None
    """The data source with its path; None for a Python object."""
    corrupted: Path | None = None
    """Folder of published corrupted files."""
    baseline: Path | None = None
    """File of the baseline that the user gave."""
    adversarials: Path | None = None
    """Folder of saved adversarial images."""
    suites: tuple[tuple[str, Path], ...] = ()
    """The folder of each suite of the catalogue or of the user's own, by its name."""

    def suite(self, name: str) -> Path:
        """Return a suite's folder."""
        return dict(self.suites)[name]


@dataclass(frozen=True)
class Objects:
    """What a user gave as Python objects, which cannot be handed to another process."""

    model: nn.Module | None = None
    """A network."""
    data: Any = None
    """An object with images and labels."""
    suites: Mapping[str, AttackSuite | CorruptionSuite] = field(
        default_factory=dict[str, AttackSuite | CorruptionSuite]
    )
    """What `attacks` and `corruptions` give, as suites by name."""

    @property
    def what(self) -> tuple[str, str] | None:
        """What there is in words, and in which form every worker can open the like; None where there is nothing."""
        if self.model is not None:
            return "the model is an object of Python", 'model="module:function"'
        if self.data is not None:
            return "the data is an object of Python", 'data="imagefolder:PATH"'
        for suite in self.suites.values():
            kind = "attacks" if isinstance(suite, AttackSuite) else "corruptions"
            return f"what `{kind}` names is measured by one process", f"suites={kind}/mine, the folder of a suite"
        return None

    def __bool__(self) -> bool:
        """Whether there is one."""
        return self.what is not None

    def refuse_workers(self, workers: int | str, engine: str) -> None:
        """Refuse to have other processes work on Python objects.

        Args:
            workers: How many work; ``"auto"`` is one, where there is an object.
            engine: Where they work; one worker of the engine ``"local"`` is this process.

        Raises:
            UsageError: There is an object, and a worker in another process.
        """
        if (engine == "local" and workers in (1, "auto")) or self.what is None:
            return
        what, form = self.what
        alone = "workers=1" if engine == "local" else "engine='local' and workers=1"
        raise UsageError(f"{what}: use {alone}, or give {form}, which every worker can open by itself")


def objects_of(request: RunOptions) -> Objects:
    """Return what a request holds as Python objects."""
    data = None if isinstance(request["data"], str) else request["data"]
    return Objects(_own_network(request["model"]), data, given_definitions(request))


def _own_network(model: object) -> torch.nn.Module | None:
    """Return the network that a user gave as a Python object; None for a name."""
    check_network(model)
    return model if isinstance(model, torch.nn.Module) else None


def locations_of(request: RunOptions, device: str) -> Locations:
    """Return the paths that a request names, except those of images and suites."""

    def path(value: Path | str | None) -> Path | None:
        return None if value is None else Path(value).absolute()

    return Locations(
        model=request["model"] if isinstance(request["model"], str) else None,
        device=device,
        backbone_weights=path(request["backbone_weights"]),
        configuration=path(request["configuration"]),
        weights=path(request["weights"]),
        corrupted=path(request["corrupted"]),
        baseline=path(request["baseline"]),
        adversarials=path(request["adversarials"]),
    )
