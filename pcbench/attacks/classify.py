"""Asking a classifier, with the checks that make its answers usable."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pcbench.errors import DataError, RunError, UsageError


@dataclass(frozen=True)
class Answers:
    """What a classifier says to a batch.

    Attributes:
        predictions: The most likely class, (batch,), int64.
        confidences: Its softmax probability, (batch,), float32.
        classes: How many classes the logits have.
    """

    predictions: Tensor
    confidences: Tensor
    classes: int


def check_images(images: Tensor, labels: Tensor) -> None:
    """Refuse what cannot be attacked.

    Raises:
        DataError: Images are not float (batch, channels, height, width) in [0, 1], or labels do not match them.
    """
    if images.ndim != 4 or not images.is_floating_point():
        raise DataError("images to attack are a float tensor (batch, channels, height, width) in [0, 1]")
    if images.numel() and not bool(((images >= 0) & (images <= 1)).all()):
        raise DataError("images to attack lie in [0, 1], before normalisation; these do not (or hold NaN)")
    if labels.shape != images.shape[:1]:
        raise DataError(f"{len(images)} images need {len(images)} labels in one row, not {tuple(labels.shape)}")
    if labels.is_floating_point() or (labels.numel() and int(labels.min()) < 0):
        raise DataError("labels are whole numbers from 0")


def check_logits(logits: Tensor, images: Tensor) -> Tensor:
    """Return the logits if they are (batch, classes) and finite.

    Raises:
        UsageError: They have another shape.
        RunError: They hold NaN or infinity.
    """
    if logits.ndim != 2 or len(logits) != len(images):
        shape = tuple(logits.shape)
        raise UsageError(f"the classifier gives {shape} for {len(images)} images; logits are (images, classes)")
    if not bool(torch.isfinite(logits).all()):
        raise RunError("the classifier's logits hold NaN or infinity; check its weights, or its growth over timesteps")
    return logits


def classify(classifier: nn.Module, images: Tensor, batch_size: int) -> Answers:
    """Classify images without gradients.

    Args:
        classifier: Images in [0, 1] -> logits.
        images: (batch, channels, height, width), at least one.
        batch_size: How many at a time.

    Raises:
        UsageError: The classifier does not give logits (images, classes).
        RunError: The logits hold NaN or infinity.
    """
    with torch.no_grad():
        chunks = [images[start : start + batch_size] for start in range(0, len(images), batch_size)]
        logits = torch.cat([check_logits(classifier(chunk), chunk) for chunk in chunks])
    predictions = logits.argmax(dim=1)
    confidences = logits.float().softmax(dim=1).gather(1, predictions[:, None])[:, 0]
    return Answers(predictions, confidences, logits.shape[1])


def check_classes(labels: Tensor, classes: int) -> None:
    """Refuse labels that the classifier does not know.

    Raises:
        UsageError: A label is not below the number of classes.
    """
    if labels.numel() and int(labels.max()) >= classes:
        raise UsageError(
            f"label {int(labels.max())} does not exist: the classifier has {classes} classes (0 to {classes - 1})"
        )
