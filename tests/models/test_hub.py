"""Models of the hub: a stand-in server on this machine (the real service was not asked), and timm's own network.

Oracle: the network that timm makes with the weights that the repository holds, and the paths that the server was asked
for.
"""

from __future__ import annotations

import io
import json
import pickle
from collections.abc import Generator
from pathlib import Path

import pytest
import timm
import torch
from hub_stand_in import HubStandIn, serving
from safetensors.torch import save
from torch import Tensor

from pcbench import models
from pcbench.errors import UnknownNameError, UsageError, WeightsError
from pcbench.models import hub

NAMES = ["cat", "dog", "bird"]
CONFIG = {
    "architecture": "test_resnet",
    "num_classes": 3,
    "label_names": NAMES,
    "pretrained_cfg": {
        "input_size": [3, 160, 160],
        "crop_pct": 0.95,
        "interpolation": "bicubic",
        "mean": [0.5, 0.5, 0.5],
        "std": [0.25, 0.25, 0.25],
        "num_classes": 3,
        "tag": "made",
    },
}


def network(seed: int) -> torch.nn.Module:
    torch.manual_seed(seed)
    return timm.create_model("test_resnet", pretrained=False, num_classes=3).eval()


def files(seed: int, config: object = CONFIG) -> dict[str, bytes]:
    return {"config.json": json.dumps(config).encode(), "model.safetensors": save(network(seed).state_dict())}


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[HubStandIn]:
    from huggingface_hub import constants

    hub.hub_model.cache_clear()
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    with serving() as found:
        monkeypatch.setenv("HF_ENDPOINT", found.endpoint)
        yield found
    hub.hub_model.cache_clear()


@pytest.fixture
def images() -> Tensor:
    return torch.rand(2, 3, 160, 160, generator=torch.Generator().manual_seed(1))


def test_a_repository_is_measured_as_its_files_say(server: HubStandIn, images: Tensor) -> None:
    commit = server.commit("me/net", files(5))
    model = models.load("hf:me/net")
    with torch.no_grad():
        torch.testing.assert_close(model.logits(images)[0], network(5)((images - 0.5) / 0.25))
    assert (model.classes, model.class_names, model.timesteps) == (3, tuple(NAMES), 0)
    stated = model.preprocessing
    # timm: the short side is resized to floor(160 / 0.95).
    assert (stated.resize, stated.crop, stated.interpolation) == (168, 160, "bicubic")
    assert model.description["backbone"] == f"hf:me/net@{commit}"
    assert model.description["model"] == "hf:me/net"


def test_a_revision_is_what_it_was_and_another_commit_is_another_model(server: HubStandIn, images: Tensor) -> None:
    first = server.commit("me/net", files(5))
    server.commit("me/net", files(6), branch="next")
    by_branch, pinned = models.load("hf:me/net@next"), models.load(f"hf:me/net@{first}")
    assert by_branch.description["backbone"] != pinned.description["backbone"]
    assert by_branch.description["backbone_sha256"] != pinned.description["backbone_sha256"]
    # A commit that is here needs no network.
    asked = len(server.asked)
    hub.hub_model.cache_clear()
    again = models.load(f"hf:me/net@{first}")
    assert len(server.asked) == asked
    assert torch.equal(again.logits(images), pinned.logits(images))


def test_without_the_network_the_copy_that_is_here_is_taken_and_a_missing_one_is_one_line(
    server: HubStandIn, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    commit = server.commit("me/net", files(5))
    models.load("hf:me/net")
    hub.hub_model.cache_clear()
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # nothing listens there
    assert models.load("hf:me/net").description["backbone"] == f"hf:me/net@{commit}"
    assert "cannot be reached" in caplog.text
    with pytest.raises(WeightsError, match=r"hf:me/other: http://127.0.0.1:9 cannot be reached"):
        models.load("hf:me/other")


def test_tensors_of_a_checkpoint_are_read_and_a_pickle_that_runs_code_is_refused(
    server: HubStandIn, images: Tensor, tmp_path: Path
) -> None:
    class Runs:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (Path.touch, (tmp_path / "ran",))

    config = {"config.json": json.dumps(CONFIG).encode()}
    stream = io.BytesIO()
    torch.save(network(5).state_dict(), stream)
    server.commit("me/tensors", {**config, "pytorch_model.bin": stream.getvalue()})
    server.commit("me/code", {**config, "pytorch_model.bin": pickle.dumps(Runs())})
    with torch.no_grad():
        expected = network(5)((images - 0.5) / 0.25)
    torch.testing.assert_close(models.load("hf:me/tensors").logits(images)[0], expected)
    with pytest.raises(WeightsError, match="could run code"):
        models.load("hf:me/code")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("config", "error", "says"),
    [
        ({"architectures": ["ResNetForImageClassification"]}, UsageError, "is a model of transformers, not of timm"),
        ({**CONFIG, "architecture": "resnet5000"}, UnknownNameError, "did you mean 'resnet50'"),
        ({**CONFIG, "model_args": {"checkpoint_path": "/etc/passwd"}}, UsageError, "may read other files"),
        ({**CONFIG, "model_args": {"no_such": 1}}, UsageError, "timm cannot make test_resnet"),
        ({**CONFIG, "num_classes": 0}, UsageError, "gives features and no classes"),
        ([1], UsageError, "not a table"),
    ],
)
def test_what_is_not_a_classifier_of_timm_is_one_line(
    server: HubStandIn, config: object, error: type[Exception], says: str
) -> None:
    server.commit("me/other", files(5, config))
    with pytest.raises(error, match=says):
        models.load("hf:me/other")


def test_what_the_hub_does_not_give_is_told_in_the_users_words(server: HubStandIn) -> None:
    server.commit("me/net", {"README.md": b""})
    server.gated.add("me/gated")
    for name, says in {
        "hf:me/net": r"holds no config.json, as repositories in timm's format do",
        "hf:me/net@v9": "has no such revision",
        "hf:me/gone": "there is no such repository, or it is private",
        "hf:me/gated": "asks for its terms to be accepted",
    }.items():
        with pytest.raises(WeightsError, match=says):
            models.load(name)
