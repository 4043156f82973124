"""Oracle: the progress file that the test writes."""

from __future__ import annotations

from pathlib import Path

import pytest

from pcbench.cli.status import status_command
from pcbench.errors import UsageError
from pcbench.harness.progress import RunProgress


def test_the_status_of_a_run_under_way_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "run.partial"
    folder.mkdir()
    with RunProgress(folder, units=4, work=100, console=None) as progress:
        progress.skip(25)
    status_command(tmp_path / "run")
    assert "25% done, condition 2 of 4" in capsys.readouterr().out


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no run"):
        status_command(tmp_path)
