"""Controls: what takes the place of feedback, or stands before a network, to ask whether feedback does more than it.

Each is a function of the image alone and has no learned weights. A study compares a network with them: an input blur
before the plain network, feedback in the wrong places, and smoothing in place of feedback.

Source: Own, made for the question whether feedback does more than a blur or a wrong feedback does.
"""

from __future__ import annotations

import functools
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import Tensor

from pcbench.catalog import Definition

ControlKind = Literal["input-blur", "misplaced-feedback", "smoothed"]
NO_BLUR = 0.3
"""In cells: a Gaussian narrower than this, sampled at whole cells, is 1 at its middle and 0 beside it."""
_TAPS = 4.0
"""The Gaussian is cut off at so many standard deviations, as SciPy has it."""


class Control(Definition):
    """What a network is changed into, for comparison.

    - ``input-blur``: e_0 is blurred before anything else sees it, after normalisation and after any noise on e_0.
    - ``misplaced-feedback``: the positions of each prediction that feeds back are permuted, by one seeded permutation a
      PCoder for all images, channels and timesteps: the same values in wrong places.
    - ``smoothed``: e_n(t) itself, blurred, takes the place of the prediction that feeds back to it.

    Blurs are Gaussian, sampled at whole cells, with the border reflected.
    """

    kind: ControlKind
    """Which of these."""
    width: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    """Standard deviation of the blur, in cells of what is blurred (pixels of the image); of at least 0.3."""
    seed: Annotated[int, Field(ge=0)] | None = None
    """Of the permutations."""

    @model_validator(mode="after")
    def _has_what_it_needs(self) -> Control:
        needed, other = ("seed", "width") if self.kind == "misplaced-feedback" else ("width", "seed")
        if getattr(self, needed) is None:
            raise ValueError(f"{self.kind} needs a {needed}: give {needed} = {1 if needed == 'seed' else 0.5}")
        if getattr(self, other) is not None:
            raise ValueError(f"{self.kind} has no {other}; leave it out")
        if self.width is not None and self.width < NO_BLUR:
            raise ValueError(f"width is {self.width:g}; below {NO_BLUR} a Gaussian at whole cells blurs nothing")
        return self

    @property
    def text(self) -> str:
        """What it is called in a table's rows, such as ``"input-blur-0.5"``."""
        return f"{self.kind}-{self.seed if self.width is None else f'{self.width:g}'}"

    def entered(self, inputs: Tensor) -> Tensor:
        """Return e_0 as the network sees it, (batch, channels, height, width)."""
        if self.kind != "input-blur" or self.width is None:
            return inputs
        return blurred(inputs, self.width)

    def fed_back(self, prediction: Tensor | None, memory: Tensor, pcoder: int) -> Tensor | None:
        """Return what feeds back to a PCoder in place of a prediction of its representation.

        Args:
            prediction: The prediction, shaped as the representation; None where `needs_prediction` is false.
            memory: The representation e_n(t), (batch, channels, height, width) or any other shape.
            pcoder: Which PCoder it is, counted from 0.
        """
        if self.kind == "misplaced-feedback" and self.seed is not None and prediction is not None:
            return misplaced(prediction, self.seed, pcoder)
        if self.kind == "smoothed" and self.width is not None:
            return blurred(memory, self.width)
        return prediction

    @property
    def needs_prediction(self) -> bool:
        """Whether what feeds back is made of the prediction."""
        return self.kind != "smoothed"


def blurred(values: Tensor, width: float) -> Tensor:
    """Return values blurred by a Gaussian along their last two dimensions, or their last one where they have one only.

    Args:
        values: (batch, channels, height, width), or (batch, features).
        width: Standard deviation in cells.
    """
    found = values
    for axis in range(2, values.dim()) if values.dim() > 2 else (1,):
        weights = _blur_matrix(values.shape[axis], width).to(values)
        found = (found.movedim(axis, -1) @ weights.T).movedim(-1, axis)
    return found


@functools.lru_cache(maxsize=32)
def _blur_matrix(length: int, width: float) -> Tensor:
    """Return the matrix (length, length) of SciPy's Gaussian filter, whose border is reflected."""
    from scipy.ndimage import gaussian_filter1d  # its import takes a tenth as long as PyTorch's, and few runs blur

    made: Any = gaussian_filter1d(np.eye(length), width, axis=0, mode="reflect", truncate=_TAPS)
    return torch.from_numpy(np.asarray(made, dtype=np.float64))


def misplaced(values: Tensor, seed: int, pcoder: int) -> Tensor:
    """Return values whose positions are permuted, the same for all images and channels.

    Args:
        values: (batch, channels, height, width), whose positions are height x width; or (batch, features).
        seed: Of the permutation.
        pcoder: Each PCoder has a permutation of its own.
    """
    flat = values.flatten(2) if values.dim() > 2 else values
    order = _permutation(flat.shape[-1], seed, pcoder).to(values.device)
    return flat[..., order].reshape(values.shape)


@functools.lru_cache(maxsize=32)
def _permutation(length: int, seed: int, pcoder: int) -> Tensor:
    return torch.from_numpy(np.random.default_rng([seed, pcoder]).permutation(length))
