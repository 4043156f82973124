"""Oracle: the text that is written into the file's header here."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file  # pyright: ignore[reportUnknownVariableType]

from pcbench.cli.main import main
from pcbench.models.training_notes import TrainingNotes, training_notes


def written(path: Path, notes: str) -> Path:
    save_file({"predictors.0.weight": torch.zeros(2, 3, 1, 1)}, path, {"training": notes})
    return path


def test_show_tells_r_squared_and_that_predictors_denoise(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    said = {"r_squared": [0.8512], "r_squared_on": "7 held-out images", "denoising": "not the paper's method"}
    with pytest.raises(SystemExit):
        main(["show", str(written(tmp_path / "own.safetensors", json.dumps(said)))])
    printed = capsys.readouterr().out
    assert all(one in printed for one in ("0.851", "R² on 7 held-out images", "not the paper's method"))


@pytest.mark.parametrize(
    "notes", ["", "[]", "{", '{"r_squared": "high"}', '{"r_squared": [[1]], "denoising": 3}', '{"r_squared_on": "x"}']
)
def test_notes_that_cannot_be_understood_say_nothing(tmp_path: Path, notes: str) -> None:
    assert training_notes(written(tmp_path / "own.safetensors", notes)) == TrainingNotes()
