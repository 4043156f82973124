"""Oracles: torch's bilinear interpolation in double precision; scikit-learn's own labels; exact shares of classes."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from pcbench.data.digits import SPLITS, digit_scans, open_digits, upsample
from pcbench.data.preprocessing import Preprocessing
from pcbench.errors import UnknownNameError


@cache
def load_digits() -> Any:
    """The digits as scikit-learn has them, which is slow to import."""
    from sklearn.datasets import load_digits as load

    return load()


def test_splits_hold_every_scan_once_with_its_own_label() -> None:
    data = load_digits()
    scans, labels = digit_scans()
    np.testing.assert_array_equal(scans, data.images)
    np.testing.assert_array_equal(labels, data.target)
    seen = []
    for split, size in SPLITS.items():
        source = open_digits(split, Preprocessing())
        assert len(source) == size
        numbers = [int(name.removeprefix("digits/")) for name in source.ids]
        np.testing.assert_array_equal(source.labels, data.target[numbers])
        seen += numbers
    assert sorted(seen) == list(range(1797))


def test_splits_are_stratified() -> None:
    share = np.bincount(load_digits().target) / 1797
    for split, size in SPLITS.items():
        counts = np.bincount(open_digits(split, Preprocessing()).labels, minlength=10)
        assert np.abs(counts - share * size).max() < 1.01


def test_splits_never_change() -> None:
    """The fingerprints of the day on which the splits were fixed: published numbers rest on them."""
    fingerprints = {split: open_digits(split, Preprocessing()).fingerprint()[:16] for split in SPLITS}
    assert fingerprints == {
        "train": "179c4adbffcf9dcc",
        "validation": "2d63075f502d5c2b",
        "test": "a32e3bccbc20a208",
    }


def test_upsampling_equals_torch_bilinear_but_for_rounding() -> None:
    scans = load_digits().images
    oracle = F.interpolate(torch.tensor(scans)[:, None], scale_factor=4, mode="bilinear", align_corners=False)
    exact = (oracle[:, 0] * 255 / 16).numpy()
    ours = upsample(scans.astype(np.int64))
    assert ours.shape == (1797, 32, 32, 3)
    for channel in range(3):
        np.testing.assert_array_equal(ours[..., channel], np.floor(exact + 0.5).astype(np.uint8))


def test_images_are_channels_first_8_bit() -> None:
    images = open_digits("test", Preprocessing(crop=32)).load([3, 1])
    assert images.shape == (2, 3, 32, 32)
    assert images.dtype == torch.uint8
    assert images.max() > 200


def test_unknown_split_suggests_the_known_one() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'validation'"):
        open_digits("valid", Preprocessing())
