"""The terms of the dynamics, and a tuning without each of them: what it costs says what the term does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from pcbench.network.update import Hyperparameters
from pcbench.training.hyperparameters import LEARNED


@dataclass(frozen=True)
class Term:
    """A term of the dynamics."""

    title: str
    """In words."""
    learned: str | None
    """What is not learned without it; None for memory, which is what β and λ leave."""

    def taken_from(self, entries: Sequence[Hyperparameters]) -> tuple[Hyperparameters, ...]:
        """Return hyperparameters in which this term's is 0 in every PCoder, and the others still make a network."""
        if self.learned is not None:
            return tuple(replace(entry, **{self.learned: 0.0}) for entry in entries)
        made: list[Hyperparameters] = []
        for entry in entries:
            feedback = min(max(float(entry.feedback), 0.0), 1.0)
            total = float(entry.feedforward) + feedback
            made.append(
                replace(entry, feedforward=1.0 - round(feedback / total, 4), feedback=round(feedback / total, 4))
                if total > 0
                else replace(entry, feedforward=1.0, feedback=0.0)
            )
        return tuple(made)


FEEDFORWARD = Term("feedforward (β = 0)", "feedforward")
TERMS = (
    Term("feedback (λ = 0)", "feedback"),
    Term("errors (α = 0)", "error_weight"),
    Term("memory (β + λ = 1)", None),
    FEEDFORWARD,
)


def term_of(weight: str | None) -> Term | None:
    """Return the term that a weight belongs to, by the weight's name; None for None."""
    return next((term for term in TERMS if weight is not None and term.learned == weight), None)


def tuned_terms(learn: Sequence[str], feedback: Sequence[int | None]) -> Iterator[tuple[Term, tuple[str, ...]]]:
    """Yield each term whose weight is learned, with what is learned without it.

    Args:
        learn: Which of β, λ and α are learned.
        feedback: For each PCoder, the one that feeds back to it, or None.
    """
    fed = any(above is not None for above in feedback)
    for term in TERMS:
        if term.learned is None:
            if "feedforward" in learn:
                yield term, tuple(learn)
            continue
        rest = tuple(name for name in LEARNED if name in learn and name != term.learned)
        moves = [name for name in rest if name != "feedback" or fed]
        if term.learned in learn and moves and (fed or term.learned != "feedback"):
            yield term, rest
