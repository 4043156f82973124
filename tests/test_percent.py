"""Oracle: the standard library's exact decimals, and the package's source for the rule that there is one place."""

from __future__ import annotations

import re
from decimal import ROUND_HALF_EVEN, Decimal
from pathlib import Path

import numpy as np
import pytest

import pcbench
from pcbench.percent import decimal, interval, percent, points, short_percent, short_points, signed

PACKAGE = Path(pcbench.__file__).parent


def exact(value: float, digits: int) -> Decimal:
    return Decimal(value).quantize(Decimal(10) ** -digits, ROUND_HALF_EVEN)


@pytest.mark.parametrize("digits", [0, 1, 3])
def test_numbers_are_rounded_exactly_and_keep_their_sign(digits: int) -> None:
    for value in np.random.default_rng(digits).normal(scale=2, size=300).round(4).tolist():
        expected = exact(value, digits)
        assert Decimal(decimal(value, digits).replace("−", "-")) == expected
        assert Decimal(signed(value, digits).replace("−", "-")) == expected
        assert signed(value, digits)[0] == ("0" if expected == 0 else "+" if value > 0 else "−")


def test_every_form_of_a_share() -> None:
    assert percent(0.9625) == "96.2"
    assert percent(np.float64(1)) == "100.0"
    assert percent(0.9, 0) == "90"
    assert [points(0.012), points(-0.012), points(0.0004), points(-0.0004)] == ["+1.2", "−1.2", "0.0", "0.0"]
    assert interval(0.5, 0.75) == "[50.0, 75.0]"
    assert interval(-0.01, 0.02, points) == "[−1.0, +2.0]"
    assert [short_percent(share) for share in (0.00012, 0.0345, 0.5, 0.999)] == ["0.012", "3.5", "50", "100"]
    assert [short_points(drop) for drop in (0.01, 0.0005, 0.12345, -0.005, -1e-9)] == ["1", "0.05", "12.3", "−0.5", "0"]


def test_percent_is_printed_in_one_place() -> None:
    own = re.compile(r"\{100 \* |\* 100:|:\.\d%\}|%\.1f")
    sources = [path for kind in ("py", "html") for path in PACKAGE.rglob(f"*.{kind}") if path.name != "percent.py"]
    assert len(sources) > 100
    assert [path.name for path in sources if own.search(path.read_text(encoding="utf-8"))] == []
