"""Names: which are allowed in paths where they are read, what free text is called on a disk, and how they are shown."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence

IN_PATHS = ("suite", "name", "norm")
"""The columns of tables that folders and files are named by."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_+-]*(?:\.[A-Za-z0-9_+-]+)*")
_MOST = 100
"""The largest number of characters; several names stand in one file's name, which has 255 bytes at most."""
_RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{number}" for port in ("com", "lpt") for number in range(1, 10))}
"""What Windows takes for a device, whatever its ending."""


def why_not(name: str) -> str | None:
    """Return why something cannot be the name of a suite, a condition or an attack; None where it can.

    Such names become folders and files, and are read from files of other people.
    """
    if name.partition(".")[0].lower() in _RESERVED:
        return "is the name of a device on Windows"
    if len(name) > _MOST:
        return f"has {len(name)} characters; at most {_MOST} are allowed"
    if _NAME.fullmatch(name) is None:
        return (
            "may hold a to z, A to Z, 0 to 9, _, - and +, single dots between them, and begins with a letter or digit"
        )
    return None


def fault_among(names: Iterable[object]) -> str | None:
    """Return what is wrong with the first of some names that cannot be one; None where all can, or are empty.

    Two that differ only in small and capital letters would be one file on some systems.
    """
    known: dict[str, object] = {}
    for name in names:
        reason = None if name is None else why_not(str(name))
        if reason is not None:
            return f"{reason} (got {name!r})"
        twin = known.setdefault(str(name).lower(), name)
        if twin != name:
            return f"holds {twin!r} and {name!r}, which some file systems do not tell apart"
    return None


def file_name(text: str) -> str:
    """Return what a file or folder is called that is named by free text, such as a model's name.

    It is the text itself where that is a name in small letters, and else a readable form of it with the beginning of
    its hash, so that two texts have two names, on file systems that do not distinguish small and capital letters too.
    """
    if why_not(text) is None and text == text.lower():
        return text
    readable = re.sub(r"[^A-Za-z0-9_+-]+", "-", text).strip("-")[: _MOST - 9]
    return "-".join(part for part in (readable, hashlib.sha256(text.encode(errors="replace")).hexdigest()[:8]) if part)


def words(name: str) -> str:
    """Return a snake_case name as words."""
    return name.replace("_", " ")


def severities_words(severities: Sequence[int]) -> str:
    """Return some severities, at least one, in words: ``"severity 3"``, ``"severities 1, 2 and 5"``."""
    *others, last = map(str, severities)
    return f"severities {', '.join(others)} and {last}" if others else f"severity {last}"


def attack_title(name: object) -> str:
    """Return an attack's name as papers write it: short ones are abbreviations."""
    return words(str(name)).upper() if len(str(name)) <= 4 else words(str(name))
