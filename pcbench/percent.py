"""How numbers are printed: shares in percent, their intervals, and differences in percentage points; one form each.

Terminal, page, figures, comparisons, the gate and exports all print by these functions, so that a number looks the
same wherever it is shown.
"""

from __future__ import annotations

from collections.abc import Callable

_MINUS = "−"


def in_percent(ratio: float) -> float:
    """Return a share or ratio in percent: 1.0 is 100."""
    return 100 * float(ratio)


def decimal(value: float, digits: int = 1) -> str:
    """Return a number with fixed decimals; a rounded zero is printed without a sign."""
    return _without_signed_zero(f"{value:.{digits}f}")


def signed(value: float, digits: int = 1) -> str:
    """Return a difference with its sign and fixed decimals; a rounded zero is printed without a sign."""
    return _without_signed_zero(f"{value:+.{digits}f}")


def percent(ratio: float, digits: int = 1) -> str:
    """Return a share or ratio in percent, for where the percent sign is in a heading: 0.9625 is "96.2"."""
    return decimal(in_percent(ratio), digits)


def points(difference: float) -> str:
    """Return a difference of two shares in percentage points, with its sign: 0.012 is "+1.2"."""
    return signed(in_percent(difference))


def short_percent(share: float) -> str:
    """Return a small share in percent by two leading digits, since one decimal would hide it: 0.00012 is "0.012"."""
    value = in_percent(share)
    return f"{value:.2g}" if value < 10 else decimal(value, 0)


def short_points(drop: float) -> str:
    """Return a drop that is tolerated or was found, in percentage points: at most two decimals, none that are zero."""
    # Adding zero turns a negative zero into a plain one.
    return f"{round(in_percent(drop), 2) + 0:.3g}".replace("-", _MINUS)


def in_points(drop: float) -> str:
    """Return the same with its unit: "1 point", "0.5 points"."""
    number = short_points(drop)
    return f"{number} point" + ("" if number == "1" else "s")


def interval(low: float, high: float, form: Callable[[float], str] = percent) -> str:
    """Return an interval in square brackets, its ends printed by `form`."""
    return f"[{form(low)}, {form(high)}]"


def _without_signed_zero(text: str) -> str:
    if not text.strip("+-0."):
        return text.lstrip("+-")
    return text.replace("-", _MINUS)


def shown_bytes(amount: float) -> str:
    """Return a number of bytes in words."""
    for unit, word in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB")):
        if amount >= unit:
            return f"{amount / unit:.1f} {word}"
    return f"{amount / 1e3:.0f} kB"
