"""Whether a classifier's gradients exist, are finite and not zero, and predict what small steps do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pcbench.attacks.descent import cross_entropy, loss_gradient
from pcbench.attacks.eval_batch import EvalBatch
from pcbench.attacks.starts import start_generator
from pcbench.errors import UsageError
from pcbench.network.timestep_model import unchecked

DIRECTIONS = 8
# Half-widths of the difference quotients, in pixel units along ±1 patterns: small enough for curvature, large enough
# for float32; the better one counts.
STEPS = {"narrow": 2e-4, "wide": 1e-3}
METRICS = (
    "exists",
    "finite",
    "zero",
    "predicted_squares",
    *(f"{sums}_{name}" for name in STEPS for sums in ("seen_squares", "products")),
)


@dataclass(frozen=True)
class GradientEvidence:
    """What was seen of a classifier's gradients."""

    n: int
    """Images looked at."""
    exist: bool
    """Whether the logits depend on the images in a way that autograd can follow."""
    finite_share: float
    """Images whose gradient of the cross-entropy is finite in every pixel."""
    zero_share: float
    """Images whose gradient of the cross-entropy is zero in every pixel."""
    agreement: float | None
    """Correlation, over images and random directions, between the change of the margin that the gradient predicts and
    the change that is seen; 1 is perfect, None where there is no gradient."""


def gradient_numbers(classifier: nn.Module, eval_batch: EvalBatch) -> dict[str, NDArray[np.float64]]:
    """Look at the gradients at a batch of images.

    Agreement is measured on the margin, the label's logit minus the largest other one: a saturated cross-entropy
    changes by less than float32 can tell, and would look broken where only the loss is flat.

    Args:
        classifier: Images in [0, 1] -> logits.
        eval_batch: The images; their ids and seed determine the random directions.

    Returns:
        `METRICS`, (N,) each: `exists`, `finite` and `zero`, 1 or 0; and the sums over directions that a correlation is
        made of, 0 where there is no gradient: `predicted_squares` of slopes by gradient, `seen_squares_narrow` and
        `seen_squares_wide` of difference quotients, `products_narrow` and `products_wide` of both.
    """
    # Difference quotients look a little way outside [0, 1].
    classifier, ones = unchecked(classifier), np.ones(len(eval_batch.images))
    try:
        gradient = loss_gradient(classifier, eval_batch.images, eval_batch.labels, cross_entropy).flatten(1).cpu()
    except UsageError:
        return {**dict.fromkeys(METRICS, 0 * ones), "zero": ones}
    predicted, seen = _slopes(classifier, eval_batch)
    numbers = {
        "finite": torch.isfinite(gradient).all(dim=1).double(),
        "zero": (gradient == 0).all(dim=1).double(),
        "predicted_squares": predicted.square().sum(dim=0),
    }
    for name, quotients in seen.items():
        numbers[f"seen_squares_{name}"] = quotients.square().sum(dim=0)
        numbers[f"products_{name}"] = (predicted * quotients).sum(dim=0)
    return {"exists": ones, **{name: values.numpy() for name, values in numbers.items()}}


def pooled_gradients(numbers: Mapping[str, NDArray[np.float64]]) -> GradientEvidence:
    """Return what `gradient_numbers` says of all images together, from the numbers of any batches joined."""
    exists = numbers["exists"]
    if not exists.all():
        return GradientEvidence(len(exists), exist=False, finite_share=0.0, zero_share=1.0, agreement=None)
    return GradientEvidence(
        n=len(exists),
        exist=True,
        finite_share=float(numbers["finite"].mean()),
        zero_share=float(numbers["zero"].mean()),
        agreement=max(_correlation(numbers, name) for name in STEPS),
    )


def _slopes(classifier: nn.Module, eval_batch: EvalBatch) -> tuple[Tensor, dict[str, Tensor]]:
    """Return the slopes of the margin by gradient, and by difference quotients of each width.

    Returns:
        (directions, N) each, in double precision, on the CPU: not every device has double precision.
    """
    images, labels = eval_batch.images, eval_batch.labels
    with torch.no_grad():
        rivals = classifier(images).scatter(1, labels[:, None], -torch.inf).argmax(dim=1)

    def margin(logits: Tensor, classes: Tensor) -> Tensor:
        pairs = logits.gather(1, torch.stack([classes, rivals], dim=1))
        return pairs[:, 0] - pairs[:, 1]

    gradient = loss_gradient(classifier, images, labels, margin)
    generators = [start_generator(eval_batch.seed, image_id, "directions", 0) for image_id in eval_batch.ids]
    predicted: list[Tensor] = []
    seen: dict[str, list[Tensor]] = {name: [] for name in STEPS}
    for _ in range(DIRECTIONS):
        signs = [torch.randint(0, 2, images.shape[1:], generator=generator) * 2.0 - 1 for generator in generators]
        direction = torch.stack(signs).to(images)
        predicted.append((gradient * direction).flatten(1).sum(dim=1))
        with torch.no_grad():
            for name, step in STEPS.items():
                ahead = margin(classifier(images + step * direction), labels)
                behind = margin(classifier(images - step * direction), labels)
                seen[name].append((ahead - behind) / (2 * step))
    return torch.stack(predicted).cpu().double(), {
        name: torch.stack(quotients).cpu().double() for name, quotients in seen.items()
    }


def _correlation(numbers: Mapping[str, NDArray[np.float64]], name: str) -> float:
    """Return the uncentred correlation of slopes, 0 where either side is zero throughout or not finite."""
    squares = float(numbers["predicted_squares"].sum()) * float(numbers[f"seen_squares_{name}"].sum())
    scale = squares**0.5
    if not 0 < scale < float("inf"):
        return 0.0
    return float(numbers[f"products_{name}"].sum()) / scale
