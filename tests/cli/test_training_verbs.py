"""Oracles: what the user was promised: files by name, one line on stderr, exit code 2 for wrong use."""

from __future__ import annotations

import hashlib
import shlex
import tomllib
from pathlib import Path

import pytest

from pcbench.cli.main import main


def _run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as stopped:
        main(list(arguments))
    return int(stopped.value.code or 0)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("train", "--model", "pdigit"), "did you mean 'pdigits'"),
        (("train", "--model", "pvgg16"), "say which images are used: give --data "),
        (("train", "--optimizer", "lion"), "optimizer 'lion' does not exist"),
        (("train", "--learning-rate", "-1"), "the learning rate is above 0"),
        (("train", "--epochs", "0"), "--epochs is a whole number of at least 1"),
        (("train", "--seed", "-1"), "seeds are at least 0"),
        (("tune", "--method", "guess"), "method 'guess' does not exist"),
        (("tune", "--method", "gradient", "--learn", "feedbak"), "did you mean 'feedback'"),
        (("tune", "--method", "search", "--loss", "mean"), "--loss belongs to the gradient: give --method gradient"),
        (("tune", "-T", "0"), "give --timesteps 1 or more"),
        (("tune", "--objective", "noisy"), "did you mean 'noise'"),
        (("tune", "--objective", "clean", "--noise", "1"), "give one of both"),
        (("tune", "--noise", "-1"), "--noise is one or several standard deviations"),
        (("tune", "--objective", "suite:digits-linf"), "is a suite of attacks"),
        (("train", "--noise", "0.5,x"), "noise is one or several standard deviations"),
        (("train", "--noise-target", "clean"), "needs noise"),
        (("train", "--weights", "nowhere", "--method", "descent"), "nowhere: there is no such weights file"),
        (("tune", "--model", "alexnet_digits"), "feedforward"),
        (("tune", "--rounds", "0"), "at least 1"),
        (("study", "nowhere.toml"), "nowhere.toml"),
        (("train", "--out", "file/out"), "file: cannot be written (File exists); give another with --out"),
        (("tune", "--out", "file/out.toml"), "file: cannot be written (File exists); give another with --out"),
    ],
)
def test_wrong_use_is_one_line_and_exit_code_2(
    arguments: tuple[str, ...],
    problem: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    assert _run(*arguments) == 2
    message = capsys.readouterr().err.strip()
    assert problem in message
    assert len(message.splitlines()) == 1


def test_train_writes_the_weights_it_names(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # Oracle: the file's own sha256.
    out = tmp_path / "out"
    assert _run("train", "--model", "alexnet_digits", "--images", "32", "--epochs", "1", "--out", str(out)) == 0
    content = (out / "alexnet_digits.safetensors").read_bytes()
    assert f"sha256 {hashlib.sha256(content).hexdigest()}" in capsys.readouterr().out
    assert (out / "backbone" / "losses.csv").is_file()


def test_tune_writes_a_configuration(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "tuned.toml"
    arguments = ("tune", "--no-effects", "--noise", "2", "--rounds", "1", "-T", "1", "--out", str(out))
    arguments += ("--loss", "mean", "--learn", "feedforward", "--learn", "feedback", "--learning-rate", "0.05")
    assert _run(*arguments) == 0
    told = capsys.readouterr().out
    assert "accuracy at T" in told
    command = shlex.split(told.splitlines()[-1])
    assert command[0] == "pcbench"
    assert _run(*command[1:], "--dry-run") == 0  # it works as it stands
    text = out.read_text()
    assert "gradient descent through 1 timesteps (Adam, 1 steps, rate 0.05) on the mean cross-entropy" in text
    assert "learned: feedforward, feedback" in text
    assert len(tomllib.loads(text)["pcoders"]) == 3


def test_a_training_is_repeated_from_the_file_it_saved(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # Oracle: the file's sha256, which the second command finds again instead of training anew.
    out, file = str(tmp_path / "out"), tmp_path / "train.toml"
    options = ("--model", "alexnet_digits", "--images", "32", "--epochs", "1", "--learning-rate", "0.01")
    assert _run("train", *options, "--out", out, "--save-config", str(file)) == 0
    assert tomllib.loads(file.read_text()) == {
        "model": "alexnet_digits",
        "images": 32,
        "epochs": 1,
        "learning_rate": 0.01,
        "out": out,
    }
    first = capsys.readouterr().out
    written = (tmp_path / "out" / "alexnet_digits.safetensors").stat().st_mtime_ns
    assert _run("train", "--config", str(file)) == 0
    assert capsys.readouterr().out == first
    assert (tmp_path / "out" / "alexnet_digits.safetensors").stat().st_mtime_ns == written
    assert _run("train", "--config", str(file), "--seed", "1", "--learning-rate", "-1") == 2
