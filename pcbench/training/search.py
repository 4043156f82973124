"""Choosing β, λ and α by search: Optuna proposes, validation accuracy decides."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pcbench.errors import DivergenceError, MissingExtraError, UsageError
from pcbench.network.network import PredictiveNetwork
from pcbench.network.update import Hyperparameters
from pcbench.training.hyperparameters import ERROR_WEIGHTS, from_shares, rounded
from pcbench.training.validation import CLEAN, Score, Validation, evaluate, prepared, standard_deviation


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

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Tuned:
        """Return the value that `dataclasses.asdict` turned into a record."""
        return cls(
            hyperparameters=tuple(Hyperparameters(**entry) for entry in record["hyperparameters"]),
            score=_score(record["score"]),
            before=_score(record["before"]),
            tried=record["tried"],
            diverged=record["diverged"],
            method=record["method"],
        )

    def provenance(self, network: str, validation: Validation) -> list[str]:
        """Return how the hyperparameters were chosen, as lines of text."""
        source = validation.source
        kinds = [
            "clean" if condition == CLEAN else f"noise of standard deviation {standard_deviation(condition):g} on e_0"
            for condition in validation.conditions
        ]
        part = "" if source.subset is None else f" ({source.subset})"
        score = f"accuracy at t = {validation.timesteps}, mean of: {', '.join(kinds)}"
        first = "diverge" if self.before.diverged else f"reach {self.before.value:.4f}"
        return [
            f"Hyperparameters of {network} chosen by pcbench: {self.method}.",
            f"Validation images: {source.name}{part}, fingerprint {source.fingerprint()[:16]}.",
            *(
                []
                if source.subset is None
                else [f'Leave them out of results: leave_out = "{len(source)}:{validation.seed}".']
            ),
            f"Score: {score}; noise seed {validation.seed}.",
            f"Reached {self.score.value:.4f}; t = 0 reaches {self.score.start:.4f}; those it began with {first}.",
            f"{self.tried} tried, {self.diverged} of them diverged over t and were discarded.",
        ]


def _score(record: Mapping[str, Any]) -> Score:
    rows = (record["accuracies"], record.get("cross_entropies", ()))
    accuracies, cross_entropies = (tuple(tuple(row) for row in found) for found in rows)
    return Score(accuracies, record["diverged"], cross_entropies)


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
    try:
        import optuna
    except ImportError:
        raise MissingExtraError("Optuna", "training") from None
    if trials < 1:
        raise UsageError(f"the number of trials is at least 1 (got {trials})")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed))
    fed = [above is not None for above in network.targets.feedback]
    study.enqueue_trial(_as_proposal(network.hyperparameters, fed))
    batches = prepared(network, validation)
    before = evaluate(network, validation, batches=batches)
    found: list[tuple[tuple[Hyperparameters, ...], Score]] = []
    diverged = 0
    for number in range(trials):
        trial = study.ask()
        entries = rounded([_propose(trial, index, fed=has_feedback) for index, has_feedback in enumerate(fed)])
        score = evaluate(network, validation, entries, batches)
        if score.diverged:
            diverged += 1
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
        else:
            found.append((entries, score))
            study.tell(trial, score.value)
        if report is not None:
            report(number + 1, trials, max((held.value for _, held in found), default=0.0))
    if not found:
        raise DivergenceError(f"all {trials} hyperparameters that were tried diverge over t; train the predictors more")
    # Of equal scores, the first one found.
    best, score = max(found, key=lambda pair: pair[1].value)
    return Tuned(best, score, before, trials, diverged, f"search by Optuna's TPE, {trials} trials, seed {seed}")


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
