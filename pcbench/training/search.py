"""Choosing β, λ and α by search: Optuna proposes, validation accuracy decides."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from pcbench.errors import DivergenceError, MissingExtraError, UsageError
from pcbench.network.network import PredictiveNetwork
from pcbench.network.update import Hyperparameters
from pcbench.training.found import Tried, Tuned
from pcbench.training.hyperparameters import ERROR_WEIGHTS, from_shares, rounded
from pcbench.training.validation import Score, Validation, evaluate, prepared

Scorer = Callable[[tuple[Hyperparameters, ...]], Score]
"""Scores hyperparameters; a search that goes on gives it the scores that it wrote down."""


def search(
    network: PredictiveNetwork,
    validation: Validation,
    *,
    trials: int = 24,
    seed: int = 0,
    report: Callable[[int, int, float], None] | None = None,
) -> Tuned:
    """Search hyperparameters of every PCoder with Optuna's tree-structured Parzen estimator.

    The network's own hyperparameters are the first that are tried, so the result is never worse on the validation
    images. A proposal whose representations grow without bound on any image is discarded, and counted.

    Args:
        network: The network whose hyperparameters are chosen; it is not changed.
        validation: The images and conditions that decide.
        trials: Number of trials.
        seed: Seed of the proposals.
        report: Called after each trial with (done, all, best score so far).

    Raises:
        MissingExtraError: Optuna is not installed.
        DivergenceError: Every proposal diverged.
    """
    batches = prepared(network, validation)
    before = evaluate(network, validation, batches=batches)
    found: list[Tried] = []
    for one in proposals(
        network, lambda given: evaluate(network, validation, given, batches), trials=trials, seed=seed
    ):
        found.append(one)
        if report is not None:
            report(len(found), trials, max(held.score.value for held in found))
    # Of equal scores, the first one found.
    held = sorted((one for one in found if not one.score.diverged), key=lambda one: one.score.value, reverse=True)
    if not held:
        raise DivergenceError(f"all {trials} hyperparameters that were tried diverge over t; train the predictors more")
    best = held[0]
    return Tuned(
        best.hyperparameters, best.score, before, trials, trials - len(held), search_method(trials=trials, seed=seed)
    )


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
