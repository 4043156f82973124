"""The predictors that the zoo's configurations state, and those that Predify infers.

Oracle: the shapes that each backbone makes by itself, module by module, on PyTorch's device without values.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pcbench.models.backbones import open_backbone
from pcbench.models.zoo import CONTROL, zoo_entry, zoo_names
from pcbench.network.configuration import NetworkConfiguration, read_configuration
from pcbench.network.expressions import build_module, imported_names
from pcbench.network.predictors import inferred_predictor, predicted_shape

PREDICTIVE = [name for name in zoo_names() if zoo_entry(name).configuration is not None]
PUBLISHED = "pefficientnet_b0_timm"
"""Its published predictors are those that Predify infers."""


def shapes(name: str, configuration: NetworkConfiguration) -> list[tuple[int, ...]]:
    """The shapes of the image and of all representations of one image."""
    found: list[tuple[int, ...]] = [configuration.table.input_size]

    def keep(_: nn.Module, __: Any, value: Tensor) -> None:
        found.append(tuple(value.shape[1:]))

    with torch.device("meta"):
        backbone = open_backbone(zoo_entry(name).backbone).eval()
        for pcoder in configuration.table.pcoders:
            backbone.get_submodule(pcoder.path).register_forward_hook(keep)
        backbone(torch.empty(1, *configuration.table.input_size))
    return found


@pytest.mark.parametrize("name", [name for name in PREDICTIVE if not name.endswith(CONTROL)])
def test_each_predictor_makes_what_lies_below(name: str) -> None:
    path = zoo_entry(name).configuration_path
    assert path is not None
    configuration = read_configuration(path)
    imports, sizes = imported_names(configuration.table.imports), shapes(name, configuration)
    assert len(sizes) == len(configuration.table.pcoders) + 1
    for below, shape, pcoder in zip(sizes[:-1], sizes[1:], configuration.table.pcoders, strict=True):
        with torch.device("meta"):
            made = inferred_predictor(shape, below)
            if pcoder.predictor is not None:
                made = build_module(pcoder.predictor, imports)
        assert predicted_shape(made, shape) == below
        if pcoder.predictor is not None and "vgg" not in name:
            _check_form(made, image=below == sizes[0], halves=below[1] == 2 * shape[1], of_resnet="resnet" in name)


def _check_form(predictor: nn.Module, *, image: bool, halves: bool, of_resnet: bool) -> None:
    """Linear at the image; kernels of 6 at stride 2 where resolution halves; a ReLU where e_{n-1} has one."""
    layers = list(predictor) if isinstance(predictor, nn.Sequential) else [predictor]
    convolution = layers[0]
    assert isinstance(convolution, nn.ConvTranspose2d)
    assert [type(layer) for layer in layers[1:]] == [nn.ReLU] * (of_resnet and not image)
    if halves and convolution.in_channels > 16:  # the networks of the digits are smaller
        assert (convolution.kernel_size, convolution.stride) == ((6, 6), (2, 2))


def test_predictors_are_inferred_where_weights_for_those_are_published() -> None:
    inferred: set[str] = set()
    for name in PREDICTIVE:
        path = zoo_entry(name).configuration_path
        assert path is not None
        if any(pcoder.predictor is None for pcoder in read_configuration(path).table.pcoders):
            inferred.add(name)
    assert inferred == {PUBLISHED, f"{PUBLISHED}-paper"}
