"""Whether the folder of a finished run is as it was when the run ended, and holds all that it names."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

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
SEAL = "manifest_sha256"
"""The field of a manifest that holds the hash of all its others."""
CHANGED = "CHANGED"
"""How the note begins that marks a changed run."""


def refuse_links_out(folder: Path) -> None:
    """Refuse links inside a folder that lead out of it, and devices; they are not followed, to read or to write.

    The folder itself may be reached through a link.

    Raises:
        DataError: There is such a link, or something that is neither a file nor a folder (a pipe, which reading waits
            for without end, or a link to itself); it is named.
    """
    home = folder.resolve()
    for root, folders, names in os.walk(folder):
        for name in (*folders, *names):
            path = Path(root, name)
            try:
                leads_out = path.is_symlink() and not path.resolve().is_relative_to(home)
            except (OSError, RuntimeError):  # a link to itself
                leads_out = False
            if leads_out:
                raise DataError(f"{path}: is a link that leads out of the run's folder; put the file itself there")
            if not (path.is_file() or path.is_dir()):
                raise DataError(f"{path}: is neither a file nor a folder; remove it, or put the file itself there")


def sealed(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Return a manifest with a hash of itself, by which `changes` sees that it was changed."""
    # The hash is of what will be read: numbers as keys, for one, are texts there.
    return {**manifest, SEAL: _own_hash(json.loads(json.dumps(manifest)))}


def changes(folder: Path, manifest: Mapping[str, Any], name: str) -> list[str]:
    """Return what is not as it was when a run ended, in words: files that are missing, changed or added.

    Args:
        folder: The run's folder.
        manifest: Its manifest, with the SHA-256 of each file; that of a former version has none of itself.
        name: The name of the manifest.

    Raises:
        DataError: A path leads out of the folder.
    """
    hashes: Mapping[str, str] = manifest["files"]
    own = [f"{name} was changed"] if manifest.get(SEAL, _own_hash(manifest)) != _own_hash(manifest) else []
    return [*own, *_changed(folder, hashes), *(f"{added} was added" for added in _added(folder, hashes))]


def _own_hash(manifest: Mapping[str, Any]) -> str:
    counted = {name: value for name, value in manifest.items() if name != SEAL}
    return hashlib.sha256(json.dumps(counted, sort_keys=True).encode()).hexdigest()


def changed_sentence(found: list[str]) -> str:
    """Return the note that marks what is made of a run that was changed."""
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return f"{CHANGED} since the run: {', '.join(found[:_SHOWN])}{more}; these numbers are not the run's"


def _changed(folder: Path, hashes: Mapping[str, str]) -> Iterator[str]:
    for name, digest in hashes.items():
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise DataError(f"{folder}: its manifest names {name!r}, which is not a file of the run")
        try:
            if not (folder / name).is_file():
                yield f"{name} is missing"
            elif files.file_sha256(folder / name) != digest:
                yield f"{name} was changed"
        except OSError as error:  # a name that no disk can hold, a file that may not be read
            raise DataError(
                f"{folder}: its file {name:.100} cannot be read ({error.strerror}); copy the run again"
            ) from error


def _added(folder: Path, hashes: Mapping[str, str]) -> list[str]:
    found = (path.relative_to(folder).as_posix() for pattern in _READ_WHOLE for path in folder.glob(pattern))
    return sorted(set(found) - set(hashes))
