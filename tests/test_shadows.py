"""Oracle: libraries that fail as in public reports, made here, and what a user is told of each, in one line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pcbench.cli.main import main
from pcbench.shadows import not_loaded, shadows, unloadable

PYDANTIC = "The installed pydantic-core version (2.27.0) is incompatible with the current pydantic version"
ENTRY = "import sys; sys.argv[0] = 'pcbench'; from pcbench.cli.entry import run_command_line; run_command_line()"


def begun(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Start the command line where a folder comes first on Python's path, and ends in front of what is installed."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), *(one for one in sys.path if one)])}
    command = [sys.executable, "-c", ENTRY, *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)


def test_a_library_without_which_there_are_no_verbs(tmp_path: Path) -> None:
    (tmp_path / "pydantic.py").write_text(f"raise SystemError({PYDANTIC!r})")
    done = begun(tmp_path, "list", "suites")
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        f"pcbench: pydantic cannot be loaded ({PYDANTIC}); `pcbench doctor` looks at all libraries and says what to do"
    ]
    assert "Traceback" in begun(tmp_path, "list", "--debug").stderr


def test_the_doctor_is_at_work_without_the_other_verbs(tmp_path: Path) -> None:
    (tmp_path / "typer.py").write_text("raise ImportError('cannot import name x')")
    (tmp_path / "torch.py").write_text("raise ImportError('not looked at')")  # it takes seconds to import
    done = begun(tmp_path, "doctor")
    assert done.returncode == 1
    assert f"libraries: typer: {tmp_path / 'typer.py'} hides typer" in done.stdout
    assert f"  do this: rename {tmp_path / 'typer.py'}" in done.stdout


def test_a_file_with_the_name_of_a_module_of_python(tmp_path: Path) -> None:
    (tmp_path / "random.py").write_text("x = 1")
    done = begun(tmp_path, "doctor")
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert f"{tmp_path / 'random.py'} hides Python's own module random; rename" in done.stderr


def test_what_hides_python_s_own_modules(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    own = str(Path(os.__file__).parent)
    for name in ("queue", "platform"):
        (tmp_path / name).mkdir()
    for name in ("queue/__init__.py", "platform/notes.txt", "dis.py", "io.txt", "mine.py"):
        (tmp_path / name).write_text("")
    monkeypatch.setattr(sys, "path", [str(tmp_path), str(tmp_path / "nowhere.zip"), own])
    assert [(name, file) for name, file, _ in shadows()] == [
        ("dis", str(tmp_path / "dis.py")),
        ("queue", str(tmp_path / "queue")),
    ]
    monkeypatch.setattr(sys, "path", [own, str(tmp_path)])
    assert not list(shadows())


@pytest.mark.parametrize(
    ("raised", "words"),
    [
        ("ValueError('numpy.dtype size changed, may indicate binary incompatibility')", "dtype size changed"),
        ("AttributeError('partially initialized module has no attribute')", "partially initialized"),
        ("ImportError('libGL.so.1: cannot open shared object file')", "libGL.so.1"),
    ],
)
def test_a_verb_that_needs_a_library_which_cannot_be_loaded(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, raised: str, words: str
) -> None:
    (tmp_path / "broken_library.py").write_text(f"raise {raised}")
    (tmp_path / "outer_library.py").write_text("import broken_library")
    monkeypatch.syspath_prepend(tmp_path)

    def needs() -> None:
        __import__("outer_library")

    monkeypatch.setattr("pcbench.cli.listing.suite_names", lambda _: needs())
    with pytest.raises(SystemExit) as end:
        main(["list", "suites"])
    said = capsys.readouterr().err.splitlines()
    assert (end.value.code, len(said)) == (2, 1)
    assert said[0].startswith("pcbench: broken_library cannot be loaded (")
    assert words in said[0]
    assert "pcbench doctor" in said[0]


def test_a_fault_where_a_library_has_a_version_that_is_not_allowed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def faulty(_: str) -> None:
        raise AttributeError("'DataFrame' object has no attribute 'case_when'")

    monkeypatch.setattr("pcbench.cli.listing.suite_names", faulty)
    for stated, words in (
        ("pandas>=99", "and pcbench needs >=99; do this: pip install"),
        ("pandas", "a bug of pcbench"),
    ):
        monkeypatch.setattr("importlib.metadata.requires", lambda _, stated=stated: [stated])
        with pytest.raises(SystemExit) as end:
            main(["list", "suites"])
        assert end.value.code == 1
        assert words in capsys.readouterr().err


def test_an_error_that_no_import_raised_is_no_library_s() -> None:
    with pytest.raises(ValueError, match="substring") as caught:
        "".index("x")
    assert unloadable(caught.value) is None


def test_long_and_empty_messages() -> None:
    assert len(not_loaded("numpy", ImportError("x\n" * 1000))) < 500
    assert "numpy cannot be loaded (ImportError)" in not_loaded("numpy", ImportError())
