"""Networks from a configuration and a backbone. Oracle: `predify` called in Python, and what the libraries state."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import pcbench
from pcbench import models
from pcbench.errors import ConfigurationError, DefinitionError, UnknownNameError, UsageError, WeightsError
from pcbench.models.backbones import open_backbone
from pcbench.models.conversions import converted_entry, inspect_network
from pcbench.models.zoo import zoo_entry

CONFIG = """
name = "Mine"
input_size = [3, 64, 64]
gradient_scaling = true
[[pcoders]]
module = "relu"
[[pcoders]]
module = "layer2[1].conv2"
hyperparameters = {feedforward = 0.5, feedback = 0.2, pc = 0.1}
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "mine.toml"
    path.write_text(CONFIG)
    return path


def test_facts_are_those_of_the_network(config: Path) -> None:
    facts = inspect_network(config, "torchvision:resnet18")
    assert (facts.name, facts.classes, facts.traced) == ("Mine", 1000, True)
    first, second = facts.pcoders
    assert (first.representation, first.prediction, first.error_window) == ((64, 32, 32), (3, 64, 64), 108)
    assert (second.module, second.representation, second.prediction) == ("layer2[1].conv2", (128, 8, 8), (64, 32, 32))
    assert second.hyperparameters == (0.5, 0.0, 0.1)
    assert second.parameters == 128 * 64 * 9 + 64
    assert second.predictor.startswith("Sequential(")


def test_what_does_not_fit_is_named(config: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"PCoder 1 \(relu\): the backbone has no such module"):
        inspect_network(config, "torchvision:vgg11")
    with pytest.raises(UnknownNameError, match="did you mean 'resnet18'"):
        inspect_network(config, "torchvision:resnet81")
    with pytest.raises(UnknownNameError, match="timm model"):
        inspect_network(config, "timm:resnetty")
    with pytest.raises(DefinitionError, match="there is no such file"):
        inspect_network(tmp_path / "none.toml", "torchvision:resnet18")


def test_libraries_state_preprocessing_and_weights(config: Path) -> None:
    vision = converted_entry(f"{config}@torchvision:resnet18")
    assert (vision.pretrained, vision.class_names, vision.mean) == ("IMAGENET1K_V1", "imagenet", (0.485, 0.456, 0.406))
    assert (vision.preprocessing.resize, vision.preprocessing.crop) == (256, 64)
    other = converted_entry(f"{config}@timm:efficientnet_b0")
    zoo = zoo_entry("pefficientnet_b0_timm")
    assert (other.pretrained, other.mean, other.std) == (zoo.pretrained, zoo.mean, zoo.std)
    assert (other.preprocessing.resize, other.preprocessing.interpolation) == (73, "bicubic")


def test_a_function_s_backbone_brings_its_weights(tmp_path: Path) -> None:
    path = tmp_path / "small.toml"
    path.write_text('input_size = [3, 32, 32]\n[[pcoders]]\nmodule = "[1]"\n[[pcoders]]\nmodule = "[3]"\n')
    function = "pcbench.models.architectures:digits_network"
    with pytest.raises(WeightsError, match="random_predictors=SEED"):
        models.load(f"{path}@{function}")
    model = models.load(f"{path}@{function}", random_predictors=3)
    assert (model.timesteps, model.classes, model.class_names) == (8, 10, None)
    images = torch.rand(2, 3, 32, 32)
    backbone = open_backbone(function).eval()
    assert torch.equal(model.logits(images, 1)[0], backbone(images))
    network = pcbench.predify(backbone, path)
    network.predictors.load_state_dict(model.network.predictors.state_dict())
    assert torch.equal(model.logits(images, 2), network(images, 2))
    with pytest.raises(UsageError, match="does not name a backbone"):
        models.load(f"{path}@")
