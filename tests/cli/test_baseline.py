"""Oracle: the words of the task, one line each; the files that the verb says it wrote."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from torch import nn

import pcbench
from pcbench.cli.main import main
from pcbench.cli.run_table import print_summary
from pcbench.results.directory import open_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network of zero weights, which says one class to all, on twenty digits under ImageNet-C's corruptions."""
    network = nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 10))
    for parameter in network.parameters():
        nn.init.zeros_(parameter)
    out = tmp_path_factory.mktemp("runs") / "run"
    asked: dict[str, Any] = {"data": "digits", "images": 20, "timesteps": 0, "progress": False}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pcbench.harness.run._write_report", lambda *_: None)  # nothing here looks at the page
        return pcbench.run(network, ["imagenet-c"], out=out, **asked).folder


def called(*words: object) -> object:
    with pytest.raises(SystemExit) as end:
        main([str(word) for word in words])
    return end.value.code or 0


def test_the_verb_says_what_it_wrote_and_how_it_is_used(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert called("baseline", run) == 0
    lines = capsys.readouterr().out.splitlines()
    key = open_run(run).key
    (path,) = tmp_path.glob("results/*.toml")
    assert path.name.startswith(f"baseline-Sequential-imagenet-c-{key}")
    assert lines[0].startswith(f"wrote results/{path.name}: Sequential, 20 images of digits:test, 20")
    assert lines[-1] == f"  pcbench run --suite imagenet-c --baseline results/{path.name}"
    made = tomllib.loads(path.read_text(encoding="utf-8"))
    # Oracle: it says class 0 to all, and 2 of 20 digits that are spread over ten classes are zeros.
    assert made["clean_error"] == 0.9
    assert set(map(tuple, made["errors"].values())) == {(0.9,) * 5}
    assert made["images"]["count"] == 20


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("nowhere",), "nowhere is not a run of pcbench"),
        (("RUN", "--suite", "digits-c"), "has no suite of corruptions 'digits-c'; it has imagenet-c"),
        (("RUN", "--timestep", "3"), "does not have t = 3; it has t = 0"),
        (("RUN", "--out", "."), ". is a folder; name a file with --out"),
        (("RUN", "--out", "file/out.toml"), "file: cannot be written (File exists); give another with --out"),
        (("--model", "pdigits"), "option '--model' does not exist"),
    ],
)
def test_wrong_use_is_one_line_and_exit_code_2(
    run: Path,
    words: tuple[str, ...],
    problem: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    assert called("baseline", *(run if word == "RUN" else word for word in words)) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert problem in line


def test_the_terminal_calls_the_plain_mean_of_other_images_no_mce(
    run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    print_summary(open_run(run))
    printed = capsys.readouterr().out
    assert "accuracy by severity, and mean error, in %" in printed
    assert "mean error*" in printed
    assert "90.0" in printed
    (footnote,) = [line for line in printed.splitlines() if line.startswith("* ")]
    assert "no CE or mCE: these divide by the errors of alexnet on ImageNet's validation images" in footnote
    assert "the images of digits:test are others" in footnote
    assert "not comparable" not in printed
