"""Watch the growth of representations over t, so that a diverging network is named and not averaged away."""

from __future__ import annotations

import dataclasses

import torch

from pcbench.data.image_source import ImageSource
from pcbench.harness.scoring import to_unit_range
from pcbench.models.subject import Subject
from pcbench.network.unrolling import diverged

WATCHED_IMAGES = 256
GROWTH_LIMIT = 10.0


@dataclasses.dataclass(frozen=True)
class Growth:
    """How representations of clean images grow.

    Attributes:
        images: How many images were watched: the first ones of the source, at most 256.
        diverging: On how many of them a representation grew more than tenfold over its size at t = 0, or was no
            longer finite.
        largest: For each timestep, the largest ratio of a representation's root mean square to that at t = 0, over
            all PCoders, in the mean over the images.
    """

    images: int
    diverging: int
    largest: tuple[float, ...]

    @property
    def sentence(self) -> str | None:
        """The warning, where there is something to warn of."""
        if not self.diverging:
            return None
        return (
            f"DIVERGING: on {self.diverging} of {self.images} clean images the representations grow more than "
            f"{GROWTH_LIMIT:.0f}-fold over the timesteps; late timesteps tell nothing about a working network"
        )


def watch_growth(subject: Subject, source: ImageSource, timesteps: int, batch_size: int) -> Growth | None:
    """Measure the growth of a predictive network's representations; None for other models."""
    network = subject.network
    if network is None or timesteps == 0:
        return None
    parts: list[torch.Tensor] = []
    watched = range(min(WATCHED_IMAGES, len(source)))
    with torch.no_grad():
        for batch in source.batches(batch_size, list(watched)):
            inputs = subject.normalise(to_unit_range(batch.images, subject.device))
            parts.append(network.unroll(inputs, timesteps).magnitudes.cpu())
    magnitudes = torch.cat(parts, dim=2)
    ratio = magnitudes.mean(dim=2) / magnitudes[0].mean(dim=1)
    return Growth(
        images=len(watched),
        diverging=int(diverged(magnitudes, GROWTH_LIMIT).sum()),
        largest=tuple(float(value) for value in ratio.max(dim=1).values),
    )
