"""Scoring images by a classifier, with the checks that make its scores usable."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from pcbench.attacks.definitions import AttackDefinition
from pcbench.errors import DataError, UsageError
from pcbench.models.draws import tallied
from pcbench.models.scores import Scores, scores

Judge = Callable[[Tensor], Tensor]
"""What scores images in [0, 1]: logits (S, batch, classes), one slice for each timestep that is scored."""


def single(classifier: Callable[[Tensor], Tensor]) -> Judge:
    """Return the judge that asks one classifier, images -> logits (batch, classes)."""

    def judge(images: Tensor) -> Tensor:
        logits = classifier(images)
        if logits.ndim != 2 or len(logits) != len(images):
            shape = tuple(logits.shape)
            raise UsageError(f"the classifier gives {shape} for {len(images)} images; logits are (images, classes)")
        return logits[None]

    return judge


def check_images(images: Tensor, labels: Tensor) -> None:
    """Refuse what cannot be attacked.

    Raises:
        DataError: Images are not float (batch, channels, height, width) in [0, 1], or labels do not match them.
    """
    if images.ndim != 4 or not images.is_floating_point():
        raise DataError(
            "images to attack are a float tensor (batch, channels, height, width) in [0, 1]; divide bytes by 255"
        )
    if images.layout is not torch.strided or images.device.type == "meta":
        raise DataError("images to attack are a dense tensor with values; give images.to_dense(), on a real device")
    if images.numel() and not bool(((images >= 0) & (images <= 1)).all()):
        raise DataError("images to attack lie in [0, 1], before normalisation; these do not (or hold NaN)")
    if labels.shape != images.shape[:1]:
        raise DataError(f"{len(images)} images need {len(images)} labels in one row, not {tuple(labels.shape)}")
    if labels.numel() and int(labels.min()) < 0:
        raise DataError("labels are whole numbers from 0")


def classify(judge: Judge, images: Tensor, labels: Tensor, batch_size: int) -> Scores:
    """Score images without gradients.

    Args:
        judge: Images in [0, 1] -> logits (S, batch, classes).
        images: (batch, channels, height, width), at least one.
        labels: Their classes, (batch,).
        batch_size: How many at a time.

    Raises:
        DataError: There are no images.
    """
    if not len(images):
        raise DataError("there are no images to attack")
    with torch.no_grad(), tallied() as tally:
        chunks = [judge(images[start : start + batch_size]) for start in range(0, len(images), batch_size)]
        logits = torch.cat(chunks, dim=1)
    return scores(logits, labels, tally.predictions(logits))


def goal_classes(labels: Tensor, definition: AttackDefinition, classes: int) -> Tensor:
    """Return the classes that an attack is about: the labels to leave, or the targets to reach, (N,), int64.

    Raises:
        UsageError: A label or the target does not exist, or the target is the label itself.
    """
    check_classes(labels, classes)
    if definition.target_class is not None:
        if definition.target_class >= classes:
            known = f"the classifier has {classes} classes (0 to {classes - 1})"
            raise UsageError(f"the target class {definition.target_class} does not exist: {known}")
        return torch.full_like(labels, definition.target_class, dtype=torch.int64)
    offset = definition.target_offset or 0
    if definition.targeted and offset % classes == 0:
        raise UsageError(
            f"{definition.name}: (label + {offset}) modulo {classes} classes is the label; it is not a target: give "
            f"another target_offset in a suite of your own, or a network of other classes"
        )
    return (labels.long() + offset) % classes


def eligible_images(predictions: Tensor, labels: Tensor, targets: Tensor | None) -> Tensor:
    """Return over which images success is a rate, bool, shaped like `predictions`.

    Args:
        predictions: What the clean images are taken for, (S, images).
        labels: Their classes, (images,).
        targets: The classes to reach, (images,); None for an untargeted attack.

    Returns:
        Untargeted: the images that are right. Targeted: those not at their target, unless the target is their label;
        to reach that is no success.
    """
    if targets is None:
        return predictions == labels
    return (predictions != targets) & (labels != targets)


def check_classes(labels: Tensor, classes: int) -> None:
    """Refuse labels that the classifier does not know.

    Raises:
        UsageError: A label is not below the number of classes.
    """
    if labels.numel() and int(labels.max()) >= classes:
        known = f"the classifier has {classes} classes (0 to {classes - 1})"
        raise UsageError(f"label {int(labels.max())} does not exist: {known}")
