"""Whether a classifier's gradients exist, are finite and not zero, and predict what small and large steps do.

Source: Athalye, Carlini and Wagner, ICML 2018, arXiv 1802.00420, section 3.1; Carlini et al., 2019, arXiv 1902.06705.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
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
from pcbench.norms import Norm

DIRECTIONS = 8
FEW_DIRECTIONS = 2
"""How many the cheap form of the checks takes."""
# Half-widths of the difference quotients, in pixel units along ±1 patterns: small enough for curvature, large enough
# for float32; the better one counts.
STEPS = {"narrow": 2e-4, "wide": 1e-3}
COARSE = {"wide": 1 / 32}
"""Instead of them, for a network that computes with 16 bits somewhere, which rounds pixels by up to 1/512."""
BUDGET = "budget"
"""The name of the difference quotients whose half-width is the budget: gradients that are right at a point may say
nothing about a step of this size."""
METRICS = (
    "exists",
    "finite",
    "zero",
    "predicted_squares",
    *(f"{sums}_{name}" for name in STEPS for sums in ("seen_squares", "products")),
)
BUDGET_METRICS = (f"seen_squares_{BUDGET}", f"products_{BUDGET}")
"""What is known besides, where a budget was given; evidence of former versions lacks it."""


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
    budget_agreement: float | None = None
    """The same for changes of the budget's size; None where there is no gradient, or where it was not looked at."""
    size: float | None = None
    """How many times as large as the changes that are seen the predicted ones are; a correlation does not tell. None
    where there is no gradient, or no change at all."""


@dataclass(frozen=True)
class Quotients:
    """Which difference quotients are taken, along random ±1 patterns."""

    steps: Mapping[str, float]
    """Their half-widths, by name."""
    directions: int = DIRECTIONS
    """How many patterns each image gets."""

    @classmethod
    def local(cls) -> Quotients:
        """Return those that look at a point alone."""
        return cls(STEPS)

    def fit_for(self, types: Set[torch.dtype]) -> Quotients:
        """Return these, or for a network of low precision those that it does not drown in rounding.

        Args:
            types: Those of its weights and of the activations that it keeps for the gradient.
        """
        if not types & {torch.bfloat16, torch.float16}:
            return self
        budget = {name: step for name, step in self.steps.items() if name == BUDGET}
        return Quotients({**COARSE, **budget}, self.directions)

    @classmethod
    def up_to(cls, epsilon: float, norm: Norm, images: Tensor, *, few: bool = False) -> Quotients:
        """Return those that look at the scale of a budget too.

        Args:
            epsilon: The budget.
            norm: Its norm.
            images: (batch, channels, height, width); gives the shape.
            few: Take as few as the cheap form of the checks can do with.
        """
        pattern = float(norm.length(torch.ones_like(images[:1]))[0])
        local = {"wide": STEPS["wide"]} if few else STEPS
        return cls({**local, BUDGET: epsilon / pattern}, FEW_DIRECTIONS if few else DIRECTIONS)


def gradient_numbers(
    classifier: nn.Module, eval_batch: EvalBatch, quotients: Quotients | None = None
) -> dict[str, NDArray[np.float64]]:
    """Look at the gradients at a batch of images.

    Agreement is measured on the margin, the label's logit minus the largest other one: a saturated cross-entropy
    changes by less than float32 can tell, and would look broken where only the loss is flat.

    Args:
        classifier: Images in [0, 1] -> logits.
        eval_batch: The images; their ids and seed determine the random directions.
        quotients: What the gradient is compared with; by default `Quotients.local`.

    Returns:
        (N,) each: `exists`, `finite` and `zero`, 1 or 0; and the sums over directions that a correlation is made of, 0
        where there is no gradient: `predicted_squares` of slopes by gradient, and for each width `seen_squares_WIDTH`
        of difference quotients and `products_WIDTH` of both.
    """
    # Difference quotients look a little way outside [0, 1].
    quotients = quotients or Quotients.local()
    types = {parameter.dtype for parameter in classifier.parameters()}
    classifier, ones = unchecked(classifier), np.ones(len(eval_batch.images))

    def noted(kept: Tensor) -> Tensor:
        types.add(kept.dtype)
        return kept

    try:
        with torch.autograd.graph.saved_tensors_hooks(noted, lambda kept: kept):
            gradient = loss_gradient(classifier, eval_batch.images, eval_batch.labels, cross_entropy).flatten(1).cpu()
    except UsageError:
        sums = (f"{sums}_{name}" for name in quotients.steps for sums in ("seen_squares", "products"))
        return {**dict.fromkeys(("exists", "finite", "predicted_squares", *sums), 0 * ones), "zero": ones}
    quotients = quotients.fit_for(types)
    predicted, seen = _slopes(classifier, eval_batch, quotients)
    numbers = {
        "finite": torch.isfinite(gradient).all(dim=1).double(),
        "zero": (gradient == 0).all(dim=1).double(),
        "predicted_squares": predicted.square().sum(dim=0),
    }
    for name, slopes in seen.items():
        numbers[f"seen_squares_{name}"] = slopes.square().sum(dim=0)
        numbers[f"products_{name}"] = (predicted * slopes).sum(dim=0)
    return {"exists": ones, **{name: values.numpy() for name, values in numbers.items()}}


def pooled_gradients(numbers: Mapping[str, NDArray[np.float64]]) -> GradientEvidence:
    """Return what `gradient_numbers` says of all images together, from the numbers of any batches joined."""
    exists = numbers["exists"]
    if not exists.all():
        return GradientEvidence(len(exists), exist=False, finite_share=0.0, zero_share=1.0, agreement=None)
    agreements = {name: _correlation(numbers, name) for name in STEPS if f"products_{name}" in numbers}
    best = max(agreements, key=lambda name: agreements[name])
    return GradientEvidence(
        n=len(exists),
        exist=True,
        finite_share=float(numbers["finite"].mean()),
        zero_share=float(numbers["zero"].mean()),
        agreement=agreements[best],
        budget_agreement=_correlation(numbers, BUDGET) if set(BUDGET_METRICS) <= set(numbers) else None,
        size=_size(numbers, best),
    )


def _slopes(classifier: nn.Module, eval_batch: EvalBatch, quotients: Quotients) -> tuple[Tensor, dict[str, Tensor]]:
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
    seen: dict[str, list[Tensor]] = {name: [] for name in quotients.steps}
    for _ in range(quotients.directions):
        signs = [torch.randint(0, 2, images.shape[1:], generator=generator) * 2.0 - 1 for generator in generators]
        direction = torch.stack(signs).to(images)
        predicted.append((gradient * direction).flatten(1).sum(dim=1))
        with torch.no_grad():
            for name, step in quotients.steps.items():
                ahead = margin(classifier(images + step * direction), labels)
                behind = margin(classifier(images - step * direction), labels)
                seen[name].append((ahead - behind) / (2 * step))
    return torch.stack(predicted).cpu().double(), {
        name: torch.stack(slopes).cpu().double() for name, slopes in seen.items()
    }


def _correlation(numbers: Mapping[str, NDArray[np.float64]], name: str) -> float:
    """Return the uncentred correlation of slopes, 0 where either side is zero throughout or not finite."""
    squares = float(numbers["predicted_squares"].sum()) * float(numbers[f"seen_squares_{name}"].sum())
    scale = squares**0.5
    if not 0 < scale < float("inf"):
        return 0.0
    return float(numbers[f"products_{name}"].sum()) / scale


def _size(numbers: Mapping[str, NDArray[np.float64]], name: str) -> float | None:
    """Return the predicted slopes' regression on those seen, None where these are zero throughout or not finite."""
    seen, products = float(numbers[f"seen_squares_{name}"].sum()), float(numbers[f"products_{name}"].sum())
    return products / seen if 0 < seen < float("inf") and np.isfinite(products) else None
