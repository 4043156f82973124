"""Check the logits of a batch at every timestep, and gather its scores into columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from pcbench.errors import DivergenceError, RunError
from pcbench.models.scores import Scores


def to_unit_range(images: torch.Tensor, device: torch.device | str) -> torch.Tensor:
    """Return uint8 images 0..255 as float32 images in [0,1] on a device."""
    return images.to(device).to(torch.float32) / 255


def check_logits(logits: torch.Tensor, shape: tuple[int, int, int], ids: Sequence[str]) -> None:
    """Refuse logits that cannot be scored.

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
        where = f"its logits at t = {timestep} are not finite for image {ids[image]!r}"
        if timestep == 0:  # what the network gives by itself, ahead of all updates
            raise DivergenceError(
                f"the network gives NaN or infinity: {where}; look at its weights, and for a division by zero or an "
                "overflow in its own code"
            )
        raise DivergenceError(
            f"the network diverges: {where}; use fewer `timesteps`, or lower the error weights where it has some"
        )


class TimestepRows:
    """Gathers batches into columns with one row per image x timestep, whatever the batches were."""

    def __init__(self) -> None:
        self._ids: list[str] = []
        self._labels: list[npt.NDArray[np.int64]] = []
        self._scores: list[dict[str, npt.NDArray[Any]]] = []

    def add(self, ids: Sequence[str], labels: npt.NDArray[np.int64], scores: Scores) -> None:
        """Add one batch."""
        self._ids.extend(ids)
        self._labels.append(labels)
        self._scores.append(scores.arrays())

    def columns(self, *, always_right: bool = False) -> dict[str, npt.NDArray[Any]]:
        """Return the columns, all images of t = 0 first.

        Args:
            always_right: Keep only the images that are right at every timestep, which may be none.
        """
        scores = {name: np.concatenate([part[name] for part in self._scores], axis=1) for name in self._scores[0]}
        kept = scores["correct"].all(axis=0) if always_right else slice(None)
        labels, ids = np.concatenate(self._labels)[kept], np.array(self._ids)[kept]
        times, images = len(scores["correct"]), len(labels)
        return {
            "image_id": np.tile(ids, times),
            "label": np.tile(labels, times),
            "timestep": np.arange(times).repeat(images),
            **{name: values[:, kept].ravel() for name, values in scores.items()},
        }
