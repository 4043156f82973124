"""A batch of images as attacks and checks take it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pcbench.data.ids import as_ids
from pcbench.data.labels import as_labels


@dataclass(frozen=True)
class EvalBatch:
    """Images to attack or to judge, and what their random numbers depend on."""

    images: Tensor
    """(N, channels, height, width), float in [0, 1]."""
    labels: Tensor
    """(N,), int64."""
    ids: tuple[str, ...]
    """N ids."""
    seed: int
    """The run's seed."""

    @classmethod
    def of(cls, images: Tensor, labels: Tensor | NDArray[np.integer], ids: Iterable[object], seed: int) -> EvalBatch:
        """Return the batch of images whose labels and ids come in any usual form."""
        return cls(images, torch.tensor(as_labels(labels), device=images.device), as_ids(ids), seed)

    def some(self, mask: NDArray[np.bool_]) -> EvalBatch:
        """Return the images where a mask (N,) holds."""
        here = torch.from_numpy(mask).to(self.images.device)
        ids = tuple(name for name, kept in zip(self.ids, mask, strict=True) if kept)
        return EvalBatch(self.images[here], self.labels[here], ids, self.seed)

    def batches(self, size: int) -> Iterator[EvalBatch]:
        """Yield the images in their order, at most `size` at a time."""
        for start in range(0, len(self.ids), size):
            here = slice(start, start + size)
            yield EvalBatch(self.images[here], self.labels[here], self.ids[here], self.seed)
