"""One piece of work: a condition (or an attack on one timestep) that becomes one file of outcomes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pyarrow as pa

Step = Callable[[float, int], None]


@dataclasses.dataclass(frozen=True)
class Unit:
    """A piece of work that is done whole or not at all.

    Attributes:
        path: Its file under `outcomes/`, without the ending.
        title: What the progress bar calls it.
        passes: Its estimated work, in passes of one image through one timestep of the network.
        compute: Does it. Takes a function that is told of the passes and images done on the way, and gives rows.
    """

    path: str
    title: str
    passes: float
    compute: Callable[[Step], pa.Table]
