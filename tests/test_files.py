"""What `pcbench.files.write` refuses to replace. Oracle: the file system, asked afterwards."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from pcbench import files
from pcbench.errors import UsageError, WriteError


def test_a_folder_is_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for path in (Path(), tmp_path):
        with pytest.raises(WriteError, match="is a folder; name a file in it"):
            files.write(path, "text")
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_ordinary_file_is_not_replaced(tmp_path: Path) -> None:
    """A device is one too: as root, a rename would put a file in its place."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(WriteError, match="is not an ordinary file"):
        files.write(tmp_path / "pipe", "text")
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)
    assert [path.name for path in tmp_path.iterdir()] == ["pipe"]


def test_a_name_that_is_no_utf_8_does_not_stop_what_is_written(tmp_path: Path) -> None:
    # Python's own way with such names (PEP 383): a folder from an old disk, and a run ended when all was computed.
    name = os.fsdecode(b"m\xfcller")
    assert files.write(tmp_path / "text", f"folder = {name}, é").read_bytes() == "folder = m?ller, é".encode()
    with pytest.raises(UsageError, match="no UTF-8; give another folder"):
        files.real_path(tmp_path / name / "run")
