"""What `predify` accepts, and what it refuses.

Oracle: the backbone itself (t = 0, bit for bit), and a plain implementation of the dynamics that shares no code with
ours (`benchmarks/plain_dynamics.py`).
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_network import Configure
from torch import Tensor, nn

import pcbench
from pcbench.errors import ConfigurationError, DefinitionError, UsageError
from pcbench.network.backbone import Backbone
from pcbench.network.hooked import HookedBackbone
from pcbench.network.network import PredictiveNetwork
from pcbench.network.traced import TracedBackbone


class Residual(nn.Module):
    """Skip connections, in-place layers and in-place arithmetic around the PCoders' modules."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(inplace=True))
        self.first = nn.Conv2d(8, 8, 3, padding=1)
        self.second = nn.Sequential(nn.ReLU(inplace=True), nn.Conv2d(8, 8, 3, padding=1))
        self.head = nn.Linear(8, 5)

    def forward(self, images: Tensor) -> Tensor:
        low = self.stem(images)
        middle = self.first(low)
        middle += low
        high = torch.relu_(self.second(middle)) + middle + low
        return self.head(high.mean((2, 3)))


class Dense(nn.Module):
    """Every layer sees all before it, as in a DenseNet; grouped and depthwise convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Conv2d(3, 6, 3, padding=1)
        self.two = nn.Conv2d(9, 9, 3, padding=1, groups=9)
        self.three = nn.Conv2d(18, 6, 1, groups=3)
        self.scale = nn.Parameter(torch.tensor(0.7))
        self.head = nn.Linear(24, 4)

    def forward(self, images: Tensor) -> Tensor:
        features = [images]
        for layer in (self.one, self.two, self.three):
            features.append(torch.tanh(layer(torch.cat(features, 1))) * self.scale)
        return self.head(torch.cat(features, 1).flatten(2).amax(2))


class DataDependent(nn.Module):
    """Its path depends on what it sees, so it cannot be traced."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.ModuleList([nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)])
        self.head = nn.Linear(4, 3)

    def forward(self, images: Tensor) -> Tensor:
        hidden = self.body[0](images)
        if hidden.abs().mean() > 0:
            hidden = self.body[1](hidden.relu())
        return self.head(hidden.mean((2, 3)))


NETWORKS = {
    "residual": (Residual, ["stem", "first", "second"], TracedBackbone),
    "residual, before a layer in place": (Residual, ["stem[0]", "second[1]"], TracedBackbone),
    "dense": (Dense, ["one", "two", "three"], TracedBackbone),
    "data-dependent": (DataDependent, ["body[0]", "body[1]"], HookedBackbone),
}


def make(name: str, **options: Any) -> tuple[nn.Module, PredictiveNetwork, type[Backbone]]:
    build, modules, kind = NETWORKS[name]
    torch.manual_seed(0)
    backbone = build().double().eval()
    weights = {"feedforward": 0.5, "feedback": 0.2, "pc": 0.1}
    pcoders = [{"module": module, "hyperparameters": weights} for module in modules]
    config = {"input_size": [3, 8, 8], "pcoders": pcoders, "gradient_scaling": True, **options}
    return backbone, pcbench.predify(backbone, config), kind


@pytest.fixture
def inputs() -> Tensor:
    return torch.randn(3, 3, 8, 8, generator=torch.Generator().manual_seed(3), dtype=torch.float64)


@pytest.mark.parametrize("name", NETWORKS)
def test_any_network_equals_the_plain_implementation(name: str, inputs: Tensor, plain: Callable[..., Any]) -> None:
    backbone, network, kind = make(name)
    assert type(network.backbone) is kind
    expected = plain(backbone, network).unroll(inputs, 4)
    found = network.unroll_input(inputs, 4).logits
    assert torch.equal(found[0], backbone(inputs))
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)
    assert (found[4] - found[0]).abs().max() > 1e-3


@pytest.mark.parametrize("name", NETWORKS)
def test_exact_gradients_equal_the_plain_implementation(name: str, inputs: Tensor, plain: Callable[..., Any]) -> None:
    backbone, network, _ = make(name)
    gradients = []
    for unroll in (
        plain(backbone, network, differentiable=True).unroll,
        lambda x, t: network.unroll_input(x, t).logits,
    ):
        images = inputs.clone().requires_grad_()
        gradients.append(torch.autograd.grad(unroll(images, 3)[-1].square().sum(), images)[0])
    torch.testing.assert_close(gradients[1], gradients[0], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_backbone_is_not_modified(name: str, inputs: Tensor) -> None:
    backbone, network, _ = make(name)
    backbone.train()
    before = copy.deepcopy(backbone.state_dict())
    network.train()
    network.unroll_input(inputs, 2)
    network.float()
    assert backbone.training
    assert not any(module._forward_hooks for module in backbone.modules())
    assert all(parameter.requires_grad for parameter in backbone.parameters())
    assert all(torch.equal(value, before[key]) for key, value in backbone.state_dict().items())
    assert [m.inplace for m in backbone.modules() if hasattr(m, "inplace")] in ([True, True], [])


def test_what_no_pcoder_changes_runs_once(inputs: Tensor) -> None:
    runs = []
    backbone, _, _ = make("residual")
    backbone.stem.register_forward_hook(lambda *_: runs.append("stem"))
    backbone.second.register_forward_hook(lambda *_: runs.append("second"))
    network = pcbench.predify(backbone, {"input_size": [3, 8, 8], "pcoders": [{"module": "first"}]})
    runs.clear()
    network.unroll_input(inputs, 3)
    assert runs == ["stem"] + ["second"] * 4


def test_predictors_start_the_same_and_leave_the_global_generator_alone(
    small_backbone: nn.Module, small_configuration: Configure
) -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    networks = [pcbench.predify(small_backbone, small_configuration()) for _ in range(2)]
    assert torch.equal(before, torch.get_rng_state())
    first, second = (network.predictors.state_dict() for network in networks)
    assert all(torch.equal(first[key], second[key]) for key in first)


def test_error_windows_are_counted_with_padding_clipped(
    small_backbone: nn.Module, small_configuration: Configure
) -> None:
    # Oracle: DESIGN's numbers for the fixtures' decoders, 75, 288 and 576.
    network = pcbench.predify(small_backbone, small_configuration(gradient_scaling=True))
    assert network.error_windows == (75, 288, 576)
    given = small_configuration(gradient_scaling=True, error_windows=[75, None, 144.0])
    assert pcbench.predify(small_backbone, given).error_windows == (75, 288, 144)


def with_pcoder(config: dict[str, Any], number: int, **changes: Any) -> dict[str, Any]:
    config["pcoders"][number] = {**config["pcoders"][number], **changes}
    return config


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"module": "[7]x"}, "PCoder 2 ([7]x): the backbone has no such module"),
        ({"module": "features[3]"}, "the backbone has no such module; it holds 0, 1, 2"),
        ({"module": "[1]"}, "PCoder 1 sits on this module already"),
        ({"module": "[8]"}, "listed in forward order; here: [1], [5], [8]"),
        ({"predictor": "ConvTranspose2d(16, 9, 6, stride=2, padding=2)"}, "makes (9, 16, 16)"),
        ({"predictor": "ConvTranspose2d(16, 8, 5, stride=2, padding=2)"}, "but e_1 is (8, 16, 16)"),
        ({"predictor": "ConvTranspose2d(7, 8, 6, stride=2, padding=2)"}, "the predictor cannot take e_2"),
        ({"predictor": "ConvTranspose2d(16, 8, kernel=6)"}, "is refused by PyTorch"),
        ({"predictor": "__import__('os').system('true')"}, "PCoder 2 ([3]): predictor:"),
        ({"hyperparameters": {"feedforward": 0.8, "feedback": 0.3, "pc": 0}}, "feedforward + feedback is 1.1"),
    ],
)
def test_what_is_wrong_is_refused_with_pcoder_and_fix(
    small_backbone: nn.Module, small_configuration: Configure, changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        pcbench.predify(small_backbone, with_pcoder(small_configuration(), 1, **changes))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"input_size": [3, 16]}, "input_size"),
        ({"input_size": [1, 16, 16]}, "the backbone cannot run on (1, 16, 16)"),
        ({"pcoders": []}, "pcoders"),
        ({"gradient_scalling": True}, "did you mean 'gradient_scaling'"),
        ({"imports": ["import os"]}, "is refused"),
        ({"imports": ["from torch.nn import ReLU; import os"]}, "is refused"),
    ],
)
def test_a_wrong_configuration_is_refused(
    small_backbone: nn.Module, small_configuration: Configure, options: dict[str, Any], words: str
) -> None:
    with pytest.raises((ConfigurationError, DefinitionError)) as caught:
        pcbench.predify(small_backbone, small_configuration() | options)
    assert words in str(caught.value)


def test_pcoders_out_of_order_are_refused(small_backbone: nn.Module) -> None:
    config = {"input_size": [3, 16, 16], "pcoders": [{"module": "[5]"}, {"module": "[1]"}]}
    with pytest.raises(ConfigurationError, match=r"forward order; here: \[1\], \[5\]"):
        pcbench.predify(small_backbone, config)


class Random(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 3, 1)

    def forward(self, images: Tensor) -> Tensor:
        return (self.layer(images) + torch.rand_like(images)).mean((2, 3))


def test_a_backbone_that_answers_differently_each_time_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="differently each time"):
        pcbench.predify(Random(), {"input_size": [3, 8, 8], "pcoders": [{"module": "layer"}]})


class Normalising(nn.Sequential):
    """Normalises images by its attributes, in code of its own."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return logits."""
        mean, std = (torch.tensor(getattr(self, name)).view(3, 1, 1) for name in ("mean", "std"))
        return super().forward((images - mean) / std)


@pytest.mark.parametrize("kind", [nn.Sequential, Normalising])
def test_what_a_backbone_states_of_its_images_counts_where_nothing_is_given(kind: type[nn.Sequential]) -> None:
    """Oracle: the backbone's own logits on images that are normalised here."""
    mean, std = [0.4, 0.5, 0.6], [0.2, 0.25, 0.3]
    torch.manual_seed(0)
    backbone = kind(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4 * 36, 5))
    backbone.mean, backbone.std = mean, std  # type: ignore[assignment] - as users set them
    kept = {name: value.clone() for name, value in backbone.state_dict().items()}
    configuration = {"input_size": [3, 8, 8], "pcoders": [{"module": "[0]"}]}
    network = pcbench.predify(backbone, configuration)  # in training mode, as it comes from an own loop
    assert backbone.training
    assert all(torch.equal(value, kept[name]) for name, value in backbone.state_dict().items())
    images = torch.rand(2, 3, 8, 8)
    inputs = (images - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)
    with torch.no_grad():
        expected = nn.Sequential.forward(backbone.eval(), inputs)
    torch.testing.assert_close(network.unroll(images, 0).logits[0], expected)
    given = pcbench.predify(backbone, configuration, mean=[0.0] * 3, std=[1.0] * 3)
    assert not torch.allclose(given.unroll(images, 0).logits[0], expected) or kind is Normalising


def test_the_same_images_give_the_same_logits_whichever_way_they_are_asked(
    small_backbone: nn.Module, small_configuration: Configure, images: Tensor
) -> None:
    mean, std = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)
    network = pcbench.predify(small_backbone, small_configuration(), mean=mean, std=std)
    inputs = (images - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)
    expected = network.unroll_input(inputs, 3).logits
    torch.testing.assert_close(network.unroll(images, 3).logits, expected)
    torch.testing.assert_close(network(images, 3), expected)
    torch.testing.assert_close(network.at(3)(images), expected[3])
    # Without the normalisation, which a call of `unroll` once left out without a message, the logits are others.
    assert not torch.allclose(network.unroll_input(images, 3).logits, expected, atol=1e-3)
    with pytest.raises(UsageError, match=r"images reach from -.* in \[0,1\].*use unroll_input"):
        network.unroll(inputs, 3)
    with pytest.raises(UsageError, match="unroll_input"):
        network.unroll(images * 255, 3)
    with pytest.raises(UsageError, match="images hold NaN; unroll takes images in"):
        network.unroll(images.clone().index_fill_(0, torch.tensor([0]), float("nan")), 3)
    with pytest.raises(UsageError, match="one number for each of the 3 channels"):
        pcbench.predify(small_backbone, small_configuration(), mean=[0.5], std=[0.5])


def test_predify_s_file_is_read_as_it_stands(tmp_path: Path, small_backbone: nn.Module) -> None:
    path = tmp_path / "config.toml"
    path.write_text(
        """
name = "Small"
input_size = [3, 16, 16]
imports = [
"from   torch.nn import Sequential, ReLU, ConvTranspose2d",
]
gradient_scaling = true
shared_hyperparameters = true
[[pcoders]]
module = "[1]"
predictor = "ConvTranspose2d(8, 3, kernel_size=(5, 5), stride=(1, 1), padding=(2, 2))"
hyperparameters = {feedforward=0.2, feedback=0.05, pc=0.01}
[[pcoders]]
module = "[3]"
predictor = "Sequential(ConvTranspose2d(16, 8, kernel_size=(6, 6), stride=(2, 2), padding=(2, 2)), ReLU(inplace=True))"
hyperparameters = {feedforward=0.4, feedback=0.1, pc=0.01}
[[pcoders]]
module = "[5]"
"""
    )
    network = pcbench.predify(small_backbone, path)
    # Shared hyperparameters are the first PCoder's; nothing feeds back to the last one.
    assert [(h.feedforward, h.feedback, h.error_weight) for h in network.hyperparameters] == [
        (0.2, 0.05, 0.01),
        (0.2, 0.05, 0.01),
        (0.2, 0.0, 0.01),
    ]
    assert network.unroll_input(torch.rand(2, 3, 16, 16), 2).logits.shape == (3, 2, 10)


@pytest.mark.parametrize("config", [None, 3, [1], "", "input_size = [3, 8, 8]\n[[pcoders]]\nmodule = 'first'\n"])
def test_what_is_not_a_configuration_is_refused(config: Any) -> None:
    with pytest.raises(UsageError, match="a configuration is a TOML file or a table"):
        pcbench.predify(nn.Sequential(nn.Conv2d(3, 4, 3)), config)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"predictor": "Conv2d(4, 3, 3, 0)"}, "the predictor cannot take e_1 .* integer division or modulo by zero"),
        ({"predictor": f"Conv2d(4, 3, {10**30})"}, "is refused by PyTorch"),
        ({"input_size": [3, 10**30, 8]}, "the backbone cannot run on"),
        ({"input_size": [3, 10**7, 10**7]}, "the backbone cannot run on"),
        ({"input_size": torch.rand(3, 64, 64)}, "input_size.0"),
    ],
)
def test_numbers_that_no_layer_takes_are_refused_in_one_line(change: dict[str, Any], message: str) -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    pcoder = {"module": "0", **{key: value for key, value in change.items() if key == "predictor"}}
    size = change.get("input_size", [3, 8, 8])
    with pytest.raises(UsageError, match=message) as caught:
        pcbench.predify(net, {"input_size": size, "pcoders": [pcoder]})
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 800


def test_a_path_that_cannot_be_one_is_refused() -> None:
    with pytest.raises(DefinitionError, match="cannot be read"):
        pcbench.predify(nn.Sequential(nn.Conv2d(3, 4, 3)), "\0.toml")


def test_channels_are_normalised_by_numbers_of_any_type() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    config = {"input_size": np.array([3, 8, 8]), "pcoders": [{"module": "0"}]}
    images = torch.rand(1, 3, 8, 8)
    expected = pcbench.predify(net, config, mean=[0.5] * 3, std=[0.25] * 3).unroll(images, 1).logits
    for mean, std in ((np.full(3, 0.5), torch.full((3,), 0.25)), (["1/2"] * 3, (0.25,) * 3)):
        assert torch.equal(pcbench.predify(net, config, mean=mean, std=std).unroll(images, 1).logits, expected)  # type: ignore[arg-type]
    for wrong in (0.5, [0.5, 0.5], [True] * 3, [float("nan")] * 3, {}):
        with pytest.raises(UsageError, match="one number for each of the 3 channels"):
            pcbench.predify(net, config, mean=wrong)  # type: ignore[arg-type]


def test_a_module_that_timm_has_renamed_is_told() -> None:
    """Oracle: timm's own network, in which the published file's act1 is a part of bn1."""
    import timm

    backbone = timm.create_model("mobilenetv3_small_050", pretrained=False)
    config = {"input_size": [3, 32, 32], "pcoders": [{"module": "act1"}]}
    with pytest.raises(ConfigurationError, match="in today's timm 'bn1' holds that activation: name it, as pefficient"):
        pcbench.predify(backbone, config)
