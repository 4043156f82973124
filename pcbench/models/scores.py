"""From logits to the numbers about each image: the columns of outcomes that come from a network's logits alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

NO_PREDICTION = -1
"""What stands for the predicted class where logits are not finite."""


@dataclass(frozen=True)
class Scores:
    """What a network says about a batch at S timesteps."""

    columns: Mapping[str, Tensor]
    """Tensors (S, batch) by the names of columns of outcomes, which `pcbench.results.columns` describes."""
    classes: int
    """How many classes the logits have."""

    @property
    def prediction(self) -> Tensor:
        """The class with the largest logit, (S, batch), int64; `NO_PREDICTION` where logits are not finite."""
        return self.columns["prediction"]

    def at(self, indices: Tensor) -> Scores:
        """Return the scores of some of the images."""
        return Scores({name: values[:, indices] for name, values in self.columns.items()}, self.classes)

    def where(self, mask: Tensor, other: Scores) -> Scores:
        """Return these scores where the mask (batch,) holds, the other ones elsewhere."""
        chosen = {name: torch.where(mask, values, other.columns[name]) for name, values in self.columns.items()}
        return Scores(chosen, self.classes)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the columns as arrays (S, batch)."""
        return {name: values.cpu().numpy() for name, values in self.columns.items()}


def scores(logits: Tensor, labels: Tensor, draws: Tensor | None = None) -> Scores:
    """Return all that outcomes hold of some logits.

    Args:
        logits: (S, batch, classes). Where one of an image's logits is not finite, the image has no prediction
            (`NO_PREDICTION`), is not correct, and the numbers about it are NaN.
        labels: (batch,), whole numbers from 0; where the network has no such class, the numbers about it are NaN.
        draws: What each single draw of a random network predicts, (draws, S, batch).
    """
    classes = logits.shape[2]
    finite = logits.isfinite().all(dim=2)
    values = logits.float().where(finite[..., None], torch.nan)
    prediction = predicted(logits)
    shown = prediction.clamp_min(0)
    probabilities = values.softmax(dim=2)
    labels = labels.to(logits.device, torch.int64)
    known = labels < classes
    label = labels.clamp(max=classes - 1).expand(prediction.shape)
    columns = {
        "prediction": prediction,
        "correct": prediction == labels,
        "confidence": _of_class(probabilities, shown),
        "margin": torch.where(known, margins(values, label), torch.nan),
        "true_label_probability": torch.where(known, _of_class(probabilities, label), torch.nan),
        "finite": finite,
    }
    if draws is not None:
        columns["draws_right"] = (draws.to(labels.device) == labels).float().mean(dim=0)
    return Scores(columns, classes)


def predicted(logits: Tensor) -> Tensor:
    """Return the class with the largest logit, (...), int64; `NO_PREDICTION` where a logit is not finite.

    Args:
        logits: (..., classes).
    """
    return logits.argmax(dim=-1).where(logits.isfinite().all(dim=-1), NO_PREDICTION)


def margins(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the label's logit minus the largest other one, (...); above 0 where the label is predicted.

    Args:
        logits: (..., classes). With a single class, the margin is infinite.
        labels: (...), int64.
    """
    others = logits.scatter(-1, labels[..., None], -torch.inf)
    return _of_class(logits, labels) - others.amax(dim=-1)


def _of_class(values: Tensor, classes: Tensor) -> Tensor:
    return values.gather(-1, classes[..., None])[..., 0]
