"""Ask every timestep about a batch of images, and gather the answers into columns."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from pcbench.errors import DivergenceError, RunError


@dataclasses.dataclass(frozen=True)
class Scores:
    """Answers of every timestep.

    Attributes:
        prediction: Predicted class, shape (timesteps + 1, batch).
        confidence: Softmax probability of the predicted class, shape (timesteps + 1, batch).
    """

    prediction: npt.NDArray[np.int64]
    confidence: npt.NDArray[np.float32]


def to_unit_range(images: torch.Tensor, device: torch.device | str) -> torch.Tensor:
    """Return uint8 images 0..255 as float32 images in [0,1] on a device."""
    return images.to(device).to(torch.float32) / 255


def scores_of(logits: torch.Tensor, shape: tuple[int, int, int], ids: Sequence[str]) -> Scores:
    """Turn logits of every timestep into scores.

    Args:
        logits: (timesteps + 1, batch, classes).
        shape: What the logits' shape has to be.
        ids: Names of the images, for messages.

    Raises:
        RunError: The logits have another shape.
        DivergenceError: A logit is not finite; timestep and image are named.
    """
    if tuple(logits.shape) != shape:
        raise RunError(f"the model gave logits of shape {tuple(logits.shape)} where {shape} was expected")
    bad = torch.nonzero(~torch.isfinite(logits).all(dim=2))
    if len(bad):
        timestep, image = (int(index) for index in bad[0])
        raise DivergenceError(
            f"the network diverges: its logits at t = {timestep} are not finite for image {ids[image]!r}; "
            "lower the error weights or use fewer --timesteps"
        )
    confidence, prediction = logits.float().softmax(dim=2).max(dim=2)
    return Scores(prediction.cpu().numpy(), confidence.cpu().numpy())


class TimestepRows:
    """Gathers batches into columns with one row an image x timestep, whatever the batches were."""

    def __init__(self) -> None:
        self._ids: list[str] = []
        self._labels: list[npt.NDArray[np.int64]] = []
        self._scores: list[Scores] = []

    def add(self, ids: Sequence[str], labels: npt.NDArray[np.int64], scores: Scores) -> None:
        """Add one batch."""
        self._ids.extend(ids)
        self._labels.append(labels)
        self._scores.append(scores)

    def columns(self, *, always_right: bool = False) -> dict[str, npt.NDArray[Any]]:
        """Return the columns, all images of t = 0 first.

        Args:
            always_right: Keep only the images that are right at every timestep, which may be none.
        """
        prediction = np.concatenate([part.prediction for part in self._scores], axis=1)
        confidence = np.concatenate([part.confidence for part in self._scores], axis=1)
        labels, ids = np.concatenate(self._labels), np.array(self._ids)
        if always_right:
            kept = (prediction == labels).all(axis=0)
            prediction, confidence, labels, ids = prediction[:, kept], confidence[:, kept], labels[kept], ids[kept]
        times, images = len(prediction), len(labels)
        return {
            "image_id": np.tile(ids, times),
            "label": np.tile(labels, times),
            "timestep": np.arange(times).repeat(images),
            "prediction": prediction.ravel(),
            "correct": (prediction == labels).ravel(),
            "confidence": confidence.ravel(),
        }
