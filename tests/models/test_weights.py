"""Weights from files. Oracle: the tensors that were written, and a pickle that would run code if it were loaded."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import forking
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from pcbench.errors import WeightsError
from pcbench.models import libraries
from pcbench.models.libraries import published_weights
from pcbench.models.predictor_files import fill_predictors, read_predictor_weights
from pcbench.models.weights import fill, part, read_weights, save_weights, state_sha256


@pytest.fixture
def predictors() -> list[nn.Module]:
    torch.manual_seed(0)
    return [nn.ConvTranspose2d(4, 3, 3), nn.Sequential(nn.ConvTranspose2d(5, 4, 3), nn.ReLU())]


class Bomb:
    """What loads it writes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def filled(predictors: list[nn.Module], state: Mapping[str, Tensor]) -> bool:
    copies = nn.ModuleList([nn.ConvTranspose2d(4, 3, 3), nn.Sequential(nn.ConvTranspose2d(5, 4, 3), nn.ReLU())])
    fill_predictors(copies, part(state, "predictors."), "file")
    ours, theirs = copies.state_dict(), nn.ModuleList(predictors).state_dict()
    return all(torch.equal(ours[name], theirs[name]) for name in theirs)


@pytest.mark.parametrize("given", ["folder", "file"])
def test_predify_s_published_checkpoints(tmp_path: Path, predictors: list[nn.Module], given: str) -> None:
    # Oracle: the form of the published files: one state_dict per PCoder, the module alone.
    for number, predictor in enumerate(predictors, 1):
        torch.save(predictor.state_dict(), tmp_path / f"pnet_pretrained_pc{number}_pmodule.pth")
    path = tmp_path if given == "folder" else tmp_path / "pnet_pretrained_pc1_pmodule.pth"
    assert filled(predictors, read_predictor_weights(path, 2))


def test_predify_s_training_checkpoints(tmp_path: Path, predictors: list[nn.Module]) -> None:
    # Oracle: the form that Predify's training script writes, with optimizer, epoch and the scale's buffer.
    for number, predictor in enumerate(predictors, 1):
        weights = {f"pmodule.{name}": value for name, value in predictor.state_dict().items()}
        held = {"pcoderweights": {**weights, "C_sqrt": torch.tensor(12.0)}, "optimizer": {"lr": 0.1}, "epoch": 7}
        torch.save(held, tmp_path / f"pnet_pretrained_pc{number}_007.pth")
    assert filled(predictors, read_predictor_weights(tmp_path, 2))


def test_a_missing_checkpoint_is_named(tmp_path: Path, predictors: list[nn.Module]) -> None:
    torch.save(predictors[0].state_dict(), tmp_path / "net_pc1_pmodule.pth")
    with pytest.raises(WeightsError, match="holds no file named …_pc2…"):
        read_predictor_weights(tmp_path, 2)
    with pytest.raises(WeightsError, match=r"net_pc2_pmodule\.pth: is needed besides"):
        read_predictor_weights(tmp_path / "net_pc1_pmodule.pth", 2)


@pytest.mark.parametrize("as_zip", [True, False])
def test_a_pickle_that_would_run_code_is_refused(tmp_path: Path, as_zip: bool) -> None:
    path, ran = tmp_path / "net_pc1_pmodule.pth", tmp_path / "ran"
    if as_zip:
        torch.save({"weight": Bomb(ran)}, path)
    else:
        path.write_bytes(pickle.dumps({"weight": Bomb(ran)}))
    with pytest.raises(WeightsError) as caught:
        read_weights(path)
    assert "could run code" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not ran.exists()


@pytest.mark.parametrize("name", ["broken.safetensors", "broken.pth"])
def test_damaged_files_are_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"\x00\x01 no weights at all")
    with pytest.raises(WeightsError):
        read_weights(tmp_path / name)
    with pytest.raises(WeightsError, match="there is no such"):
        read_weights(tmp_path / f"missing-{name}")


def test_a_checkpoint_of_other_things_is_refused(tmp_path: Path) -> None:
    for held in ({"epoch": 3}, [torch.ones(2)], {1: torch.ones(2)}):
        torch.save(held, tmp_path / "other.pth")
        with pytest.raises(WeightsError):
            read_weights(tmp_path / "other.pth")


def test_weights_of_another_network_are_refused() -> None:
    layer = nn.Linear(2, 3)
    for state, words in [
        ({"weight": torch.ones(3, 2)}, "lacks 'bias'"),
        ({**layer.state_dict(), "more": torch.ones(1)}, "unknown 'more'"),
        ({"weight": torch.ones(2, 3), "bias": torch.ones(3)}, r"\(2, 3\) where \(3, 2\)"),
    ]:
        before = layer.weight.clone()
        with pytest.raises(WeightsError, match=words):
            fill(layer, state, "file")
        assert torch.equal(layer.weight, before)


def test_saving_is_whole_and_reproducible(tmp_path: Path, predictors: list[nn.Module]) -> None:
    paths = [tmp_path / "one.safetensors", tmp_path / "two.safetensors"]
    hashes = [save_weights(path, backbone=None, predictors=predictors, metadata={"made_by": "x"}) for path in paths]
    assert hashes[0] == hashes[1]
    assert sorted(tmp_path.iterdir()) == paths
    assert filled(predictors, load_file(paths[0]))


def test_a_state_s_hash_covers_names_types_shapes_and_values() -> None:
    base = nn.Linear(2, 2)
    same = nn.Linear(2, 2)
    same.load_state_dict(base.state_dict())
    assert state_sha256(base) == state_sha256(same)
    variants = [nn.Linear(2, 2), nn.Sequential(same), nn.Linear(4, 1)]
    half = nn.Linear(2, 2)
    half.load_state_dict(base.state_dict())
    variants.append(half.half())
    assert len({state_sha256(module) for module in [base, *variants]}) == 5


def test_published_weights_come_through_the_library_s_own_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A local stand-in for the download: torchvision finds the file in its store, and checks its hash.
    import hashlib

    from torchvision import models

    state = models.resnet18(weights=None).state_dict()
    path = tmp_path / "hub" / "checkpoints" / "stand-in.pth"
    path.parent.mkdir(parents=True)
    torch.save(state, path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
    path.rename(path.with_name(f"standin-{digest}.pth"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    weights = models.ResNet18_Weights.IMAGENET1K_V1
    monkeypatch.setattr(weights.value, "url", f"https://invalid.invalid/standin-{digest}.pth", raising=False)
    found = published_weights("torchvision:resnet18", "IMAGENET1K_V1")
    assert all(torch.equal(found[name], value) for name, value in state.items())


def test_timm_s_published_weights_come_through_its_own_store(tmp_path: Path, forks: forking.Forks) -> None:
    # A local stand-in for the download: the file lies in the store of the hub, and the network is switched off. It is
    # read in a process of its own, for the hub's library looks at these variables when it is imported.
    home = tmp_path / "models--timm--mobilenetv3_small_050.lamb_in1k"
    snapshot = home / "snapshots" / "0123456789abcdef0123456789abcdef01234567"
    snapshot.mkdir(parents=True)
    (home / "refs").mkdir()
    (home / "refs" / "main").write_text(snapshot.name)
    script = (
        "import sys, timm\nfrom safetensors.torch import save_file\n"
        "network = timm.create_model('mobilenetv3_small_050', pretrained=False)\n"
        "save_file(network.state_dict(), sys.argv[2])\n"
        "from pcbench.models.libraries import published_weights\n"
        "save_file(dict(published_weights('timm:mobilenetv3_small_050', 'lamb_in1k')), sys.argv[1])\n"
        "published_weights('timm:mobilenetv3_small_075', 'lamb_in1k')\n"
    )
    environment = os.environ | {"HF_HUB_CACHE": str(tmp_path), "HF_HUB_OFFLINE": "1"}
    made = tmp_path / "read.safetensors"
    command = [sys.executable, "-c", script, str(made), str(snapshot / "model.safetensors")]
    _, errors = forks.subprocess.Popen(command, env=environment, stderr=subprocess.PIPE).communicate()
    found, state = load_file(made), load_file(snapshot / "model.safetensors")
    assert found.keys() == state.keys()
    assert all(torch.equal(found[name], value) for name, value in state.items())
    assert b"backbone_weights='FILE'" in errors


def test_weights_that_cannot_be_fetched_name_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(name: str, pretrained: str) -> None:
        raise OSError(f"no network for {name} {pretrained}\nand more")

    monkeypatch.setattr(libraries, "_fetch_torchvision", offline)
    with pytest.raises(WeightsError) as caught:
        published_weights("torchvision:vgg16", "IMAGENET1K_V1")
    message = str(caught.value)
    assert "backbone_weights='FILE'" in message
    assert "no network for vgg16 IMAGENET1K_V1" in message
    assert "\n" not in message


def test_safetensors_are_read_without_prefixes(tmp_path: Path) -> None:
    save_file({"weight": torch.ones(2)}, tmp_path / "a.safetensors")
    assert read_weights(tmp_path / "a.safetensors")["weight"].tolist() == [1, 1]
