"""Oracle: the result for a tensor; every other form of the same images must give the same pixels, in its own form."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from pcbench.corruptions.api import corrupt
from pcbench.errors import DataError, UsageError

PIXELS = np.random.default_rng(0).integers(0, 256, (2, 20, 24, 3), dtype=np.uint8)
FIRST = torch.tensor(PIXELS).permute(0, 3, 1, 2).contiguous()
EXPECTED = corrupt(FIRST, "gaussian_noise", 3).permute(0, 2, 3, 1).numpy()


def as_list(result: Any) -> Any:
    return np.stack([np.asarray(one) for one in result])


FORMS: dict[str, tuple[Any, type, Callable[[Any], Any]]] = {
    "array": (PIXELS, np.ndarray, lambda result: result),
    "array, channels first": (FIRST.numpy(), np.ndarray, lambda result: result.transpose(0, 2, 3, 1)),
    "read-only and mirrored": (np.flip(np.flip(PIXELS, 1).copy(), 1), np.ndarray, lambda result: result),
    "tensor, channels last in memory": (
        FIRST.contiguous(memory_format=torch.channels_last),
        torch.Tensor,
        lambda result: result.permute(0, 2, 3, 1).numpy(),
    ),
    "pictures": ([Image.fromarray(image) for image in PIXELS], list, as_list),
    "list of arrays": (list(PIXELS), list, as_list),
    "tuple of arrays": (tuple(PIXELS), list, as_list),
    "list of tensors": (list(FIRST), list, lambda result: torch.stack(result).permute(0, 2, 3, 1).numpy()),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_pixels_in_its_own_form(form: str) -> None:
    images, kind, plain = FORMS[form]
    result = corrupt(images, "gaussian_noise", 3)
    assert type(result) is kind
    np.testing.assert_array_equal(plain(result), EXPECTED)


def test_one_image_is_given_back_as_one() -> None:
    picture = corrupt(Image.fromarray(PIXELS[0]), "gaussian_noise", 3)
    assert picture.size == (24, 20)
    np.testing.assert_array_equal(np.asarray(picture), EXPECTED[0])
    np.testing.assert_array_equal(corrupt(PIXELS[0], "gaussian_noise", 3), EXPECTED[0])


@pytest.mark.parametrize("kind", ["f2", "f4", "f8", ">f4"])
def test_floating_point_arrays_keep_their_type(kind: str) -> None:
    images = (PIXELS / 255).astype(kind)
    result = corrupt(images, "contrast", 2)
    assert result.dtype == images.dtype.newbyteorder("=")
    expected = corrupt(FIRST, "contrast", 2).permute(0, 2, 3, 1).numpy()
    assert np.abs(result.astype(float) * 255 - expected).max() < 1.5  # bytes are cut off; half precision has 11 bits


def test_a_tensor_with_gradient_is_taken_without() -> None:
    images = (FIRST / 255).requires_grad_()
    assert not corrupt(images, "fog", 1).requires_grad


def test_images_of_different_sizes_each_have_their_own_noise() -> None:
    images = [PIXELS[0], PIXELS[1, :16]]
    result = corrupt(images, "gaussian_noise", 3, ids=["a", "b"])
    alone = corrupt(images[1], "gaussian_noise", 3, ids="b")  # a text is a list of one
    np.testing.assert_array_equal(result[1], alone)


def test_numbers_and_ids_in_other_types_are_the_same() -> None:
    # Report: `for s in np.arange(1, 6)` was a TypeError, and severity=True was taken with other noise than 1.
    for severity, seed, ids in [
        (np.int64(3), np.uint8(0), np.arange(2)),
        (torch.tensor(3), 0, [0, "1"]),
        (3.0, 0, None),
        ("3", "0", ["0", 1]),
    ]:
        np.testing.assert_array_equal(corrupt(PIXELS, "gaussian_noise", severity, seed=seed, ids=ids), EXPECTED)
    for severity in (True, np.True_, 0, 6, 2.5, "high", None):
        with pytest.raises(UsageError, match="there is no severity"):
            corrupt(PIXELS, "gaussian_noise", severity)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (FIRST[0], r"not \(3, 20, 24\); for one image give image\[None\]"),
        (FIRST.permute(0, 2, 3, 1), r"give images\.permute\(0, 3, 1, 2\)"),
        (FIRST.repeat(1, 2, 1, 1), r"with 1 to 4 channels, not \(2, 6, 20, 24\)"),
        (torch.zeros(9, 20, 24), r"for grey images give images\[:, None\]"),
        (PIXELS[0, 0], r"not \(24, 3\)"),
        ([PIXELS], r"image 0: an image has the shape \(height, width, channels\), not \(2, 20, 24, 3\)"),
        ([Image.new("RGB", (4, 20))], "image 0: images have at least 8 px a side"),
        (PIXELS.astype(float), "lie in .0, 1.; these lie from 0 to 255: divide by the value of white, 255"),
        (PIXELS / 127.5 - 1, r"leave normalisation to the model; for -1 to 1 give \(x \+ 1\) / 2"),
        (PIXELS.astype(np.int64), "uint8 or floating point"),
        (FIRST.float().to_sparse(), "dense tensors"),
        (FIRST.to("meta"), "dense tensors"),
        ("image.png", "is the text 'image.png'"),
        (None, "NoneType"),
        (3, r"not \(\)"),
    ],
)
def test_what_is_no_image_is_refused_in_one_line(images: Any, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        corrupt(images, "fog", 1)
    assert "\n" not in str(caught.value)


def test_a_nested_tensor_is_refused_in_one_line() -> None:
    # Made here: PyTorch imports its compiler for it.
    nested = torch.nested.nested_tensor(list(FIRST), layout=torch.jagged)
    test_what_is_no_image_is_refused_in_one_line(nested, r"a nested tensor has no one shape; give list\(images\.unbind")
    test_what_is_no_image_is_refused_in_one_line([nested], "image 0: a nested tensor has no one shape")


class OwnImages(list[Any]):
    """Images whose code may fail when it is asked for something."""

    def __iter__(self) -> Any:
        raise KeyError("of the user's own")


class OwnArray:
    """An array whose code fails when NumPy asks for its values."""

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise KeyError("of the user's own")


@pytest.mark.parametrize("images", [OwnArray(), [OwnArray()], OwnImages(PIXELS)])
def test_an_exception_of_the_users_own_images_is_the_cause(images: Any) -> None:
    with pytest.raises(DataError, match=r"^image(s| 0): your data raised KeyError: \"of the user's own\"$") as caught:
        corrupt(images, "contrast", 2)
    assert isinstance(caught.value.__cause__, KeyError)


def test_an_exception_of_the_users_own_ids_is_the_cause() -> None:
    with pytest.raises(UsageError, match=r"^ids: your data raised KeyError") as caught:
        corrupt(PIXELS, "contrast", 2, ids=OwnImages("ab"))
    assert isinstance(caught.value.__cause__, KeyError)


def test_what_has_no_type_is_refused() -> None:
    images: Any = weakref.proxy(OwnArray())  # gone at once
    with pytest.raises(UsageError, match=r"^argument 1: your data raised ReferenceError"):
        corrupt(images, "contrast", 2)


def test_no_images_are_no_images() -> None:
    assert corrupt([], "fog", 1) == []
