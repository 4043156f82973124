"""Files that have their name only once they are whole."""

from __future__ import annotations

from pathlib import Path

from pcbench.errors import UsageError


def write_whole(path: Path, content: bytes) -> None:
    """Write a file under another name, then give it its own; missing folders are made.

    Raises:
        UsageError: It cannot be written.
    """
    unfinished = path.with_name(path.name + ".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished.write_bytes(content)
        unfinished.replace(path)
    except OSError as error:
        raise UsageError(f"{path}: cannot be written ({error.strerror}); give another place") from error
