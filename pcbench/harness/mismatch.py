"""Whether a finished run looks as if its labels and its network did not belong together."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pcbench.models.facts import ModelFacts
from pcbench.models.scores import NO_PREDICTION
from pcbench.percent import percent

# Among fewer images, a good network can be wrong on each by chance.
_FEWEST = 8
# From this share on, predictions are nearly one class; it must be more than that of any label.
_NEARLY, _MORE = 0.95, 0.3
# From this share of predictions one below the label on, labels run from 1.
_SHIFTED = 0.5
_BEGINNING = "WARNING: labels and network may not belong together"


def mismatch(clean: pa.Table, facts: ModelFacts) -> str | None:
    """Return a warning where labels and network look as if they did not belong together; None where they do not.

    Args:
        clean: The outcomes of clean images, of which t = 0 counts: what follows is the network's own.
        facts: What is known of the network.
    """
    at_start = clean.column("timestep").to_numpy() == 0
    labels: NDArray[np.int32] = clean.column("label").to_numpy()[at_start]
    predictions: NDArray[np.int32] = clean.column("prediction").to_numpy()[at_start]
    known = predictions != NO_PREDICTION
    labels, predictions = labels[known], predictions[known]
    if len(labels) < _FEWEST:
        return None
    accuracy = np.count_nonzero(labels == predictions) / len(labels)
    predicted, share = _most_frequent(predictions)
    if share >= _NEARLY and share - _most_frequent(labels)[1] > _MORE:
        name = "" if facts.class_names is None else f" ({facts.class_names[predicted]})"
        return (
            f"{_BEGINNING}: {percent(share)} % of the predictions on clean images at t = 0 are class {predicted}{name}"
            "; likely reasons: weights that were not loaded, pixels normalised twice or not at all, or of another range"
        )
    if accuracy <= 1 / facts.classes and labels.min() >= 1 and np.mean(predictions == labels - 1) > _SHIFTED:
        return (
            f"{_BEGINNING}: {percent(accuracy)} % of {len(labels)} clean images are right at t = 0, but most "
            "predictions are one below the label: labels run from 1, the network's outputs from 0; give labels - 1"
        )
    if facts.class_names is not None and accuracy <= 1 / facts.classes:
        return (
            f"{_BEGINNING}: {percent(accuracy)} % of {len(labels)} clean images are right at t = 0, and "
            f"{percent(1 / facts.classes)} % would be by chance; likely reasons: labels in another order than the "
            "network's classes, weights that were not loaded, or another preprocessing than in training"
        )
    return None


def _most_frequent(classes: NDArray[np.int32]) -> tuple[int, float]:
    values, counts = np.unique(classes, return_counts=True)
    return int(values[counts.argmax()]), float(counts.max() / len(classes))
