"""Orders of images that depend on nothing but ids, labels and a seed.

Orders come from hashes rather than from a random generator, so that they are the same under every version of every
library, permanently.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def stratified_order(ids: Sequence[str], labels: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """Return a permutation whose every beginning holds the classes in their proportions, as nearly as possible.

    Within a class, images are ordered by the sha256 of seed and id. The r-th of the n images of its class
    (r = 0 … n - 1) gets the number (r + 1/2) / n, and all images are ordered by this number; equal ones by hash.

    Args:
        ids: One id per image.
        labels: Class of each image, shape (images,).
        seed: Another seed gives another permutation.

    Returns:
        Indices into `ids`, shape (images,), int64.
    """
    hashes = np.array([hashlib.sha256(f"{seed}:{name}".encode()).hexdigest() for name in ids])
    ranks = np.empty(len(ids))
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        ranks[members[np.argsort(hashes[members])]] = (np.arange(len(members)) + 0.5) / len(members)
    return np.lexsort((hashes, ranks)).astype(np.int64)
