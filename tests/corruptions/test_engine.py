"""Oracle: the same corruption image by image on the CPU, which `test_equivalence.py` compares with imagecorruptions.

A GPU corrupts a whole batch at once and filters by torch. Both are tried here on the CPU, so that they are tested on
machines without a GPU; where there is one, it is tried too.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from shipped_corruptions import by_function, reached

from pcbench.corruptions import engine, filters, randomness
from pcbench.corruptions.api import corrupt
from pcbench.corruptions.corruption import whole_levels
from pcbench.corruptions.definitions import CorruptionDefinition

IDS = [str(index) for index in range(6)]


def largest_difference(one: torch.Tensor, other: torch.Tensor) -> int:
    return int((one.int() - other.int()).abs().max())


@pytest.mark.parametrize("definition", by_function().values(), ids=by_function())
def test_a_corruption_is_random_where_it_draws_something(definition: CorruptionDefinition) -> None:
    """Oracle: what `draw` itself returns. No generator is made for the others."""
    corruption = definition.at(1)
    assert corruption.is_random == bool(corruption.draw(np.random.default_rng(0), 3, 32, 32))


@pytest.mark.parametrize("definition", by_function().values(), ids=by_function())
@pytest.mark.parametrize("severity", [1, 4])
def test_a_batch_at_once_is_its_images_one_by_one(
    small_images: torch.Tensor, monkeypatch: pytest.MonkeyPatch, definition: CorruptionDefinition, severity: int
) -> None:
    # The arithmetic of a batch may round otherwise: one grey level at most.
    name, severity = definition.name, reached(definition, severity)
    one_by_one = corrupt(small_images, definition, severity)
    monkeypatch.setattr(filters, "_opencv_can", lambda _: False)
    generators = [randomness.corruption_generator(0, image_id, name, severity) for image_id in IDS]
    at_once = engine.corrupt_whole_batch(small_images, definition.at(severity), generators)
    if name == "spatter" and severity == 1:
        # Here drops are drawn by the other filter too: edges found in them may move.
        assert (at_once.int() - one_by_one.int()).abs().float().mean() < 0.5
    else:
        assert largest_difference(at_once, one_by_one) <= 1


@pytest.mark.parametrize("border", ["replicate", "mirror", "reflect"])
@pytest.mark.parametrize("sigma", [0.05, 0.7, 3.0, 30.0])
def test_torch_blurs_as_opencv_does(
    small_images: torch.Tensor, monkeypatch: pytest.MonkeyPatch, border: filters.Border, sigma: float
) -> None:
    # A Gaussian wider than the image makes every kind of border continue more than once.
    images = small_images.float()
    by_opencv = filters.gaussian_blur(images, sigma, border)
    monkeypatch.setattr(filters, "_opencv_can", lambda _: False)
    assert (filters.gaussian_blur(images, sigma, border) - by_opencv).abs().max() < 1e-2


@pytest.mark.parametrize("radius", [2, 5, 9, 14])
def test_large_kernels_by_fourier_give_what_the_sum_gives(small_images: torch.Tensor, radius: int) -> None:
    # Oracle: torch's convolution of the padded image.
    images = small_images.float()
    kernel = filters.disk_kernel(radius, 0.5)
    reach = kernel.shape[0] // 2
    padded = torch.nn.functional.pad(images, (reach,) * 4, mode="reflect")
    weights = torch.from_numpy(kernel).expand(3, 1, -1, -1)
    summed = torch.nn.functional.conv2d(padded, weights, groups=3)
    assert (filters.correlate(images, kernel, "mirror") - summed).abs().max() < 2e-3


@pytest.mark.parametrize(("radius", "edge_blur"), [(3, 0.1), (4, 0.1), (5, 0.101)])
def test_weights_that_are_not_normal_numbers_move_no_level(radius: float, edge_blur: float) -> None:
    # Oracle: the filter with all its weights. Mostly black images: there such a weight may be a pixel's first.
    kernel = filters.disk_kernel(radius, edge_blur)
    assert ((kernel > 0) & (kernel < np.finfo(np.float32).tiny)).any()
    function = type(by_function()["defocus_blur"].at(1))(radius=radius, edge_blur=edge_blur)
    draws = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (40, 1, 32, 40), generator=draws).byte()
    images *= torch.rand(images.shape, generator=draws) < torch.linspace(0, 1, 40).reshape(-1, 1, 1, 1)
    whole = whole_levels(filters.correlate(images.float(), kernel, "mirror"))
    assert torch.equal(whole_levels(function.apply(images, ())), whole)


@pytest.mark.parametrize("limit", [0.9, 0.85, 0.0, -0.3])
def test_zero_below_keeps_the_limit_itself(limit: float) -> None:
    # Oracle: torch.where. The limit as float32, and its two neighbours.
    at = np.float32(limit)
    values = torch.tensor([float(np.nextafter(at, np.float32(-9))), float(at), float(np.nextafter(at, np.float32(9)))])
    assert torch.equal(filters.zero_below(values, limit), torch.where(values < limit, 0, values))


def test_an_error_in_one_image_is_raised(small_images: torch.Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> torch.Tensor:
        raise RuntimeError("this image")

    monkeypatch.setattr(engine, "corrupt_whole_batch", fail)
    with pytest.raises(RuntimeError, match="this image"):
        corrupt(small_images, "contrast", 1)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_a_gpu_corrupts_as_the_cpu_does(small_images: torch.Tensor) -> None:
    for name, definition in by_function().items():
        severity = reached(definition, 3)
        on_gpu = corrupt(small_images.cuda(), definition, severity)
        assert on_gpu.is_cuda
        assert largest_difference(on_gpu.cpu(), corrupt(small_images, definition, severity)) <= 1, name
