"""Oracle: OpenCV's affine warp and SciPy's map_coordinates, as CIFAR-10-C's code calls them; Pillow; scikit-image."""

from __future__ import annotations

import io
from typing import Any

import cv2
import numpy as np
import pytest
import scipy.ndimage
import torch
from PIL import Image
from shipped_corruptions import by_function

from pcbench.corruptions import randomness
from pcbench.corruptions.api import corrupt
from pcbench.corruptions.corruption import whole_levels
from pcbench.corruptions.definitions import CorruptionSuite
from pcbench.corruptions.engine import corrupt_whole_batch


def elastic_by_scipy(image: np.ndarray, function: Any, draws: np.random.Generator) -> np.ndarray:
    """Return what make_cifar_c.py makes of (height, width, 3) levels with these draws; its smoothing is SciPy's."""
    height, width = image.shape[:2]
    affine, reach, smoothing = function.affine, function.displacement * height, function.smoothing
    centre, arm = np.array([height, width]) // 2, min(height, width) // 3
    points = np.array([centre + arm, [centre[0] + arm, centre[1] - arm], centre - arm], np.float32)
    moved = points + randomness.uniform(draws, -affine * height, affine * height, (3, 2))
    matrix = cv2.getAffineTransform(points, moved)
    bent = cv2.warpAffine(image.astype(np.float32), matrix, (width, height), borderMode=cv2.BORDER_REFLECT_101)
    field = randomness.uniform(draws, -reach, reach, (2, height, width))
    sigma = (smoothing * height, smoothing * width)
    across, down = (scipy.ndimage.gaussian_filter(part, sigma, mode="reflect", truncate=3) for part in field)
    rows, columns = np.mgrid[:height, :width]
    planes = [
        scipy.ndimage.map_coordinates(bent[..., colour], (rows + down, columns + across), order=1, mode="reflect")
        for colour in range(3)
    ]
    return np.clip(np.stack(planes, axis=-1), 0, 255)


@pytest.mark.parametrize("suite", ["cifar-10-c", "digits-c"])
@pytest.mark.parametrize("severity", [1, 2, 3, 4, 5])
def test_elastic_transform_with_an_affine_map(suites: dict[str, CorruptionSuite], suite: str, severity: int) -> None:
    # An image without hard edges: OpenCV 4 rounds places to 1/32 pixel.
    rows, columns = np.mgrid[:33, :40]
    image = np.stack([128 + 100 * np.sin(rows / 5 + colour) * np.cos(columns / 6) for colour in range(3)], axis=-1)
    levels = torch.from_numpy(image.astype(np.uint8)).permute(2, 0, 1)[None]
    function = suites[suite].corruption("elastic_transform").at(severity)
    ours = corrupt_whole_batch(levels, function, [randomness.corruption_generator(0, "a", "b", 1)])[0].permute(1, 2, 0)
    theirs = elastic_by_scipy(image.astype(np.uint8), function, randomness.corruption_generator(0, "a", "b", 1))
    assert np.abs(ours.numpy() - theirs).max() <= 2


@pytest.mark.parametrize("name", ["brightness", "contrast", "pixelate"])
@pytest.mark.parametrize("channels", [1, 3])
def test_tables_give_what_the_arithmetic_of_floats_gives(name: str, channels: int) -> None:
    # To the bit. Half of one image is black, which has no colour that brightness could keep.
    images = torch.randint(0, 256, (3, channels, 24, 31), generator=torch.Generator().manual_seed(channels)).byte()
    images[1, :, :12], images[2] = 0, 77
    for severity in (1, 2, 3, 4, 5):
        function = by_function()[name].at(severity)
        ours = corrupt_whole_batch(images, function, [np.random.default_rng(0)] * len(images))
        assert torch.equal(ours, whole_levels(function.apply(images.float(), ()))), severity


@pytest.mark.parametrize("scale", [1, 0.95, 0.9, 0.85, 0.75, 0.65, 0.6, 0.5, 0.4, 0.3, 0.25, 0.13, 0.1])
def test_pixelate_is_pillow_s_box_down_and_nearest_up(suites: dict[str, CorruptionSuite], scale: float) -> None:
    # To the bit: boxes and ties for any size, and Pillow's fixed-point weights (that of one row in ten is too small).
    function = type(suites["cifar-10-c"].corruption("pixelate").at(1))(scale=scale)
    for height, width in ((8, 9), (22, 25), (32, 32), (33, 40), (75, 61), (80, 40), (81, 40), (224, 224), (299, 101)):
        image = torch.randint(0, 256, (1, 3, height, width), generator=torch.Generator().manual_seed(height)).byte()
        result = corrupt_whole_batch(image, function, [np.random.default_rng(0)])[0].permute(1, 2, 0).numpy()
        picture = Image.fromarray(image[0].permute(1, 2, 0).contiguous().numpy())
        size = (max(1, int(width * scale)), max(1, int(height * scale)))
        small = picture.resize(size, Image.Resampling.BOX)
        theirs = np.asarray(small.resize(picture.size, Image.Resampling.NEAREST))
        assert np.array_equal(theirs, result), (height, width)


@pytest.mark.parametrize("width", [1279, 1280, 1290])
def test_pixelate_is_pillow_s_for_large_boxes(suites: dict[str, CorruptionSuite], width: int) -> None:
    # Ten pixels of 127.9, 128 and 129 columns, of 0 and 255: sums of 128 rows are the largest that 16 bits hold.
    function = type(suites["cifar-10-c"].corruption("pixelate").at(1))(scale=10.5 / width)
    image = torch.randint(0, 2, (1, 1, 640, width), generator=torch.Generator().manual_seed(width)).byte() * 255
    image[..., :300] = 255
    small = Image.fromarray(image[0, 0].numpy()).resize((10, int(640 * 10.5 / width)), Image.Resampling.BOX)
    result = function.apply(image, ())[0, 0].numpy()
    assert np.array_equal(result, np.asarray(small.resize((width, 640), Image.Resampling.NEAREST)))


@pytest.mark.parametrize("quality", [1, 7, 25, 40, 80, 85, 100])
def test_jpeg_is_pillow_s(small_images: torch.Tensor, suites: dict[str, CorruptionSuite], quality: int) -> None:
    function = type(suites["cifar-10-c"].corruption("jpeg_compression").at(1))(quality=quality)
    ours = corrupt_whole_batch(small_images[:1], function, [np.random.default_rng(0)])[0].permute(1, 2, 0).numpy()
    stored = io.BytesIO()
    Image.fromarray(small_images[0].permute(1, 2, 0).numpy()).save(stored, "JPEG", quality=quality)
    # The two libraries may bring different libjpegs, whose decoders differ by a level.
    assert np.abs(ours.astype(int) - np.asarray(Image.open(stored))).max() <= 1


@pytest.mark.parametrize("size", [(32, 32), (33, 40), (47, 21)])
@pytest.mark.parametrize("severity", [1, 3, 5])
def test_zoom_blur_is_scipy_s_zoom(suites: dict[str, CorruptionSuite], size: tuple[int, int], severity: int) -> None:
    # Oracle: scipy.ndimage.zoom of order 1, for sizes at which its rounding leaves a row too many or too few.
    images = torch.rand((1, 3, *size), generator=torch.Generator().manual_seed(1))
    for suite in ("cifar-10-c", "digits-c", "imagenet-c"):
        definition = suites[suite].corruption("zoom_blur")
        end, step = (definition.parameters[name][severity - 1] for name in ("end", "step"))
        total = images[0].double().numpy().copy()
        factors = np.arange(1, end, step)
        for factor in factors:
            counts = [int(np.ceil(length / factor)) for length in size]
            top, left = ((length - count) // 2 for length, count in zip(size, counts, strict=True))
            middle = images[0, :, top : top + counts[0], left : left + counts[1]].double().numpy()
            # "nearest": its rounding may put the last pixel just outside, which "constant" would make black.
            zoomed = scipy.ndimage.zoom(middle, (1, factor, factor), order=1, mode="nearest")[:, : size[0], : size[1]]
            total[:, : zoomed.shape[1], : zoomed.shape[2]] += zoomed
        ours = corrupt(images, definition, severity)[0].numpy()
        assert np.abs(ours - total / (len(factors) + 1)).max() < 1e-5
