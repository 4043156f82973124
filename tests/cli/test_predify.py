"""Oracle: the shipped configuration of pdigits, whose three predictors' sizes can be counted by hand."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

import pcbench
from pcbench.cli.main import main
from pcbench.cli.predify import predify_command
from pcbench.errors import UsageError
from pcbench.network.configuration import read_configuration

CONFIGURATION = Path(pcbench.__file__).parent / "models" / "configurations" / "pdigits.toml"
BACKBONE = "pcbench.models.architectures:digits_network"


def test_the_pcoders_of_a_configuration_are_told(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit) as ended:
        main(["predify", str(CONFIGURATION), "--backbone", BACKBONE])
    assert ended.value.code == 0
    printed = capsys.readouterr().out
    # weights of a k x k transposed convolution from a to b channels: a * b * k * k, and b biases
    for weights in (4 * 3 * 9 + 3, 8 * 4 * 16 + 4, 16 * 8 * 16 + 8):
        assert f"{weights:,}" in printed


def test_a_configuration_that_does_not_fit_is_refused() -> None:
    with pytest.raises(UsageError, match="PCoder"):
        predify_command(CONFIGURATION, "pcbench.models.architectures:digits_alexnet")


def test_the_last_line_is_a_command_that_works(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Oracle: `pcbench plan` with the same words, which opens model and images, and computes nothing."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.toml").write_text(CONFIGURATION.read_text(encoding="utf-8"), encoding="utf-8")
    (tmp_path / "mine.py").write_text(
        "from pcbench.models.architectures import digits_network\n\n\ndef network():\n    return digits_network()\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    for words in (["--model", "pdigits"], ["small.toml", "--backbone", "mine:network"]):
        with pytest.raises(SystemExit) as ended:
            main(["predify", *words])
        assert ended.value.code == 0
        pcbench_word, run_word, *rest = shlex.split(capsys.readouterr().out.splitlines()[-1])
        assert (pcbench_word, run_word) == ("pcbench", "run")
        with pytest.raises(SystemExit) as ended:
            main(["plan", *rest, "--images", "4", "--suite", "digits-c"])
        assert ended.value.code == 0, capsys.readouterr().err
        capsys.readouterr()


def test_a_backbone_alone_gives_a_configuration_that_works(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Oracle: the modules that were chosen by hand for the same network, and the commands that follow, as told."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        main(["predify", "--backbone", BACKBONE])
    assert ended.value.code == 0
    printed = capsys.readouterr()
    (tmp_path / "start.toml").write_text(printed.out, encoding="utf-8")
    assert printed.err.rstrip().endswith("pcbench predify FILE.toml")
    assert "# channels, height and width: the first of some sizes that it takes" in printed.out
    started = read_configuration(tmp_path / "start.toml")
    chosen = read_configuration(CONFIGURATION).table
    assert [one.path for one in started.table.pcoders] == [one.path for one in chosen.pcoders]
    assert started.table.input_size == chosen.input_size
    assert started.unused is None
    with pytest.raises(SystemExit) as ended:
        main(["predify", "start.toml"])
    assert ended.value.code == 0
    lines = capsys.readouterr().out.splitlines()
    told = next(line for line in lines if line.startswith("pcbench train"))
    assert told == f"pcbench train --model start.toml@{BACKBONE} --data digits"


def test_values_that_are_not_used_are_named_in_one_line(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    """Oracle: the update rule, in which λ of the last PCoder is 0; what sharing means."""
    text = CONFIGURATION.read_text(encoding="utf-8")
    last = text.rindex("feedback = 0.0")
    stated = tmp_path / "stated.toml"
    stated.write_text(f"{text[:last]}feedback = 0.1{text[last + len('feedback = 0.0') :]}", encoding="utf-8")
    shared = tmp_path / "shared.toml"
    shared.write_text(text.replace("shared_hyperparameters = false", "shared_hyperparameters = true"), encoding="utf-8")
    assert read_configuration(CONFIGURATION).unused is None
    for path, told in (
        (stated, "not used: feedback = 0.1 of PCoder 3 (no PCoder is above it)"),
        (shared, "not used: the values of PCoder 2, 3 (shared_hyperparameters takes those of PCoder 1)"),
    ):
        words = ["--model", f"{path}@{BACKBONE}", "--random-predictors", "0", "--data", "digits", "--images", "4"]
        verb = ["predify", str(path), "--backbone", BACKBONE] if path == stated else ["plan", *words]
        with pytest.raises(SystemExit):
            main(verb)
        lines = [(one.levelname, one.getMessage()) for one in caplog.records if "not used" in one.getMessage()]
        assert lines == [("WARNING", f"{path}: {told}")]  # once, and as what a terminal shows
        caplog.clear()


def test_a_misspelt_hyperparameter_names_the_keys_of_its_level(tmp_path: Path) -> None:
    """Oracle: the keys of a PCoder's hyperparameters, which are not those of the whole file."""
    text, path = CONFIGURATION.read_text(encoding="utf-8"), tmp_path / "wrong.toml"
    for wrong, told in (("feedbck", "did you mean 'feedback'"), ("xyz", "known: feedforward, feedback, pc$")):
        path.write_text(text.replace("feedback =", f"{wrong} =", 1), encoding="utf-8")
        with pytest.raises(UsageError, match=rf"unknown key 'pcoders.0.hyperparameters.{wrong}'; {told}"):
            read_configuration(path)
