"""Every layout of predictors' weights that is in use. Oracle: the tensors that were written."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

import pcbench
from pcbench.errors import WeightsError
from pcbench.models import load
from pcbench.models.predictor_files import fill_predictors, read_predictor_weights, write_one_a_pcoder
from pcbench.models.weights import PREDICTORS, part
from pcbench.models.weights_summary import summarise_weights

Write = Callable[[Path, nn.ModuleList], Path]


def predictors(seed: int) -> nn.ModuleList:
    torch.manual_seed(seed)
    second = nn.Sequential(nn.ConvTranspose2d(5, 4, 3))
    return nn.ModuleList([nn.ConvTranspose2d(4, 3, 3), second])


def state(predictor: nn.Module, prefix: str = "") -> dict[str, Any]:
    return {prefix + name: tensor for name, tensor in predictor.state_dict().items()}


def one_a_pcoder(change: Callable[[Mapping[str, Tensor]], Any], ending: str = "_pmodule.pth") -> Write:
    def write(folder: Path, made: nn.ModuleList) -> Path:
        for number, predictor in enumerate(made, 1):
            torch.save(change(predictor.state_dict()), folder / f"pnet_pretrained_pc{number}{ending}")
        return folder

    return write


def prefixed(prefix: str) -> Callable[[Mapping[str, Tensor]], dict[str, Tensor]]:
    return lambda given: {prefix + name: tensor for name, tensor in given.items()}


def trained(given: Mapping[str, Tensor]) -> dict[str, Any]:
    extras = argparse.Namespace(lr=0.1, noise=np.float64(0.5), epochs=np.int64(3))
    return {
        "pcoderweights": {**prefixed("pmodule.")(given), "C_sqrt": torch.tensor(3.0)},
        "optimizer": {"state": {}, "param_groups": [{"lr": np.float32(0.1)}]},
        "epoch": 7,
        "args": extras,
    }


def index_moved(given: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The index of a Sequential before a bare predictor's names, and none before a Sequential's."""
    return {name.removeprefix("0.") if name.startswith("0.") else f"0.{name}": tensor for name, tensor in given.items()}


def whole(name: str, *, parallel: str = "") -> Write:
    def write(folder: Path, made: nn.ModuleList) -> Path:
        held: dict[str, Tensor] = {f"{parallel}backbone.features.0.weight": torch.ones(2)}
        for number, predictor in enumerate(made, 1):
            held |= state(predictor, f"{parallel}pcoder{number}.pmodule.")
            held[f"{parallel}pcoder{number}.C_sqrt"] = torch.tensor(-1.0)
            held[f"{parallel}pcoder{number}.rep"] = torch.zeros(1)
        torch.save({"state_dict": held, "arch": "pvgg", "best": np.float64(71.5)}, folder / name)
        return folder / name

    return write


LAYOUTS: dict[str, Write] = {
    "bare keys": one_a_pcoder(dict),
    "pmodule.": one_a_pcoder(prefixed("pmodule.")),
    "0. moved": one_a_pcoder(index_moved),
    "module.pmodule.": one_a_pcoder(prefixed("module.pmodule.")),
    "training script": one_a_pcoder(trained, "_007.pth"),
    ".pt": one_a_pcoder(dict, ".pt"),
    ".pth.tar": one_a_pcoder(trained, "_3.pth.tar"),
    "whole network": whole("pvgg.pth"),
    "whole network, parallel": whole("pvgg.pth.tar", parallel="module."),
}


def restored(path: Path) -> nn.ModuleList:
    made = predictors(1)
    fill_predictors(made, part(read_predictor_weights(path, 2), PREDICTORS), "file")
    return made


def equal(one: nn.Module, other: nn.Module) -> bool:
    return all(torch.equal(tensor, other.state_dict()[name]) for name, tensor in one.state_dict().items())


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_is_read(tmp_path: Path, layout: str) -> None:
    made = predictors(0)
    assert equal(made, restored(LAYOUTS[layout](tmp_path, made)))


def test_a_backbone_beside_the_predictors_is_read_too(tmp_path: Path) -> None:
    found = read_predictor_weights(whole("pvgg.pth")(tmp_path, predictors(0)), 2)
    assert found["backbone.features.0.weight"].tolist() == [1, 1]


def epochs(folder: Path, *numbers: int) -> None:
    for number in numbers:
        one_a_pcoder(trained, f"_{number:03d}.pth")(folder, predictors(number))


def test_the_newest_complete_epoch_is_taken_and_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    epochs(tmp_path, 3, 12, 20)
    (tmp_path / "pnet_pretrained_pc2_020.pth").unlink()  # it was stopped in its last epoch
    with caplog.at_level(logging.INFO, "pcbench"):
        assert equal(predictors(12), restored(tmp_path))
    assert "epoch 12, the newest of 2 that are complete" in caplog.text
    assert equal(predictors(3), restored(Path(f"{tmp_path}@3")))
    assert equal(predictors(3), restored(tmp_path / "pnet_pretrained_pc2_003.pth"))
    (tmp_path / "pnet_pretrained_pc1_021.pth").write_bytes((tmp_path / "pnet_pretrained_pc1_020.pth").read_bytes())
    (tmp_path / "pnet_pretrained_pc2_022.pth").write_bytes((tmp_path / "pnet_pretrained_pc1_020.pth").read_bytes())
    with pytest.raises(WeightsError, match="no checkpoints of epoch 4"):
        restored(Path(f"{tmp_path}@4"))
    with pytest.raises(WeightsError, match=r"holds no file named …_pc2….pth of epoch 20; one for each of 2"):
        restored(Path(f"{tmp_path}@20"))


def test_two_sets_in_a_folder_are_not_guessed_between(tmp_path: Path) -> None:
    epochs(tmp_path, 3)
    LAYOUTS["bare keys"](tmp_path, predictors(0))
    with pytest.raises(WeightsError, match=r"several sets of checkpoints \(.*_003\.pth, .*_pmodule\.pth\)"):
        restored(tmp_path)


@pytest.mark.parametrize(
    ("held", "problem"),
    [
        ({"weight": torch.ones(1)}, r"holds one module \('weight' is its first key\).* name it …_pc1….pth"),
        (
            {"encoder.weight": torch.ones(1)},
            r"holds no predictors \('encoder.weight' is its first key\); predictors are",
        ),
    ],
)
def test_what_holds_no_predictors_is_told_by_key_with_the_nearest_layout(
    tmp_path: Path, held: dict[str, Tensor], problem: str
) -> None:
    torch.save(held, tmp_path / "other.pth")
    with pytest.raises(WeightsError, match=problem):
        read_predictor_weights(tmp_path / "other.pth", 2)


def test_predictors_that_are_too_many_are_named(tmp_path: Path) -> None:
    LAYOUTS["bare keys"](tmp_path, predictors(0))
    given = read_predictor_weights(tmp_path, 2) | {"predictors.2.weight": torch.ones(1)}
    with pytest.raises(WeightsError, match=r"unknown '2\.weight'"):
        fill_predictors(predictors(1), part(given, PREDICTORS), "file")


@pytest.mark.parametrize("name", ["first", "-1", "²"])
def test_a_predictor_that_has_no_number_is_named(tmp_path: Path, name: str) -> None:
    LAYOUTS["bare keys"](tmp_path, predictors(0))
    given = read_predictor_weights(tmp_path, 2) | {f"predictors.{name}.weight": torch.ones(1)}
    with pytest.raises(WeightsError, match=f"unknown '{name}.weight'"):
        fill_predictors(predictors(1), part(given, PREDICTORS), "file")
    path = tmp_path / "all.safetensors"
    save_file({key: tensor.contiguous() for key, tensor in given.items()}, path)
    assert [held.number for held in summarise_weights(path).predictors] == [1, 2]
    assert len(write_one_a_pcoder(path, tmp_path / "out")) == 2


def network() -> Any:
    torch.manual_seed(0)
    backbone = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 4, 3, padding=1), nn.Flatten(), nn.Linear(256, 5)
    )
    pcoders = [
        {"module": "[0]", "predictor": "Conv2d(4, 3, 3, padding=1)"},
        {"module": "[2]", "predictor": "Conv2d(4, 4, 3, padding=1)"},
    ]
    return pcbench.predify(backbone, {"input_size": (3, 8, 8), "gradient_scaling": True, "pcoders": pcoders})


def test_a_scale_in_a_file_decides(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Oracle: the same C given in the configuration, as `error_window`."""
    counted = network()
    one_a_pcoder(trained, "_1.pth")(tmp_path, counted.predictors)  # C_sqrt = 3
    with caplog.at_level(logging.INFO, "pcbench"):
        model = load(counted, weights=tmp_path)
    assert "C, which decides the gradient scale: 9 for PCoder 1, 9 for PCoder 2" in caplog.text
    stated = network()
    stated.error_windows = (9.0, 9.0)
    images = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    expected = stated.unroll(images, 3).logits
    assert torch.equal(model.logits(images, 3), expected)
    assert not torch.equal(counted.unroll(images, 3).logits, expected)
