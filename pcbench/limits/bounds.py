"""The bound that all readers share, the way to raise it, and the words in which something is refused.

A small file can claim, or unpack to, more than any machine holds. What is read from one file may take
`$PCBENCH_READ_GB` (0.25) times 10⁹ bytes, or `MEMORY_GROWTH` times the file's own size where that is more: a file
that really is large is read. Text, which grows when it is parsed and is never large in a run, has a bound on its size
alone.
"""

from __future__ import annotations

import os
from pathlib import Path

from pcbench.errors import DataError, UsageError

READ_VARIABLE = "PCBENCH_READ_GB"
DEFAULT_READ_GIGABYTES = 0.25
MEMORY_GROWTH = 32
"""How many times its size on the disk a file may grow in memory: tables of real runs grow up to 20 times."""
TEXT_GROWTH, CSV_GROWTH = 16, 10
"""The memory that a byte of JSON or TOML, or of CSV, can take, in bytes."""


def gigabytes(variable: str, default: float) -> int:
    """Return the bytes that a variable of the environment allows, a number of gigabytes.

    Raises:
        UsageError: It is not a positive number.
    """
    text = os.environ.get(variable) or str(default)
    try:
        found = float(text)
    except ValueError:
        found = 0.0
    if not 0 < found < float("inf"):
        raise UsageError(f"{variable} is a positive number of gigabytes (got {text!r})")
    return int(found * 1e9)


def memory_limit() -> int:
    """Return how many bytes of memory what is read from one small file may take: `$PCBENCH_READ_GB` times 10⁹.

    Raises:
        UsageError: The variable is not a positive number.
    """
    return gigabytes(READ_VARIABLE, DEFAULT_READ_GIGABYTES)


def allowed(size: int, growth: int = MEMORY_GROWTH) -> int:
    """Return how many bytes of memory what is read from a file may take.

    Args:
        size: The file's size, bytes.
        growth: How many times its size it may take.
    """
    return max(memory_limit(), growth * size)


def file_size(path: Path) -> int:
    """Return a file's size in bytes.

    Raises:
        OSError: It is missing, or cannot be asked.
    """
    return path.stat().st_size


def check_size(place: Path | str, what: str, needed: int, most: int) -> None:
    """Refuse what is larger than allowed.

    Args:
        place: The file, for the message.
        what: What of it has the size, in words: "would take", "is a text of".
        needed: Its size, bytes.
        most: The largest size that is allowed.

    Raises:
        DataError: It is larger; the message says the limit and how to raise it.
    """
    if needed > most:
        raise DataError(f"{place}: {what} {size_text(needed)}, and at most {size_text(most)} are read; {remedy()}")


def check_count(place: Path | str, what: str, found: int, most: int) -> None:
    """Refuse more things than are allowed; `what` names them in the plural.

    Raises:
        DataError: There are more.
    """
    if found > most:
        raise DataError(f"{place}: has {found:,} {what}, and at most {most:,} are read; {remedy()}")


def remedy() -> str:
    """Return how the limit is raised, for the end of a message."""
    now = memory_limit() / 1e9
    return f"if you trust it, set {READ_VARIABLE} to more gigabytes (now {now:g})"


def size_text(size: int) -> str:
    """Return a size in words."""
    for unit, factor in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= factor:
            return f"{size / factor:,.4g} {unit}"
    return f"{size} bytes"
