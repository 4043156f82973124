"""Oracle: the command line's promise: one line on stderr with the remedy, exit 2 for wrong use, help in no time."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer

import pcbench
from pcbench.cli.main import app, main, with_flags
from pcbench.cli.verbs import PURPOSES, STUDY_PURPOSES
from pcbench.files import MARKER


def fails(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    assert ended.value.code == 2
    printed = capsys.readouterr()
    assert len(printed.err.strip().splitlines()) == 1
    assert printed.err.startswith("pcbench: ")
    return printed.err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("run", "--suite", "imagenetc"), "did you mean 'imagenet-c'"),
        (("run", "--model", "pdigit"), "did you mean 'pdigits'"),
        (("run", "--epsilons", "much"), "not 'much'"),
        (("run", "--epsilons", "300/255", "--suite", "linf"), "at most 1"),
        (("run", "--data", "digit"), "digits"),
        (("run", "--device", "abacus"), "no device 'abacus'"),
        (("run", "--images", "0"), "at least 1"),
        (("run", "--images", "many"), "--images is a whole number of at least 1 (got 'many')"),
        (("run", "--seed", "1.5"), "--seed is a whole number from 0 to 9223372036854775807 (got '1.5')"),
        (("run", "--images"), "--images needs a value after it"),
        (("run", "--random-predictors", "--model", "pvgg16"), "predictors needs a value after it, but --model follows"),
        (("run", "--out", "--again"), "--out needs a value after it, but --again follows"),
        (("run", "-m", "-T", "3"), "-m needs a value after it, but -T follows"),
        (("run", "--model-version", "--mine"), "but --mine follows; where it is meant, write it right after --model"),
        (("show", "run", "--config", "--allow-changd"), "option '--allow-changd' does not exist"),
        (("compare", "a", "b", "--out", "--json"), "--out needs a value after it, but --json follows"),
        (("study", "check", "x", "--against", "--json"), "--against needs a value after it, but --json follows"),
        (("run", "--model", "pdigit", "--random-predictors", "-3"), "did you mean 'pdigits'"),
        (("run", "--model-version=--mine", "--model", "pdigit"), "did you mean 'pdigits'"),
        (("run", "--bracketing=yes"), "--bracketing does not take a value; give it alone"),
        (("run", "--resize=yes"), "--resize is False or a whole number from 1 to 10000"),
        (("run", "--set", "feedbak=0.1"), "hyperparameter 'feedbak' does not exist; did you mean 'feedback'?"),
        (("run", "--set", "feedback"), "--set is NAME=VALUE or NAME=VALUE,VALUE,…"),
        (("run", "--set", "feedback=0.9", "--images=4"), "--set feedback=0.9: feedforward + feedback of PCoder "),
        (("run", "--imag", "3"), "option '--imag' does not exist; did you mean '--images'?"),
        (("run", "digits-c"), "digits-c is more than pcbench run takes; see pcbench run --help"),
        (("run", "--suite", "digits-c", "--epsilons", "8/255"), "--epsilons is about attacks"),
        (("run", "--suite", "linf", "--jpeg-quality", "85"), "--jpeg-quality is about corruptions"),
        (("show",), "RUN is missing; give: pcbench show"),
        (("figure", "name", "run"), "name and run: give folders of finished runs that exist, and one name of a figure"),
        (("check", "RUN", "--against", "x", "--alpha", "much"), "--alpha is a number (got 'much')"),
        (("tune", "--rounds", "9" * 5000), "--rounds is a whole number of at least 1 (got '999"),
        (("run", "--images", "100000"), "holds 360 images"),
        (("run", "--suit", "x"), "--suite"),
        (("list", "modles"), "models"),
        (("report", "nowhere"), "not a run of pcbench"),
        (("rum",), "command 'rum' does not exist; did you mean 'run'"),
    ],
)
def test_wrong_use_is_one_line_with_the_remedy(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], says: str
) -> None:
    assert says in fails(capsys, *arguments)


def test_the_users_own_example_parses_and_names_what_is_missing(capsys: pytest.CaptureFixture[str]) -> None:
    line = fails(capsys, "run", "--suite", "imagenet-c", "--model", "pvgg16")
    assert "--weights FILE" in line
    assert "--data imagenet:PATH" in line


def test_a_broken_definition_is_named(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    folder = tmp_path / "attacks" / "mine"
    folder.mkdir(parents=True)
    (folder / "suite.toml").write_text("title = ")
    assert str(folder / "suite.toml") in fails(capsys, "run", "--suite", str(folder))


def test_an_image_file_that_is_none_is_named(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for name in "0123456789":
        (tmp_path / "images" / name).mkdir(parents=True)
        (tmp_path / "images" / name / "a.png").write_bytes(b"no image")
    line = fails(capsys, "run", "--data", f"imagefolder:{tmp_path / 'images'}", "--suite", "digits-c")
    assert "a.png" in line
    # It is no option of a training, which says the same.
    assert line.endswith("fetch it again or remove it; a run leaves it out with --skip-damaged\n")


def test_a_folder_that_cannot_be_written_is_named(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    line = fails(capsys, "run", "--images", "10", "--suite", "digits-c", "--out", str(tmp_path / "file" / "run"))
    assert "cannot be written" in line


@pytest.mark.parametrize(
    ("out", "says"), [("/", "is the root of a disk"), ("x.partial", "ends in .partial"), ("made/inside", "lies inside")]
)
def test_a_place_that_no_run_can_have_is_named(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, out: str, says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("made").mkdir()
    Path("made", MARKER).write_text("{}")
    line = fails(capsys, "run", "--images", "10", "--suite", "digits-c", "--out", out)
    assert says in line
    assert "--out" in line


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no full device here")
@pytest.mark.parametrize(("variables", "out"), [({}, "/dev/full"), ({"PYTHONIOENCODING": "ascii"}, "/dev/null")])
def test_output_that_cannot_be_printed_is_not_called_a_fault(variables: dict[str, str], out: str) -> None:
    command = [sys.executable, "-c", "from pcbench.cli.main import main; main()", "list"]
    with Path(out).open("w") as stream:
        done = subprocess.run(
            command, env={**os.environ, **variables}, stdout=stream, stderr=subprocess.PIPE, text=True, check=False
        )
    expected = "pcbench: the output cannot be printed (No space left on device); what was computed is kept\n"
    assert (done.returncode, done.stderr) == ((1, expected) if out == "/dev/full" else (0, ""))


def test_the_version_and_the_lists_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, says in ((["--version"], pcbench.__version__), (["list"], "digits-linf")):
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert ended.value.code == 0
        assert says in capsys.readouterr().out


@pytest.mark.parametrize(
    ("verb", "text", "says"),
    [
        ("run", 'model = "<Own>"', "--model is '<Own>': replace what is in angle brackets by what it stands for"),
        ("run", 'suites = ["linf", "<FOLDER>/mine"]', "--suite is '<FOLDER>/mine': replace"),
        ("run", 'data = "imagefolder:<FOLDER>"', "--data is 'imagefolder:<FOLDER>': replace"),
        # In a file, options are spelled as in Python.
        ("train", 'epochs = "3.5"', "run.toml: `epochs` is a whole number of at least 1 (got '3.5')"),
        ("tune", "rounds = 0", "run.toml: `rounds` is a whole number of at least 1 (got 0)"),
        ("agreement", "timesteps = 3", "run.toml: option 'timesteps' does not exist; did you mean 'timestep'"),
        ("check", 'againts = "x"', "run.toml: option 'againts' does not exist; did you mean 'against'?"),
        ("check", 'tolerated = "1%"', "run.toml: `tolerated` is a number (got '1%')"),
    ],
)
def test_a_configuration_that_cannot_be_meant_is_named(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, verb: str, text: str, says: str
) -> None:
    (tmp_path / "run.toml").write_text(text)
    word = ["RUN", "--against", "x"] if verb == "check" else []
    assert says in fails(capsys, verb, *word, "--config", str(tmp_path / "run.toml"))


@pytest.mark.parametrize("verb", [[], *([name] for name in typer.main.get_command(app).commands)])
def test_help_speaks_plain_words(capsys: pytest.CaptureFixture[str], verb: list[str]) -> None:
    with pytest.raises(SystemExit):
        main([*verb, "--help"])
    assert re.findall(r"<(?:bool|int|str|float|path|list\[.*?\])>", capsys.readouterr().out) == []


def test_notes_of_a_run_are_told_in_the_words_of_the_command_line() -> None:
    # The manifest spells options as Python does: the terminal alone is asked by the command line.
    assert with_flags("as the model states; resize=False leaves them") == "as the model states; --no-resize leaves them"
    assert with_flags("leave out `epsilons`, or give suites='linf'") == "leave out --epsilons, or give --suite linf"


_HEAVY = ("torch", "pandas", "matplotlib", "numpy", "pyarrow", "timm", "foolbox", "scipy", "pydantic", "filelock")
MOST_MODULES_OF_HELP = 25
"""How many modules the help may import beside those that typer draws it with. 19 in November 2026."""


def test_help_imports_nothing_heavy_and_no_verb() -> None:
    """What makes help slow is importing these; a clock in a test would only measure the machine."""
    code = (
        "import sys, typer, typer.rich_utils\nbefore = len(sys.modules)\n"
        "from pcbench.cli.main import main\ntry: main(['--help'])\nexcept SystemExit: pass\n"
        f"print(len(sys.modules) - before, [name for name in {_HEAVY} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    count, _, found = done.stdout.splitlines()[-1].partition(" ")
    assert found == "[]"
    assert int(count) <= MOST_MODULES_OF_HELP


@pytest.mark.parametrize(
    ("words", "imported"),
    [
        ("list", ["list"]),
        ("run --model presnet2", ["run"]),
        ("study status nowhere.toml", ["run", "study"]),  # which shows its progress as a run does
        ("lsit", []),
        ("--version", []),
    ],
)
def test_the_verb_that_is_used_is_imported_alone(words: str, imported: list[str]) -> None:
    code = (
        f"import sys\nfrom pcbench.cli.main import main\ntry: main({words.split()})\nexcept SystemExit: pass\n"
        f"print([name for name in {sorted([*PURPOSES, 'study'])} if 'pcbench.cli.' + name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == str(imported)


def test_the_list_of_verbs_says_what_the_help_of_each_begins_with() -> None:
    # Oracle: the functions' own docstrings.
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    for purposes, found in ((PURPOSES, commands), (STUDY_PURPOSES, commands["study"].commands)):
        assert purposes == {name: " ".join(found[name].help.split("\n\n")[0].split()) for name in purposes}
    assert list(commands) == [*PURPOSES, "study"]


def test_the_package_is_run_as_the_command(tmp_path: Path) -> None:
    """Oracle: the command's own words; `python -m` serves where the folder of scripts is not on the PATH."""
    ended = subprocess.run(
        [sys.executable, "-m", "pcbench", "--version"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout) == (0, f"pcbench {pcbench.__version__}\n")
