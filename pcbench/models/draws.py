"""Which draws a random network makes next: a function of the run's seed, the images and what they are asked for.

A network's code draws from global generators. What it draws must not depend on what was computed before, on the number
of workers or on a run's being resumed, so whoever asks a network says here what the draws depend on, and
`pcbench.models.stochastic` seeds each of them. Networks without randomness take no notice.
"""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor

SCORE = "score"
"""What the draws are called by which images are scored; those of attacks, and of all else, are others."""


class Drawing:
    """The draws of one purpose on one batch.

    Args:
        seed: The run's seed.
        ids: The names of the images, in the order of the batch.
        purpose: What the draws are for.
        repeated: Whether a network that is asked again makes the same draws, as differences of its answers need it;
            otherwise each step has its own.
    """

    def __init__(self, seed: int, ids: Iterable[str], purpose: str, *, repeated: bool) -> None:
        self._key = hashlib.sha256("\0".join([str(seed), purpose, *ids]).encode())
        self._repeated, self._step = repeated, 0

    def seeds(self, draws: int) -> list[int]:
        """Return the seeds of the next answer's draws, each below 2**32."""
        step = self._step
        self._step += not self._repeated
        found: list[int] = []
        for draw in range(draws):
            key = self._key.copy()
            key.update(f"\0{step}\0{draw}".encode())
            found.append(int.from_bytes(key.digest()[:4], "big"))
        return found


class DrawnPredictions:
    """What the single draws predict, gathered while a network is asked."""

    def __init__(self) -> None:
        self._predictions: list[Tensor] = []

    def add(self, predictions: Tensor) -> None:
        """Add the predictions of some images, (draws, T+1, batch)."""
        self._predictions.append(predictions)

    def predictions(self, logits: Tensor) -> Tensor | None:
        """Return the predictions that belong to some logits; None where the network draws nothing.

        Args:
            logits: (S, batch, classes): the last S timesteps, all images asked about since the beginning.

        Returns:
            (draws, S, batch).
        """
        return torch.cat(self._predictions, dim=2)[:, -len(logits) :] if self._predictions else None


_drawing: ContextVar[Drawing | None] = ContextVar("drawing", default=None)
_tally: ContextVar[DrawnPredictions | None] = ContextVar("tally", default=None)


def current_drawing() -> Drawing:
    """Return what the next draws depend on; where nobody said it, on nothing: equal questions have equal answers."""
    return _drawing.get() or Drawing(0, (), "", repeated=True)


def current_tally() -> DrawnPredictions | None:
    """Return where predictions of single draws are gathered, if anywhere."""
    return _tally.get()


@contextmanager
def drawing(seed: int, ids: Iterable[str], purpose: str = SCORE, *, repeated: bool = False) -> Generator[None]:
    """Say what the draws of random networks depend on; the arguments are those of `Drawing`."""
    token = _drawing.set(Drawing(seed, ids, purpose, repeated=repeated))
    try:
        yield
    finally:
        _drawing.reset(token)


@contextmanager
def tallied() -> Generator[DrawnPredictions]:
    """Gather what the single draws predict."""
    tally = DrawnPredictions()
    token = _tally.set(tally)
    try:
        yield tally
    finally:
        _tally.reset(token)
