"""Oracles: SciPy's Gaussian filter, a permutation written as a loop, and the equation of the update written out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from small_network import Configure
from torch import Tensor, nn

import pcbench
from pcbench.catalog import package_folder
from pcbench.errors import DefinitionError
from pcbench.models.loading import load
from pcbench.network.configuration import read_configuration
from pcbench.network.controls import Control, blurred, misplaced
from pcbench.network.network import PredictiveNetwork
from pcbench.training.hyperparameters import write_configuration

WEIGHTS = [(0.5, 0.3, 0.0), (0.4, 0.2, 0.0), (0.6, 0.0, 0.0)]


def made(backbone: nn.Module, configure: Configure, control: dict[str, Any] | None, **options: Any) -> Any:
    table = configure(**{"hyperparameters": WEIGHTS, **options})
    return pcbench.predify(backbone, table if control is None else {**table, "control": control})


@pytest.mark.parametrize("width", [0.3, 0.5, 2.0])
def test_a_blur_is_scipys(width: float) -> None:
    values = torch.randn(2, 3, 9, 7, dtype=torch.float64)
    expected = gaussian_filter(values.numpy(), (0, 0, width, width), mode="reflect", truncate=4.0)
    np.testing.assert_allclose(blurred(values, width).numpy(), expected, atol=1e-12)
    features = torch.randn(2, 11, dtype=torch.float64)
    expected = gaussian_filter(features.numpy(), (0, width), mode="reflect", truncate=4.0)
    np.testing.assert_allclose(blurred(features, width).numpy(), expected, atol=1e-12)


def test_misplaced_values_are_the_same_in_one_order_for_all_images_and_channels() -> None:
    values = torch.randn(2, 3, 4, 5)
    found = misplaced(values, 7, 1)
    order = np.random.default_rng([7, 1]).permutation(20)
    for image in range(2):
        for channel in range(3):
            cells = values[image, channel].flatten()
            assert found[image, channel].flatten().tolist() == [float(cells[cell]) for cell in order]
    assert not torch.equal(misplaced(values, 7, 0), found)
    assert not torch.equal(misplaced(values, 8, 1), found)


def test_an_input_blur_stands_before_the_network(
    small_backbone: nn.Module, small_configuration: Configure, images: Tensor
) -> None:
    plain = made(small_backbone, small_configuration, None)
    blur = made(small_backbone, small_configuration, {"kind": "input-blur", "width": 0.6})
    inputs = torch.from_numpy(gaussian_filter(images.numpy(), (0, 0, 0.6, 0.6), mode="reflect", truncate=4.0))
    expected = plain.unroll_input(inputs, 3).logits
    torch.testing.assert_close(blur.unroll_input(images, 3).logits, expected, atol=1e-5, rtol=1e-5)
    (of_each,) = blur.logits_of_each([plain.hyperparameters], images, 3)
    torch.testing.assert_close(of_each, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    "control",
    [{"kind": "misplaced-feedback", "seed": 2}, {"kind": "smoothed", "width": 0.8}],
    ids=["misplaced", "smoothed"],
)
def test_feedback_is_replaced_as_the_equation_says(
    small_backbone: nn.Module, small_configuration: Configure, images: Tensor, control: dict[str, Any]
) -> None:
    network: PredictiveNetwork = made(small_backbone, small_configuration, control)
    out = network.unroll_input(images, 1, keep=("representations", "predictions"))
    before = out.representations[0]
    first_update = 0.7 * before[0]  # its drive is that of t = 0: nothing below it changes
    if control["kind"] == "smoothed":
        fed = torch.from_numpy(gaussian_filter(before[0].numpy(), (0, 0, 0.8, 0.8), mode="reflect", truncate=4.0))
    else:
        fed = misplaced(out.predictions[0][1], 2, 0)
    torch.testing.assert_close(out.representations[1][0], first_update + 0.3 * fed, atol=1e-5, rtol=1e-5)


def test_gradients_go_through_a_control(
    small_backbone: nn.Module, small_configuration: Configure, images: Tensor
) -> None:
    """Against central differences, in double precision."""
    for control in (
        {"kind": "input-blur", "width": 0.5},
        {"kind": "misplaced-feedback", "seed": 0},
        {"kind": "smoothed", "width": 0.5},
    ):
        network = made(small_backbone, small_configuration, control).double()
        start = images[:1].double().requires_grad_()
        answer = network.unroll_input(start, 2).logits[2, 0, 3]
        (gradient,) = torch.autograd.grad(answer, start)
        direction = torch.randn_like(start)
        ends = [network.unroll_input(start.detach() + sign * 1e-5 * direction, 2).logits[2, 0, 3] for sign in (1, -1)]
        assert float((gradient * direction).sum()) == pytest.approx(float(ends[0] - ends[1]) / 2e-5, rel=1e-4)


def test_a_control_is_part_of_the_file_and_of_the_identity(tmp_path: Path) -> None:
    own = read_configuration(package_folder() / "models" / "configurations" / "pdigits.toml")
    paths: dict[str, Path] = {}
    for width in (0.4, 0.5):
        table = own.table.model_copy(update={"control": Control(kind="input-blur", width=width)})
        paths[str(width)] = tmp_path / f"blur-{width}.toml"
        write_configuration(paths[str(width)], table, own.hyperparameters, [])
    models = [load("pdigits", configuration=path, timesteps=0) for path in paths.values()]
    assert models[0].description != models[1].description
    assert models[1].marked_name == "pdigits+blur-0.5+input-blur-0.5"
    image = torch.rand(1, 3, 32, 32)
    plain = load("pdigits", timesteps=0)
    expected = plain.logits_of_input(blurred(plain.normalise(image), 0.4))
    torch.testing.assert_close(models[0].logits(image), expected, atol=1e-5, rtol=1e-5)
    assert not torch.allclose(models[0].logits(image), plain.logits(image), atol=1e-4)


@pytest.mark.parametrize(
    ("control", "said"),
    [
        ({"kind": "smoothed"}, "smoothed needs a width"),
        ({"kind": "misplaced-feedback"}, "misplaced-feedback needs a seed"),
        ({"kind": "input-blur", "width": 0.29}, "below 0.3 a Gaussian at whole cells blurs nothing"),
        ({"kind": "input-blur", "width": 0.5, "seed": 1}, "input-blur has no seed"),
        ({"kind": "blur", "width": 0.5}, "control.kind"),
        ({"kind": "input-blur", "width": float("nan")}, "control.width"),
    ],
)
def test_a_wrong_control_is_one_line(
    small_configuration: Configure, small_backbone: nn.Module, control: dict[str, Any], said: str
) -> None:
    with pytest.raises(DefinitionError, match=said):
        pcbench.predify(small_backbone, {**small_configuration(), "control": control})
