"""One piece of work: a condition (or an attack on one timestep) that becomes one file of outcomes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Literal, Protocol

import pyarrow as pa


class Meter(Protocol):
    """What a piece of work tells on the way."""

    def step(self, work: float, images: int) -> None:
        """Count work, in passes of one image through one timestep of the network, and images that are done."""
        ...

    def wait(self, waited: float, elapsed: float) -> None:
        """Count the seconds that the network waited for images, out of those that passed."""
        ...


@dataclasses.dataclass(frozen=True)
class Unit:
    """A piece of work that is done whole or not at all.

    Attributes:
        path: Its file in the folder of its table, without the ending.
        title: What the progress bar calls it.
        passes: Its estimated work, in passes of one image through one timestep of the network.
        compute: Does it, tells the meter of the work on the way, and gives rows.
        table: What the rows are, and the folder of their file.
    """

    path: str
    title: str
    passes: float
    compute: Callable[[Meter], pa.Table]
    table: Literal["outcomes", "representations"] = "outcomes"
