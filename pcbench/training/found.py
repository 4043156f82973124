"""What a tuning found: hyperparameters with their scores, and the better of two."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from pcbench.network.update import Hyperparameters
from pcbench.training.validation import Score, Validation

Lowered = Literal["last", "mean"]
"""The cross-entropy at t = T, or its mean over t = 0..T."""

FAILED = "FAILED TUNING"


class Tried(NamedTuple):
    """Hyperparameters that were tried."""

    hyperparameters: tuple[Hyperparameters, ...]
    """β, λ, α of each PCoder, rounded as a file holds them."""
    score: Score
    """Their score on the validation images."""

    def rank(self, loss: Lowered = "last") -> tuple[float, float]:
        """Return what is larger for the better of two: the accuracy at T, of equal ones the lower cross-entropy there.

        Where the mean cross-entropy over t = 0..T is lowered, that decides.
        """
        return (-self.score.loss, 0.0) if loss == "mean" else (self.score.value, -self.score.final_loss)


def ranked(found: Iterable[Tried], loss: Lowered = "last") -> list[Tried]:
    """Return what did not diverge, the best first; of equal ones the first that was found."""
    return sorted((one for one in found if not one.score.diverged), key=lambda one: one.rank(loss), reverse=True)


def feedforward_point(count: int) -> tuple[Hyperparameters, ...]:
    """Return β = 1, λ = α = 0 for each of `count` PCoders, at which all timesteps answer as t = 0 does."""
    return (Hyperparameters(1.0, 0.0, 0.0),) * count


@dataclass(frozen=True)
class Tuned:
    """Hyperparameters that were chosen, and how."""

    hyperparameters: tuple[Hyperparameters, ...]
    """β, λ, α of each PCoder, rounded as a file holds them."""
    score: Score
    """Their score on the validation images."""
    before: Score
    """The score of the network's own hyperparameters there."""
    tried: int
    """Number of trials."""
    diverged: int
    """Number of trials that diverged over t and were discarded."""
    method: str
    """In words."""
    feedforward: Score | None = None
    """The score of the feedforward point, β = 1 and λ = α = 0; None in records of before it was asked for."""
    best_other: Score | None = None
    """The score of the best of all others; None as above, or where all of them diverged."""
    failed: bool = False
    """Whether the others were all worse than the feedforward point, which is then the result."""
    effects: Mapping[str, Score] = field(default_factory=dict[str, Score])
    """For each term the score without it, the others tuned again."""
    clean: Score | None = None
    """Their score on the clean images, which may cost what noisy ones gain; None in records of former versions."""

    def provenance(self, network: str, validation: Validation, seen: str | None = None) -> list[str]:
        """Return how the hyperparameters were chosen, as lines of text.

        Args:
            network: The model's name.
            validation: What they were chosen on.
            seen: What has seen these images before, in words.
        """
        source = validation.source
        part = "" if source.subset is None else f" ({source.subset})"
        score = f"accuracy at t = {validation.timesteps}, mean of: {', '.join(validation.titles)}"
        first = "diverge" if self.before.diverged else f"reach {self.before.value:.4f}"
        return [
            f"Hyperparameters of {network} chosen by pcbench: {self.method}.",
            f"Validation images: {source.name}{part}, fingerprint {source.fingerprint()[:16]}.",
            *([] if seen is None else [seen]),
            f"Score: {score}; noise seed {validation.seed}.",
            f"Reached {self.score.value:.4f}; t = 0 reaches {self.score.start:.4f}; those it began with {first}.",
            *([] if self.clean is None else [self._on_clean(self.clean)]),
            f"{self.tried} tried, {self.diverged} of them diverged over t and were discarded.",
            *self._against_feedforward(),
            *(f"Without {term}, the rest tuned again: {one.value:.4f}." for term, one in self.effects.items()),
        ]

    def _on_clean(self, clean: Score) -> str:
        return f"On the clean images: {clean.value:.4f} at T; t = 0 reaches {clean.start:.4f}."

    def _against_feedforward(self) -> list[str]:
        if not self.failed or self.feedforward is None:
            return []
        best = self.best_other
        others = "all others diverged" if best is None else f"the best of all others reached {best.value:.4f}"
        point = f"the feedforward point (β = 1, λ = α = 0) {self.feedforward.value:.4f}"
        return [f"{FAILED}: {others}, {point}; the result is the feedforward point."]


def score_of(record: Mapping[str, Any]) -> Score:
    """Return the value that `dataclasses.asdict` turned into a record."""
    rows = (record["accuracies"], record.get("cross_entropies", ()))
    accuracies, cross_entropies = (tuple(tuple(row) for row in found) for found in rows)
    return Score(accuracies, record["diverged"], cross_entropies)


def as_table(entries: Sequence[Hyperparameters]) -> list[list[float]]:
    """Return β, λ, α of each PCoder as plain numbers."""
    return [[float(one.feedforward), float(one.feedback), float(one.error_weight)] for one in entries]
