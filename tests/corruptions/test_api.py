"""Oracle: the promise of DESIGN.md, section 5: a corrupted image has the same bits in any company."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from shipped_corruptions import by_function, computed_suites, reached

from pcbench.corruptions.api import corrupt
from pcbench.corruptions.definitions import CorruptionDefinition, CorruptionSuite
from pcbench.corruptions.input_noise import network_input_noise
from pcbench.errors import DataError, UnknownNameError, UsageError

IDS = ["a", "b", "c", "d", "e", "f"]


@pytest.mark.parametrize("definition", by_function().values(), ids=by_function())
def test_the_bits_do_not_depend_on_batch_order_or_number(
    small_images: torch.Tensor, definition: CorruptionDefinition
) -> None:
    severity = reached(definition, 3)
    together = corrupt(small_images, definition, severity, seed=7, ids=IDS)
    order = torch.tensor([4, 1, 5])
    apart = corrupt(small_images[order], definition, severity, seed=7, ids=[IDS[index] for index in order])
    assert torch.equal(together[order], apart)
    turned = small_images.permute(0, 1, 3, 2).contiguous().permute(0, 1, 3, 2)
    one = corrupt(turned[2:3], definition, severity, seed=7, ids=["c"])
    assert torch.equal(together[2:3], one)


@pytest.mark.parametrize("suite", computed_suites())
def test_floats_are_corrupted_as_bytes_are(
    small_images: torch.Tensor, suites: dict[str, CorruptionSuite], suite: str
) -> None:
    # One grey level apart at most: bytes are cut off at the end, and JPEG knows bytes only.
    images = small_images[:2]
    for definition in suites[suite].corruptions:
        for severity in (1, definition.severities[-1]):
            whole = corrupt(images, definition, severity)
            real = corrupt(images.float() / 255, definition, severity)
            assert whole.dtype == torch.uint8
            assert real.dtype == torch.float32
            assert real.min() >= 0
            assert real.max() <= 1
            assert (whole.float() - real * 255).abs().max() <= 1.001, (definition.name, severity)


def test_seed_id_and_severity_each_change_the_noise(small_images: torch.Tensor) -> None:
    image = small_images[:1]
    results = [
        corrupt(image, "gaussian_noise", severity, seed=seed, ids=[image_id]).flatten().tolist()
        for severity, seed, image_id in [(1, 0, "a"), (1, 1, "a"), (1, 0, "b"), (2, 0, "a")]
    ]
    assert len({tuple(result) for result in results}) == 4


def test_the_bits_do_not_depend_on_the_number_of_threads(small_images: torch.Tensor) -> None:
    before = torch.get_num_threads()
    results: list[list[torch.Tensor]] = []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            results.append([corrupt(small_images, one, reached(one, 2)) for one in by_function().values()])
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(one, three) for one, three in zip(*results, strict=True))


def test_the_images_given_are_not_changed(small_images: torch.Tensor) -> None:
    for images in (small_images.clone(), small_images.float() / 255):
        before = images.clone()
        for name, definition in by_function().items():
            corrupt(images, definition, reached(definition, 3))
            assert torch.equal(images, before), name


@pytest.mark.parametrize("size", [(8, 8), (9, 300), (299, 31)])
def test_images_of_any_size_and_one_colour_are_corrupted(
    suites: dict[str, CorruptionSuite], size: tuple[int, int]
) -> None:
    for colour in (0.0, 1.0):
        images = torch.full((1, 3, *size), colour)
        for suite in computed_suites():
            for definition in suites[suite].corruptions:
                worst = corrupt(images, definition, definition.severities[-1])
                assert worst.isfinite().all(), definition.name


def test_no_image_is_none(small_images: torch.Tensor) -> None:
    assert corrupt(small_images[:0], "fog", 1).shape == (0, 3, 33, 40)


def test_jpeg_quality_stores_the_result(small_images: torch.Tensor) -> None:
    plain = corrupt(small_images, "contrast", 1)
    stored = corrupt(small_images, "contrast", 1, jpeg_quality=85)
    assert not torch.equal(plain, stored)
    assert (plain.float() - stored.float()).abs().mean() < 4


@pytest.mark.parametrize(
    ("images", "error"),
    [
        (torch.zeros(3, 32, 32), "shape"),
        (torch.zeros(1, 5, 32, 32), "shape"),
        (torch.zeros(1, 3, 32, 7), "at least 8 px"),
        (torch.zeros(1, 3, 32, 32, dtype=torch.int64), "uint8 or floating point"),
        (torch.full((1, 3, 32, 32), -0.1), "do not normalise"),
        (torch.full((1, 3, 32, 32), float("nan")), "do not normalise"),
    ],
)
def test_images_that_are_none_are_refused(images: torch.Tensor, error: str) -> None:
    with pytest.raises(DataError, match=error):
        corrupt(images, "fog", 1)


def test_wrong_words_are_refused(small_images: torch.Tensor) -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'gaussian_noise'"):
        corrupt(small_images, "gausian_noise", 1)
    with pytest.raises(UnknownNameError, match="backend"):
        corrupt(small_images, "fog", 1, backend="quick")  # pyright: ignore[reportArgumentType]
    with pytest.raises(UsageError, match="6 images need as many ids, not 1"):
        corrupt(small_images, "fog", 1, ids=["a"])
    with pytest.raises(UsageError, match="severities"):
        corrupt(small_images, "fog", 6)


def test_input_noise_is_normal_and_each_image_s_own(suites: dict[str, CorruptionSuite]) -> None:
    # Oracle: the normal distribution's moments; the standard error of the deviation is 0.5 / sqrt(2 n).
    definition = suites["gaussian-noise"].corruption("gaussian_noise")
    noise = network_input_noise(definition, 2, (4, 3, 64, 64), seed=1, ids=["a", "b", "c", "d"])
    assert noise.std().item() == pytest.approx(0.5, abs=5 * 0.5 / (2 * noise.numel()) ** 0.5)
    again = network_input_noise(definition, 2, (1, 3, 64, 64), seed=1, ids=["c"])
    assert torch.equal(noise[2:3], again)
    with pytest.raises(UsageError, match="shape"):
        network_input_noise(definition, 2, (4, 3, 64, 64), seed=1, ids=["a"])


@pytest.mark.parametrize("severity", [np.int64(3), 3.0, np.float32(3), torch.tensor(3), Fraction(3)], ids=repr)
def test_numbers_of_any_type_draw_the_same_noise(small_images: torch.Tensor, severity: Any) -> None:
    expected = corrupt(small_images, "gaussian_noise", 3, seed=1, jpeg_quality=85)
    found = corrupt(small_images, "gaussian_noise", severity, seed=np.int64(1), jpeg_quality=np.uint8(85))  # type: ignore[arg-type]
    assert torch.equal(found, expected)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("fog", True), "there is no severity True; the severities of fog are from 1 to 5"),
        (("fog", 2.5), "there is no severity 2.5"),
        (("fog", "3.5"), "there is no severity '3.5'"),
        (("fog", np.zeros(3)), "there is no severity array"),
        ((3, 1), "a corruption is a name"),
        (("fog", 1, {"seed": True}), "`seed` is a whole number"),
        (("fog", 1, {"seed": 2**70}), "`seed` is a whole number"),
        (("fog", 1, {"jpeg_quality": 101}), "`jpeg_quality` is a whole number from 1 to 100"),
        (("fog", 1, {"sed": 1}), "did you mean 'seed'"),
        (("fog",), "missing a required argument: 'severity'"),
    ],
    ids=str,
)
def test_what_cannot_be_meant_is_refused_in_one_line(
    small_images: torch.Tensor, arguments: tuple[Any, ...], says: str
) -> None:
    *plain, last = arguments
    words = last if isinstance(last, dict) else {}
    with pytest.raises(UsageError, match=says) as refused:
        corrupt(small_images, *(plain if words else arguments), **words)
    assert "\n" not in str(refused.value)
