"""Oracle: the command that is told, given back to the command line's own parser."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from pcbench.cli.main import main
from pcbench.studies.publishing import Publication


@pytest.mark.parametrize("out", [None, "elsewhere"])
def test_publish_tells_a_command_that_finds_the_study_where_it_lies(
    out: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.toml").write_text("")
    (tmp_path / "results").mkdir()
    monkeypatch.chdir(tmp_path)
    made = Publication(Path("results"), Path("reports/index.html"))
    asked: list[Path] = []

    def publish(_study: Path, folder: Path, _to: Path, *, so_far: bool) -> Publication:
        del so_far
        asked.append(folder)
        return made

    def check(_study: Path, folder: Path, _against: Path) -> None:
        asked.append(folder)

    monkeypatch.setattr("pcbench.studies.publishing.publish_study", publish)
    monkeypatch.setattr("pcbench.studies.publishing.compare_study", check)
    given = [] if out is None else ["--out", out]
    with pytest.raises(SystemExit) as ended:
        main(["study", "publish", "mine.toml", *given])
    assert ended.value.code in (0, None)
    told = capsys.readouterr().out.splitlines()[-1]
    with pytest.raises((SystemExit, AttributeError)):  # what compares is replaced: it says nothing
        main(shlex.split(told)[1:])
    assert len(asked) == 2
    assert asked[0] == asked[1]
