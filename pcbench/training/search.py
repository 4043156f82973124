"""Choosing β, λ and α by search: Optuna proposes, validation accuracy decides.

Source: Akiba et al., "Optuna", KDD 2019, arXiv 1907.10902.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from pcbench.errors import MissingExtraError, UsageError
from pcbench.network.network import PredictiveNetwork
from pcbench.network.update import Hyperparameters
from pcbench.training.found import Tried
from pcbench.training.hyperparameters import ERROR_WEIGHTS, from_shares, rounded
from pcbench.training.validation import Score

Scorer = Callable[[tuple[Hyperparameters, ...]], Score]
"""Scores hyperparameters; a search that goes on gives it the scores that it wrote down."""


def search_method(*, trials: int, seed: int) -> str:
    """Return a search in words."""
    return f"search by Optuna's TPE, {trials} trials, seed {seed}"


def proposals(
    network: PredictiveNetwork,
    score: Scorer,
    *,
    trials: int,
    seed: int,
    starts: Sequence[Sequence[Hyperparameters]] = (),
) -> Iterator[Tried]:
    """Yield hyperparameters that Optuna proposes, one after another, with their scores.

    Args:
        network: Its own hyperparameters are the first.
        score: Scores a proposal.
        trials: How many.
        seed: Seed of the proposals.
        starts: Others that are tried before Optuna chooses.

    Raises:
        MissingExtraError: Optuna is not installed.
    """
    try:
        import optuna
    except ImportError:
        raise MissingExtraError("Optuna", "training") from None
    if trials < 1:
        raise UsageError(f"the number of trials is at least 1 (got {trials})")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed))
    fed = [above is not None for above in network.targets.feedback]
    for start in (network.hyperparameters, *starts):
        study.enqueue_trial(_as_proposal(start, fed))
    for _ in range(trials):
        trial = study.ask()
        entries = rounded([_propose(trial, index, fed=has_feedback) for index, has_feedback in enumerate(fed)])
        found = Tried(entries, score(entries))
        if found.score.diverged:
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
        else:
            study.tell(trial, found.score.value)
        yield found


def _propose(trial: Any, index: int, *, fed: bool) -> Hyperparameters:
    return from_shares(
        trial.suggest_float(f"feedforward{index}", 0.0, 1.0),
        trial.suggest_float(f"share{index}", 0.0, 1.0) if fed else 0.0,
        trial.suggest_float(f"error_weight{index}", *ERROR_WEIGHTS, log=True),
        fed=fed,
    )


def _as_proposal(entries: Sequence[Hyperparameters], fed: Sequence[bool]) -> dict[str, float]:
    proposal: dict[str, float] = {}
    low, high = ERROR_WEIGHTS
    for index, entry in enumerate(entries):
        feedforward = float(entry.feedforward)
        proposal[f"feedforward{index}"] = feedforward
        if fed[index]:
            proposal[f"share{index}"] = float(entry.feedback) / (1 - feedforward) if feedforward < 1 else 0.0
        proposal[f"error_weight{index}"] = min(max(float(entry.error_weight), low), high)
    return proposal
