"""Predictors that a configuration leaves out.

Oracles: what Predify's generator writes; the arithmetic of its factors, in whole numbers and in floating point.
"""

from __future__ import annotations

import pytest
import torch
from small_network import Configure
from torch import nn

import pcbench
from pcbench.network.predictors import inferred_predictor, predicted_shape


def test_inferred_predictors_are_those_of_predify(small_backbone: nn.Module, small_configuration: Configure) -> None:
    # Oracle: Predify's generated code: bilinear upsampling where sizes differ, then ConvTranspose2d 3x3.
    config = small_configuration()
    for pcoder in config["pcoders"]:
        del pcoder["predictor"]
    found = [str(predictor) for predictor in pcbench.predify(small_backbone, config).predictors]
    convolution = "ConvTranspose2d({}, {}, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1))"
    assert convolution.format(8, 3) in found[0]
    assert "Upsample" not in found[0]
    assert "Upsample(scale_factor=(2.0, 2.0), mode='bilinear')" in found[1]
    assert convolution.format(24, 16) in found[2]


def _pairs() -> list[tuple[int, int]]:
    return [(size, below) for size in range(1, 129) for below in range(size + 1, 301)]


def _misses(size: int, below: int) -> bool:
    """Whether Predify's factor makes another number of rows than there are below."""
    return int(size * (below / size)) != below


def test_an_inferred_predictor_fits_every_pair_of_sizes() -> None:
    missed = [pair for pair in _pairs() if _misses(*pair)]
    assert (len(missed), len(_pairs())) == (1070, 30144)
    assert (55, 224) in missed
    for size, below in [*missed[::20], *_pairs()[::1001], (55, 224), (300, 1), (22, 15), (1, 1)]:
        predictor = inferred_predictor((2, size, 1), (3, below, 2))
        assert predicted_shape(predictor, (2, size, 1)) == (3, below, 2), (size, below)


@pytest.mark.parametrize(("size", "below"), [((7, 8), (14, 16)), ((55, 8), (224, 16)), ((8, 55), (16, 224))])
def test_weights_are_named_as_predify_names_them_and_fitting_factors_stay(
    size: tuple[int, int], below: tuple[int, int]
) -> None:
    predictor = inferred_predictor((2, *size), (3, *below))
    assert list(predictor.state_dict()) == ["1.weight", "1.bias"]
    factor = (below[0] / size[0], below[1] / size[1])
    fits = not (_misses(size[0], below[0]) or _misses(size[1], below[1]))
    upsampling = predictor.get_submodule("0")
    assert isinstance(upsampling, nn.Upsample)
    assert upsampling.scale_factor == (factor if fits else None)
    assert upsampling.size == (None if fits else below)


def test_upsampling_to_a_size_is_upsampling_by_its_factor() -> None:
    # Where both work they are the same function, to the rounding of a factor.
    values = torch.rand(1, 2, 5, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    by_factor = nn.Upsample(scale_factor=(13 / 5, 29 / 7), mode="bilinear")(values)
    torch.testing.assert_close(nn.Upsample(size=(13, 29), mode="bilinear")(values), by_factor, rtol=1e-12, atol=1e-12)


def test_a_network_of_alexnets_sizes_runs() -> None:
    backbone = nn.Sequential(nn.Conv2d(3, 2, 11, stride=4, padding=2), nn.ReLU(), nn.Flatten(), nn.Linear(6050, 2))
    network = pcbench.predify(
        backbone, {"input_size": [3, 224, 224], "gradient_scaling": True, "pcoders": [{"module": "[1]"}]}
    )
    kept = network.unroll(torch.rand(1, 3, 224, 224), 1, keep=["reconstructions"])
    assert kept.reconstructions[1].shape == (1, 3, 224, 224)
