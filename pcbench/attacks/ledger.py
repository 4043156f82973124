"""The outcomes of a sweep while they come in."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


class Scored:
    """What the harness saw on a batch of an attack's images, after clipping.

    Args:
        images: What was fed to the classifier, (batch, channels, height, width).
        columns: For each column of the ledger, one value an image.
        success: Whether each image reached the attack's goal, (batch,).
    """

    def __init__(self, images: Tensor, columns: dict[str, Tensor], success: Tensor) -> None:
        self.images, self.columns, self.success = images, columns, success

    def replace(self, places: Tensor, other: Scored) -> None:
        """Put a later restart's outcomes in the places it was run for; its queries add to what was spent before."""
        spent = self.columns["queries"][places]
        for name, values in self.columns.items():
            values[places] = other.columns[name]
        self.columns["queries"][places] += spent
        self.images[places], self.success[places] = other.images, other.success


class Ledger:
    """Arrays (E, N) over budgets and images; every image starts as its clean self at every budget.

    Args:
        epsilons: How many budgets.
        images: The clean images, kept only where `keep_images`.
        predictions: Their classes, (N,).
        confidences: Their confidences, (N,).
        keep_images: Whether to keep the scored images.
    """

    def __init__(
        self, epsilons: int, images: Tensor, predictions: Tensor, confidences: Tensor, *, keep_images: bool
    ) -> None:
        shape = (epsilons, len(images))
        self.prediction: NDArray[np.int32] = np.tile(predictions.cpu().numpy().astype(np.int32), (epsilons, 1))
        self.confidence: NDArray[np.float32] = np.tile(confidences.cpu().numpy(), (epsilons, 1))
        self.linf = np.zeros(shape, np.float32)
        self.l2 = np.zeros(shape, np.float32)
        self.queries = np.zeros(shape, np.int32)
        self.attacked = np.zeros(shape, np.bool_)
        self.success = np.zeros(shape, np.bool_)
        self.success_within = np.zeros(shape, np.bool_)
        self.images = images.cpu().repeat(epsilons, 1, 1, 1, 1) if keep_images else None

    def record(self, budgets: NDArray[np.intp], places: NDArray[np.intp], scored: Scored) -> None:
        """Enter a batch: what was attacked at which budget, and what came of it.

        The first adversarial image found is carried on to all larger budgets; a failed attempt stands for its own.
        """
        success = scored.success.cpu().numpy()
        values = {name: column.cpu().numpy() for name, column in scored.columns.items()}
        for row, (budget, place) in enumerate(zip(budgets, places, strict=True)):
            self.attacked[budget, place] = True
            self.success[budget, place] = success[row]
            self.queries[budget, place] = values["queries"][row]
            if self.success_within[budget, place]:
                continue
            reach = slice(budget, None) if success[row] else slice(budget, budget + 1)
            self.prediction[reach, place] = values["prediction"][row]
            self.confidence[reach, place] = values["confidence"][row]
            self.linf[reach, place], self.l2[reach, place] = values["linf"][row], values["l2"][row]
            self.success_within[reach, place] = success[row]
            if self.images is not None:
                self.images[reach, place] = scored.images[row].cpu()


def positions(mask: Tensor) -> NDArray[np.intp]:
    """Return where a mask (N,) holds."""
    return torch.nonzero(mask)[:, 0].cpu().numpy()
