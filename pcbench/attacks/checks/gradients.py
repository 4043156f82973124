"""Whether a classifier's gradients exist, are finite and not zero, and say what small steps do."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pcbench.attacks.descent import cross_entropy, loss_gradient
from pcbench.attacks.starts import image_generator
from pcbench.errors import UsageError

DIRECTIONS = 8
# Half-widths of the difference quotients, in pixel units along ±1 patterns: small enough for curvature, large enough
# for float32; the better one counts.
STEPS = (2e-4, 1e-3)
_BATCH = 64


@dataclass(frozen=True)
class GradientEvidence:
    """What was seen of a classifier's gradients.

    Attributes:
        n: Images looked at.
        exist: Whether the logits depend on the images in a way that autograd can follow.
        finite_share: Images whose gradient of the cross-entropy is finite in every pixel.
        zero_share: Images whose gradient of the cross-entropy is zero in every pixel.
        agreement: Correlation, over images and random directions, between the change of the margin that the gradient
            predicts and the change that is seen; 1 is perfect, None where there is no gradient.
    """

    n: int
    exist: bool
    finite_share: float
    zero_share: float
    agreement: float | None


def gradient_evidence(
    classifier: nn.Module, images: Tensor, labels: Tensor, *, ids: tuple[str, ...], seed: int
) -> GradientEvidence:
    """Look at the gradients at some images.

    Agreement is measured on the margin, the label's logit less the largest other one: a saturated cross-entropy
    changes by less than float32 can tell, and would look broken where only the loss is flat.

    Args:
        classifier: Images in [0, 1] -> logits.
        images: (N, channels, height, width).
        labels: (N,), int64.
        ids: N ids; with `seed` they determine the random directions.
        seed: The run's seed.
    """
    finite, zero = 0, 0
    predicted: list[Tensor] = []
    seen: list[list[Tensor]] = [[] for _ in STEPS]
    for start in range(0, len(images), _BATCH):
        here = slice(start, start + _BATCH)
        try:
            gradient = loss_gradient(classifier, images[here], labels[here], cross_entropy)
        except UsageError:
            return GradientEvidence(len(images), exist=False, finite_share=0.0, zero_share=1.0, agreement=None)
        finite += int(torch.isfinite(gradient).flatten(1).all(dim=1).sum())
        zero += int((gradient == 0).flatten(1).all(dim=1).sum())
        generators = [image_generator(seed, image_id, "directions", 0) for image_id in ids[here]]
        _follow(classifier, (images[here], labels[here]), generators, predicted, seen)
    slopes = torch.cat(predicted)
    agreement = max(_correlation(slopes, torch.cat(quotients)) for quotients in seen)
    return GradientEvidence(
        n=len(images),
        exist=True,
        finite_share=finite / len(images),
        zero_share=zero / len(images),
        agreement=agreement,
    )


def _follow(
    classifier: nn.Module,
    batch: tuple[Tensor, Tensor],
    generators: list[torch.Generator],
    predicted: list[Tensor],
    seen: list[list[Tensor]],
) -> None:
    """Add, for each direction, the slopes of the margin by gradient and by difference quotients."""
    images, labels = batch
    with torch.no_grad():
        rivals = classifier(images).scatter(1, labels[:, None], -torch.inf).argmax(dim=1)

    def margin(logits: Tensor, classes: Tensor) -> Tensor:
        pairs = logits.gather(1, torch.stack([classes, rivals], dim=1))
        return pairs[:, 0] - pairs[:, 1]

    gradient = loss_gradient(classifier, images, labels, margin)
    for _ in range(DIRECTIONS):
        signs = [torch.randint(0, 2, images.shape[1:], generator=generator) * 2.0 - 1 for generator in generators]
        direction = torch.stack(signs).to(images)
        predicted.append((gradient * direction).flatten(1).sum(dim=1))
        with torch.no_grad():
            for step, quotients in zip(STEPS, seen, strict=True):
                ahead = margin(classifier(images + step * direction), labels)
                behind = margin(classifier(images - step * direction), labels)
                quotients.append((ahead - behind) / (2 * step))


def _correlation(predicted: Tensor, seen: Tensor) -> float:
    """Return the uncentred correlation of slopes, 0 where either side is zero throughout or not finite."""
    predicted, seen = predicted.double(), seen.double()
    scale = float((predicted.square().sum() * seen.square().sum()).sqrt())
    if not 0 < scale < float("inf"):
        return 0.0
    return float((predicted * seen).sum()) / scale
