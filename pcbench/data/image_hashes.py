"""Short hashes by which images are recognised as those that hyperparameters were tuned on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pcbench.data.image_source import ImageSource

_BYTES = 8
"""Of the sha256: two of a million images are taken for one with a chance of 3e-8."""


def image_hashes(digests: NDArray[np.uint8]) -> tuple[str, ...]:
    """Return 16 hexadecimal digits for each image.

    Args:
        digests: The sha256 of each image's stored bytes, shape (images, 32), as `ImageSource.digests` gives them.
    """
    return tuple(digest[:_BYTES].tobytes().hex() for digest in digests)


def without_hashes(source: ImageSource, hashes: frozenset[str], words: str) -> ImageSource:
    """Return the images whose hashes are not among others.

    Args:
        source: The images.
        hashes: The others', as `image_hashes` gives them.
        words: What the rest is called in tables.

    Raises:
        DataError: None is left, or an image cannot be read.
    """
    found = zip(source.ids, image_hashes(source.digests()), strict=True)
    return source.without([name for name, digest in found if digest in hashes], words)
