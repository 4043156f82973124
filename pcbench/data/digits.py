"""Handwritten digits: real scans, the embedded data set.

1,797 images of 8x8 pixels, grey values 0 to 16 (E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten
Digits", UCI Machine Learning Repository, 1998, CC BY 4.0; the test part of that data set). They are in `digits.npz`,
in the order in which scikit-learn's `load_digits` has them.
"""

from __future__ import annotations

import functools
from importlib import resources

import numpy as np
from numpy.typing import NDArray

from pcbench.data.image_source import ImageSource
from pcbench.data.labels import as_labels
from pcbench.data.preprocessing import Preprocessing
from pcbench.data.selection import stratified_order
from pcbench.data.stores import ArrayStore
from pcbench.errors import UnknownNameError

#: Number of images of each split; training takes the rest of the 1,797.
SPLITS = {"train": 1077, "validation": 360, "test": 360}
# Fixes which image belongs to which split, and never changes: published numbers depend on it.
_SPLIT_SEED = 0
_SIDE, _FACTOR, _WHITE = 8, 4, 16


def open_digits(split: str, preprocessing: Preprocessing) -> ImageSource:
    """Open one split of the digits at 32 px.

    The images are ordered by `stratified_order` with a fixed seed: the first 360 are the test split, the next 360
    the validation split, the other 1,077 the training split. The id of an image is ``digits/`` and its number in
    the file, with four digits.

    Args:
        split: ``"train"``, ``"validation"`` or ``"test"``.
        preprocessing: Applied to the 32-px images.

    Raises:
        UnknownNameError: There is no such split.
    """
    if split not in SPLITS:
        raise UnknownNameError("split of the digits", split, SPLITS)
    targets, pixels = _all_digits()
    labels = as_labels(targets.copy())
    ids = tuple(f"digits/{number:04d}" for number in range(len(labels)))
    whole = ImageSource(
        name=f"digits:{split}",
        ids=ids,
        labels=labels,
        store=ArrayStore("digits", pixels),
        preprocessing=preprocessing,
        class_names=tuple("0123456789"),
        classes=10,
    )
    return whole.select(_members(ids)[split].copy(), subset=None)


@functools.cache
def _members(ids: tuple[str, ...]) -> dict[str, NDArray[np.int64]]:
    # As below: a run opens the digits several times.
    order = stratified_order(ids, digit_scans()[1], _SPLIT_SEED)
    test, validation = SPLITS["test"], SPLITS["test"] + SPLITS["validation"]
    members = {"test": order[:test], "validation": order[test:validation], "train": order[validation:]}
    return {split: np.sort(indices) for split, indices in members.items()}


@functools.cache
def digit_scans() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return all scans, grey values 0 to 16, shape (1797, 8, 8), and their classes 0 to 9, shape (1797,); read-only."""
    with (resources.files("pcbench.data") / "digits.npz").open("rb") as file, np.load(file) as table:
        scans, labels = table["images"], table["labels"].astype(np.int64)
    for array in (scans, labels):
        array.setflags(write=False)
    return scans, labels


@functools.cache
def _all_digits() -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    # A run opens the digits several times. Each reader of an image gets a copy of it.
    scans, labels = digit_scans()
    pixels = upsample(scans.astype(np.int64))
    pixels.setflags(write=False)
    return labels, pixels


def upsample(scans: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Enlarge 8x8 scans to 32x32 by bilinear interpolation, grey repeated to three channels.

    Output pixel i (0 … 31) lies at x = (i + 1/2) / 4 - 1/2 of the input, clipped to 0 … 7; its value is
    (1 - (x - ⌊x⌋)) v[⌊x⌋] + (x - ⌊x⌋) v[⌊x⌋ + 1] along each axis (half-pixel centres, `align_corners=False`).
    Every weight is a multiple of 1/8, so with integer weights W = 8·w and grey values g in 0 … 16 the result
    ⌊(255 Σ W_y W_x g / (64·16)) + 1/2⌋ is computed in integers: the same bits on every machine.

    Args:
        scans: Grey values 0 to 16, shape (images, 8, 8).

    Returns:
        Pixels 0 to 255, shape (images, 32, 32, 3).
    """
    weights = _interpolation_eighths()
    grey = weights @ scans @ weights.T
    scale = 64 * _WHITE
    pixels = (grey * 255 + scale // 2) // scale
    return np.repeat(pixels.astype(np.uint8)[..., None], 3, axis=3)


def _interpolation_eighths() -> NDArray[np.int64]:
    weights = np.zeros((_SIDE * _FACTOR, _SIDE), dtype=np.int64)
    for row in range(_SIDE * _FACTOR):
        # (row + 1/2) / 4 - 1/2 in eighths of an input pixel.
        eighths = min(max(2 * row - 3, 0), 8 * (_SIDE - 1))
        left, share = divmod(eighths, 8)
        weights[row, left] += 8 - share
        weights[row, min(left + 1, _SIDE - 1)] += share
    return weights
