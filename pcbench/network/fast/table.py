"""For which work each fast form is used; the rows are tried in this order.

`benchmarks/choices.py` measures where each bound lies. This file is code: a change of it changes the key of runs.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class FastForm:
    """A fast form of an operation, and the bounds of the work for which it is the faster one."""

    operation: str
    """What is computed."""
    form: str
    """The fast form."""
    least: dict[str, int] = field(default_factory=dict[str, int])
    """Least values of `LayerWork.measures`."""
    most: dict[str, int] = field(default_factory=dict[str, int])
    """Most values of `LayerWork.measures`."""
    dtypes: tuple[str, ...] = ("float32",)
    """For which number formats; all where there is none."""


ROWS = (
    FastForm("transposed convolution", "tiles", least={"kernel": 8, "fewest_channels": 32, "side": 7}),
    FastForm("transposed convolution", "phases", most={"most_channels": 16}, dtypes=()),
    FastForm(
        "learning transposed convolution", "tiles", least={"kernel": 8, "fewest_channels": 32, "side": 7, "tiles": 96}
    ),
    FastForm(
        "learning transposed convolution", "phases", least={"pixels": 8192}, most={"most_channels": 16}, dtypes=()
    ),
)
