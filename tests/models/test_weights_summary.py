"""What `pcbench show WEIGHTS` says. Oracle: the tensors that were written."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from pcbench.cli.main import app
from pcbench.errors import WeightsError
from pcbench.models.weights import save_weights
from pcbench.models.weights_summary import looks_like_weights, summarise_weights

from .test_predictor_files import LAYOUTS, epochs, equal, predictors, restored


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_is_summarised(tmp_path: Path, layout: str) -> None:
    path = LAYOUTS[layout](tmp_path, predictors(0))
    found = summarise_weights(path)
    assert [held.number for held in found.predictors] == [1, 2]
    assert [held.parameters for held in found.predictors] == [4 * 3 * 9 + 3, 5 * 4 * 9 + 4]
    assert [held.scale for held in found.predictors] == [9.0 if layout in ("training script", ".pth.tar") else None] * 2
    assert found.backbone == ("whole" in layout)
    assert looks_like_weights(path)


def test_epochs_are_listed_and_the_newest_complete_one_counts(tmp_path: Path) -> None:
    epochs(tmp_path, 3, 12, 20)
    (tmp_path / "pnet_pretrained_pc2_020.pth").unlink()
    found = summarise_weights(tmp_path)
    assert (found.epochs, found.epoch) == ((3, 12), 12)
    assert [held.file for held in found.predictors] == ["pnet_pretrained_pc1_012.pth", "pnet_pretrained_pc2_012.pth"]
    earlier = Path(f"{tmp_path}@3")
    assert looks_like_weights(earlier)
    assert summarise_weights(earlier).predictors[0].file == "pnet_pretrained_pc1_003.pth"
    with pytest.raises(WeightsError, match="holds no checkpoints of epoch 4"):
        summarise_weights(Path(f"{tmp_path}@4"))


def test_the_command_prints_names_and_shapes(tmp_path: Path) -> None:
    epochs(tmp_path, 3, 12)
    shown = CliRunner().invoke(app, ["show", str(tmp_path)], env={"COLUMNS": "160"})
    assert shown.exit_code == 0, shown.output
    for words in ("weights of 2 predictors, epoch 12", "weight 4x3x3x3, bias 3", "111", "complete epochs: 3, 12", "9"):
        assert words in shown.output
    torch.save({"encoder.weight": torch.ones(1)}, tmp_path / "other.pth")
    other = CliRunner().invoke(app, ["show", str(tmp_path / "other.pth")])
    assert "1 tensors of no predictor: encoder.weight" in other.output


def test_weights_are_written_out_again_as_one_file_a_pcoder(tmp_path: Path) -> None:
    made = predictors(0)
    path = tmp_path / "mine.safetensors"
    save_weights(path, backbone=None, predictors=list(made), metadata={})
    done = CliRunner().invoke(app, ["export", str(path), "--format", "predify", "--out", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    names = ["mine_pc1_pmodule.pth", "mine_pc2_pmodule.pth"]
    assert [file.name for file in sorted((tmp_path / "out").iterdir())] == names
    for name, predictor, other in zip(names, made, predictors(1), strict=True):
        # As the reference's script does: pmodule.load_state_dict(torch.load(file)).
        other.load_state_dict(torch.load(tmp_path / "out" / name, weights_only=True))
        assert equal(predictor, other)
    assert equal(made, restored(tmp_path / "out"))


def test_what_is_not_readable_is_refused(tmp_path: Path) -> None:
    (tmp_path / "broken.pth").write_bytes(b"nothing")
    with pytest.raises(WeightsError):
        summarise_weights(tmp_path / "broken.pth")
    assert not looks_like_weights(tmp_path / "missing.pth")
