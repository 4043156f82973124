"""Whether the folder of a finished run is as it was when the run ended, and holds all that it names."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from pcbench import files
from pcbench.errors import DataError

_READ_WHOLE = (
    "outcomes/*/*.parquet",
    "representations/*/*.parquet",
    "checks/*.parquet",
    "adversarials/*/*.safetensors",
)
"""Patterns of which every file is read: one that was added would count."""
_SHOWN = 3
CHANGED = "CHANGED"
"""How the note begins that marks a changed run."""


def refuse_links_out(folder: Path) -> None:
    """Refuse links inside a folder that lead out of it; they are not followed, to read or to write.

    The folder itself may be reached through a link.

    Raises:
        DataError: There is such a link; it is named.
    """
    home = folder.resolve()
    for root, folders, names in os.walk(folder):
        for name in (*folders, *names):
            path = Path(root, name)
            if path.is_symlink() and not path.resolve().is_relative_to(home):
                raise DataError(f"{path}: is a link that leads out of the run's folder; put the file itself there")


def changes(folder: Path, hashes: Mapping[str, str]) -> list[str]:
    """Return what is not as it was when a run ended, in words: files that are missing, changed or added.

    Args:
        folder: The run's folder.
        hashes: The SHA-256 of each file, by its path in the folder.

    Raises:
        DataError: A path leads out of the folder.
    """
    return [*_changed(folder, hashes), *(f"{name} was added" for name in _added(folder, hashes))]


def changed_sentence(found: list[str]) -> str:
    """Return the note that marks what is made of a run that was changed."""
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return f"{CHANGED} since the run: {', '.join(found[:_SHOWN])}{more}; these numbers are not the run's"


def _changed(folder: Path, hashes: Mapping[str, str]) -> Iterator[str]:
    for name, digest in hashes.items():
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise DataError(f"{folder}: its manifest names {name!r}, which is not a file of the run")
        if not (folder / name).is_file():
            yield f"{name} is missing"
        elif files.file_sha256(folder / name) != digest:
            yield f"{name} was changed"


def _added(folder: Path, hashes: Mapping[str, str]) -> list[str]:
    found = (path.relative_to(folder).as_posix() for pattern in _READ_WHOLE for path in folder.glob(pattern))
    return sorted(set(found) - set(hashes))
