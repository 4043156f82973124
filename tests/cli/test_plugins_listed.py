"""What other packages register, as a new user meets it: in `pcbench list`, and by its name in `pcbench run`.

Oracle: the same suite given by its path, on data that are given by pcbench's own name; the modules that are imported.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from made_plugins import install_plugins

import pcbench
from pcbench.catalog import catalog_folder
from pcbench.cli.main import main
from pcbench.errors import UsageError

_SOURCE = """
from pathlib import Path
FOLDER = Path(__file__).parent / "corruptions" / "mine-c"
NOWHERE = Path(__file__).parent / "corruptions" / "gone-c"
def digits(place, split):
    from pcbench.data.sources import open_source
    from pcbench.data.preprocessing import Preprocessing
    return open_source("digits", preprocessing=Preprocessing(), split=split)
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package that registers a suite, data, and broken things beside them."""
    monkeypatch.delitem(sys.modules, "listed_suite", raising=False)
    entries = {
        "suites": {"mine-c": "listed_suite:FOLDER", "gone-c": "listed_suite:NOWHERE"},
        "data": {"mydigits": "listed_suite:digits"},
        "attacks": {"lost": "no_such_module_here:attack", "pgd": "listed_suite:digits"},
        "corruptions": {"formless": "just text"},
        "models": {"pdigits": "listed_suite:digits"},
    }
    site = install_plugins(tmp_path, monkeypatch, entries, sources={"listed_suite": _SOURCE})
    suite = site / "corruptions" / "mine-c"
    suite.mkdir(parents=True)
    shipped = catalog_folder("corruptions") / "digits-c"
    (suite / "suite.toml").write_text('version = 1\ntitle = "two"\nsource = "a test"\n')
    for name in ("contrast.toml", "gaussian_noise.toml"):
        (suite / name).write_bytes((shipped / name).read_bytes())
    return site


def test_plugins_are_listed_without_their_import_and_broken_ones_do_not_break_the_list(
    site: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert site.is_dir()
    monkeypatch.setenv("COLUMNS", "400")
    with pytest.raises(SystemExit) as ended:
        main(["list"])
    assert ended.value.code == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "mine-c" in said
    assert "plug-in of mypackage 1.5 (listed_suite:FOLDER)" in said
    assert "BROKEN plug-in of mypackage 1.5 (no_such_module_here:attack): there is no module" in said
    assert "BROKEN plug-in of mypackage 1.5 (just text)" in said
    assert "digits-linf" in said
    assert said.count("NOT USED plug-in of mypackage 1.5 (listed_suite:digits): pcbench's own has this name") == 2
    assert "listed_suite" not in sys.modules


def test_a_registered_suite_is_measured_on_registered_data_by_their_names(site: Path, tmp_path: Path) -> None:
    made = pcbench.run("pdigits", ["mine-c"], data="mydigits", images=20, timesteps=1, out=tmp_path / "run")
    own = site / "corruptions" / "mine-c"
    by_path = pcbench.run("pdigits", [str(own)], images=20, timesteps=1, out=tmp_path / "by-path")
    ours, theirs = (run.outcomes() for run in (made, by_path))
    assert len(ours) == (2 * 5 + 1) * 2 * 20
    assert ours.equals(theirs)
    assert made.spec.data.name == "mydigits"


def test_a_suite_that_is_not_where_its_package_says_is_one_line(site: Path) -> None:
    assert site.is_dir()
    with pytest.raises(UsageError, match="'gone-c' in suites is a plug-in of mypackage") as caught:
        pcbench.run("pdigits", ["gone-c"])
    assert "holds a suite.toml" in str(caught.value)
