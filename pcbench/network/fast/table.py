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
    FastForm("transposed convolution", "tiles", least={"kernel": 8, "fewest_channels": 32, "row_products": 25_000}),
    FastForm("transposed convolution", "phases", most={"most_channels": 16}, dtypes=()),
    FastForm(
        "learning transposed convolution", "tiles", least={"kernel": 8, "fewest_channels": 32, "side": 7, "tiles": 96}
    ),
    FastForm(
        "learning transposed convolution", "phases", least={"pixels": 8192}, most={"most_channels": 16}, dtypes=()
    ),
    # Of a convolution's input; `given` channels are those of its output, `made` those of its input.
    FastForm("input gradient", "phases", most={"given_channels": 8}),
    FastForm(
        "strided input gradient",
        "phases",
        least={"pixels": 2048},
        most={"stride": 2, "made_channels": 8, "given_channels": 32},
    ),
    FastForm(
        "strided input gradient",
        "phases",
        least={"pixels": 2048},
        most={"stride": 2, "made_channels": 16, "given_channels": 8},
    ),
    FastForm("batch norm gradient", "scaled", least={"numbers": 32768}),
    # PyTorch uses its kernel for channels beside each other, whose bits are these, up to this size.
    FastForm("upsampling", "channels last", most={"made_rows_and_columns": 128}),
    FastForm("upsampling gradient", "sums and a matrix", least={"doubled": 1}, most={"side": 28}),
    FastForm("upsampling gradient", "sums", least={"doubled": 1, "side": 29}),
    FastForm("upsampling gradient", "matrices", most={"side": 56}),
    # From t = 1 on; channels are those of the representations, the side is the image's.
    FastForm("timesteps", "channels last", least={"side": 160, "fewest_channels": 16}),
)
