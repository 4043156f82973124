"""Durations as people write and read them."""

from __future__ import annotations

import re
from datetime import timedelta

from pcbench.arguments import plain, shown
from pcbench.errors import UsageError

_SECONDS = {"d": 86_400, "h": 3_600, "min": 60, "s": 1}
_WORDS = {
    "day": "d", "days": "d", "hour": "h", "hours": "h", "hr": "h", "hrs": "h", "m": "min", "mins": "min",
    "minute": "min", "minutes": "min", "sec": "s", "secs": "s", "second": "s", "seconds": "s",
}  # fmt: skip
_SMALLER = {"d": "h", "h": "min", "min": "s"}
_PART = re.compile(r"(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>[a-z]*)\s*(?:and\s+)?")
_CLOCK = re.compile(r"(\d+):([0-5]\d)(?::([0-5]\d))?")
_MOST = 100 * 365 * 86_400


def read_duration(name: str, value: object) -> float:
    """Return a duration in seconds.

    Args:
        name: The option that it was given for.
        value: `2h`, `90min`, `1h30`, `1 h 30 min`, `7200s`, `1:30:00` (or `1:30`, hours and minutes), or a `timedelta`.

    Raises:
        UsageError: It is none of these, or not above 0.
    """
    if isinstance(value, timedelta):
        seconds: float | None = value.total_seconds()
    else:
        seconds = _read(str(plain(value)).strip().lower())
    if seconds is None or not 0 < seconds <= _MOST:
        raise UsageError(f"`{name}` is a duration, such as 2h, 90min, 1h30, 7200s or 1:30:00 (got {shown(value)})")
    return seconds


def shown_duration(seconds: float) -> str:
    """Return a duration in two units at most: `45 s`, `12 min`, `1 h 30 min`, `3 days 4 h`."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 100:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(round(seconds / 3600), 24)
    return f"{days} days {hours} h" if hours and days < 10 else f"{days} days"


def _read(text: str) -> float | None:
    clock = _CLOCK.fullmatch(text)
    if clock is not None:
        hours, minutes, rest = (int(part or 0) for part in clock.groups())
        return hours * 3600 + minutes * 60 + rest
    total, position, last = 0.0, 0, None
    while position < len(text):
        part = _PART.match(text, position)
        if part is None:
            return None
        unit = _WORDS.get(part["unit"], part["unit"]) or _SMALLER.get(last or "")
        larger = last is None or (unit in _SECONDS and _SECONDS[unit] < _SECONDS[last])
        if unit not in _SECONDS or not larger:
            return None  # a bare number says no unit, and 30min2h is a slip of the pen
        total, position, last = total + float(part["number"]) * _SECONDS[unit], part.end(), unit
    return total if last is not None else None
