"""The update rule of predictive coding, as pure functions of tensors.

Source: Choksi et al., "Predify: Augmenting deep neural networks with brain-inspired predictive coding dynamics",
NeurIPS 2021 (arXiv 2106.02749), section 3, with two changes: the prediction error is a mean over the cells of one
image, never over the batch, and its gradient can stay differentiable.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import sqrt
from typing import cast

import torch
from torch import Tensor


@dataclass(frozen=True)
class Hyperparameters:
    """The weights of one PCoder's update: β (`feedforward`), λ (`feedback`) and α (`error_weight`).

    What is left of 1 after β and λ is the weight of the representation's own past. Tensors are accepted, so that
    the weights can be learned by gradient.
    """

    feedforward: float | Tensor
    feedback: float | Tensor
    error_weight: float | Tensor

    def without(self, ablation: str) -> Hyperparameters:
        """Return these weights with one of them set to 0: ``"feedback"`` (λ) or ``"error_weight"`` (α)."""
        return replace(self, **{ablation: 0.0})


def is_zero(weight: float | Tensor) -> bool:
    """Return whether a weight is the constant 0; a tensor is not, because it may be learned."""
    return not isinstance(weight, Tensor) and weight == 0


def updated(
    drive: Tensor,
    memory: Tensor,
    feedback: Tensor | None,
    error_gradient: Tensor | None,
    scale: float,
    weights: Hyperparameters,
) -> Tensor:
    """Return e_n(t+1) = β F_n + λ D_{n+1}(e_{n+1}(t)) + (1 - β - λ) e_n(t) - α_n s_n ∇ε_n(t).

    Args:
        drive: F_n(e_{n-1}(t+1)), what the layer below makes of its new representation.
        memory: e_n(t).
        feedback: D_{n+1}(e_{n+1}(t)), or None where λ is 0.
        error_gradient: What `scale` makes s_n ∇ε_n(t) of, or None where α is 0.
        scale: See `error_gradient`.
        weights: β, λ, α of this PCoder.
    """
    new = memory * (1 - weights.feedforward - weights.feedback)
    new = _plus(new, drive, weights.feedforward)
    if feedback is not None:
        new = _plus(new, feedback, weights.feedback)
    return new if error_gradient is None else _plus(new, error_gradient, -scale * weights.error_weight)


def _plus(total: Tensor, term: Tensor, weight: float | Tensor) -> Tensor:
    # In place where the weight is a number: nothing else uses `total`, and large ones cost a pass over memory each.
    return total + term * weight if isinstance(weight, Tensor) else total.add_(term, alpha=weight)


def error_gradient_scale(prediction_cells: int, error_window: float | None) -> float:
    """Return s_n: 1, or K/√C where an error window C is given (K: cells of one image's prediction)."""
    return 1.0 if error_window is None else prediction_cells / sqrt(error_window)


def prediction_error(prediction: Tensor, target: Tensor) -> Tensor:
    """Return ε_n: the mean squared difference over the cells of each image, shape (batch,)."""
    return (prediction - target).square().flatten(1).mean(1)


def magnitude(representation: Tensor) -> Tensor:
    """Return the root mean square of each image's representation, shape (batch,), outside any graph."""
    # Not flattened: that copies a representation whose channels lie beside each other. PyTorch leaves the norm untyped.
    norm = cast("Tensor", torch.linalg.vector_norm(representation.detach(), dim=[*range(1, representation.dim())]))
    return norm / sqrt(representation[0].numel())
