"""What the making of a finished folder is told: where the parts are, and what only the run itself knows."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from pcbench.harness.blocks import Unit
from pcbench.harness.engines.base import Failure
from pcbench.results.parts import Part


@dataclasses.dataclass(frozen=True)
class Completion:
    """What only the run itself knows."""

    started: str
    """When it was started or resumed."""
    seconds: float
    """How long that took."""
    waited: float | None
    """The share of the time that the network waited for images."""
    failures: Sequence[tuple[Unit, Failure]]
    """The units that could not be done."""
    origin: Mapping[str, Any]
    """The command and its origin, as the manifest holds them."""
    locations: str
    """What `locations.toml` says."""
    marks: Sequence[str] = ()
    """Notes that mark the run, because what it is made of was changed."""


class Store(Protocol):
    """Where the parts of a run lie: its workspace, or the folders of its shards."""

    def read_part(self, unit: str) -> Part:
        """Read the part of the unit of this path.

        Raises:
            PartError: It is missing, damaged, or belongs to another run or unit.
        """
        ...
