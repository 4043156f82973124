"""Check the logits of images at every timestep, and gather their scores into columns."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from pcbench.errors import DivergenceError, RunError
from pcbench.models.model import Model
from pcbench.models.scores import Scores


def to_unit_range(images: torch.Tensor, device: torch.device | str) -> torch.Tensor:
    """Return uint8 images 0..255 as float32 images in [0,1] on a device.

    A GPU is not waited for: images in page-locked memory are copied while it computes, see `page_locked`.
    """
    return images.to(device, non_blocking=torch.device(device).type == "cuda").to(torch.float32) / 255


def page_locked(images: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Return images in memory from which a GPU copies by itself; for other devices they stay as they are."""
    return images.pin_memory() if device.type == "cuda" and images.device.type == "cpu" else images


def check_shape(logits: torch.Tensor, shape: tuple[int, int, int]) -> None:
    """Refuse logits of another shape than (timesteps + 1, batch, classes).

    Raises:
        RunError: They have one.
    """
    if tuple(logits.shape) != shape:
        raise RunError(f"the model gave logits of shape {tuple(logits.shape)} where {shape} was expected")


def refuse_divergence(columns: Mapping[str, npt.NDArray[Any]]) -> None:
    """Refuse a network that gives no finite logits for any of its clean images at some timestep.

    Where it does for a part of them, the others count as not correct.

    Args:
        columns: `timestep`, `finite` and `image_id` of clean images.

    Raises:
        DivergenceError: There is such a timestep; it and an image are named.
    """
    for timestep in np.unique(columns["timestep"]):
        here = columns["timestep"] == timestep
        if columns["finite"][here].any():
            continue
        where = f"its logits at t = {timestep} are not finite for image {str(columns['image_id'][here][0])!r}"
        others = f" and the {here.sum() - 1} others of its block" if here.sum() > 1 else ""
        if timestep == 0:  # what the network gives by itself, ahead of all updates
            raise DivergenceError(
                f"the network gives NaN or infinity: {where}{others}; look at its weights, and for a division by zero "
                "or an overflow in its own code"
            )
        raise DivergenceError(
            f"the network diverges: {where}{others}; use fewer `timesteps`, or lower the error weights where it has "
            "some"
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


@contextmanager
def full_precision(model: Model) -> Generator[Model]:
    """Give the model in float32, without TF32, whatever the run computes in."""
    products, convolutions = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    try:
        yield model.in_full_precision()
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = products, convolutions
