"""Which images a suite is run on, where that depends on the network."""

from __future__ import annotations

import numpy as np
import torch

from pcbench.data.image_source import ImageSource
from pcbench.errors import DataError
from pcbench.harness.scoring import scores_of, to_unit_range
from pcbench.models.subject import Subject


def always_correct(subject: Subject, source: ImageSource, timesteps: int, batch_size: int) -> ImageSource:
    """Return the images that the network classifies right at every timestep.

    Raises:
        DataError: There is none.
    """
    right: list[np.ndarray[tuple[int], np.dtype[np.bool_]]] = []
    for batch in source.batches(batch_size):
        with torch.no_grad():
            logits = subject.logits(to_unit_range(batch.images, subject.device), timesteps)
        scores = scores_of(logits, (timesteps + 1, len(batch.ids), subject.classes), batch.ids)
        right.append((scores.prediction == batch.labels.numpy()).all(axis=0))
    chosen = np.flatnonzero(np.concatenate(right))
    if len(chosen) == 0:
        raise DataError(f"{source.name}: {subject.name} is right at every timestep on none of {len(source)} images")
    if len(chosen) == len(source):
        return source
    return source.select(chosen, f"the {len(chosen)} of {len(source)} images that are right at every timestep")
