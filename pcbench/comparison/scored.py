"""The score of every image in each figure that is compared."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
from numpy.typing import NDArray

from pcbench.catalog import suite_folder
from pcbench.comparison.guarded import guarded_rows, share, within_budgets
from pcbench.comparison.scores import SuiteScores, read_scores
from pcbench.corruptions.definitions import Baseline, CorruptionSuite, load_corruption_suite
from pcbench.errors import UsageError
from pcbench.metrics.cells import Cell
from pcbench.metrics.corruption import THE_FIFTEEN
from pcbench.metrics.shown import telling_epsilon
from pcbench.results.conditions import Condition
from pcbench.results.directory import Run
from pcbench.results.divisor import Divisor, divisor, divisors_in
from pcbench.results.environment import folder_hash
from pcbench.results.run_spec import SuiteSpec


@dataclass(frozen=True)
class ComparedFigure:
    """A figure that is a mean of a score of every image."""

    name: str
    """In words, such as ``"clean accuracy"`` or ``"mCE (alexnet)"``."""
    better: int = 1
    """1 where more is better, -1 where less is."""
    of_robustness: bool = True
    """Whether it is about images that were changed; clean accuracy is not."""
    budgets: tuple[float, ...] = ()
    """Of an attack: the budgets above 0, ascending, over which it is the mean."""
    norm: str | None = None
    """Of an attack: the norm that these are of."""


@dataclass(frozen=True)
class ScoredSuite:
    """A run's scores in one suite."""

    scores: Mapping[tuple[ComparedFigure, int], NDArray[np.float64]]
    """For each figure and timestep the images' scores, shape (images,), in the order of sorted image ids."""
    corruption_errors: Mapping[int, Mapping[str, float]]
    """For each timestep the error under each corruption, over its severities."""
    ids_sha256: str
    """Hash over the sorted image ids."""
    within: Mapping[tuple[ComparedFigure, int], NDArray[np.float64]]
    """For each figure of an attack and each timestep the accuracy within each budget, (budgets,)."""
    shown: Mapping[ComparedFigure, float]
    """For each figure of an untargeted attack the budget that summaries show."""

    @property
    def timesteps(self) -> list[int]:
        """The timesteps, in order."""
        return sorted({timestep for _, timestep in self.scores})


def score(run: Run) -> dict[str, ScoredSuite]:
    """Return the scores of a run by suite.

    Raises:
        DataError: The run's outcomes are damaged.
    """
    specs = {suite.name: suite for suite in run.spec.suites}
    return {scores.suite: _score_suite(scores, specs[scores.suite], run) for scores in read_scores(run)[0]}


def _score_suite(scores: SuiteScores, spec: SuiteSpec, run: Run) -> ScoredSuite:
    found: dict[tuple[ComparedFigure, int], NDArray[np.float64]] = {}
    attacks: dict[tuple[ComparedFigure, int], list[int]] = {}
    for row, indices in guarded_rows(scores, "pooled"):
        cells = sorted(indices, key=lambda index: _epsilon(scores, index))
        condition = scores.cells[cells[0]].condition
        attacked = f"{'accuracy' if condition.targeted else 'robust accuracy'} under {row.what}"
        name = {"clean": "clean accuracy", "attack": attacked}.get(condition.kind, f"accuracy under {row.what}")
        figure = ComparedFigure(name, of_robustness=condition.kind != "clean")
        if condition.kind == "attack":
            budgets = tuple(_epsilon(scores, index) for index in cells)
            figure = replace(figure, budgets=budgets, norm=condition.norm)
            attacks[figure, row.timestep] = cells
        found[figure, row.timestep] = share(scores, scores.correct, cells)
    suite = _suite(spec)
    errors = _errors(scores, suite)
    means = {timestep: {name: float(e.mean()) for name, e in named.items()} for timestep, named in errors.items()}
    by = _divisor(suite, spec, run)
    normalised = {} if by.baseline is None else _normalised(errors, by.baseline, subset=by.subset)
    within = {asked: within_budgets(scores, scores.correct, cells) for asked, cells in attacks.items()}
    return ScoredSuite(
        scores=found | normalised,
        corruption_errors=means,
        ids_sha256=scores.ids_sha256,
        within={asked: kept.mean(axis=1) for asked, kept in within.items()},
        shown=_shown(scores, attacks, within),
    )


def _epsilon(scores: SuiteScores, index: int) -> float:
    return scores.cells[index].condition.epsilon or 0.0


def _shown(
    scores: SuiteScores,
    attacks: Mapping[tuple[ComparedFigure, int], list[int]],
    within: Mapping[tuple[ComparedFigure, int], NDArray[np.bool_]],
) -> dict[ComparedFigure, float]:
    """Return the budget that summaries show of each attack: its images against their own timesteps decide."""
    clean = {cell.timestep: right for cell, right in zip(scores.cells, scores.correct, strict=True) if _is_clean(cell)}
    rates: defaultdict[tuple[object, ...], list[NDArray[np.float64]]] = defaultdict(list)
    for (figure, timestep), cells in attacks.items():
        attack, right = scores.cells[cells[0]].condition, clean.get(timestep)
        own = attack.attacked_timestep in (None, timestep) and not attack.targeted
        if own and right is not None and right.any():
            rates[_attack(attack), figure.budgets].append(1 - within[figure, timestep][:, right].mean(axis=1))
    shown = {key: telling_epsilon(cast("tuple[float, ...]", key[1]), np.array(found)) for key, found in rates.items()}
    keys = {
        figure: (_attack(scores.cells[cells[0]].condition), figure.budgets) for (figure, _), cells in attacks.items()
    }
    return {figure: shown[key] for figure, key in keys.items() if key in shown}


def _is_clean(cell: Cell) -> bool:
    return cell.condition.kind == "clean"


def _attack(condition: Condition) -> tuple[object, ...]:
    return (condition.name, condition.norm, condition.gradient, condition.targeted)


def _errors(scores: SuiteScores, suite: CorruptionSuite | None) -> dict[int, dict[str, NDArray[np.float64]]]:
    """Return, by timestep and corruption, each image's mean error over all its severities."""
    counts = {} if suite is None else {known.name: len(known.severities) for known in suite.corruptions}
    cells: defaultdict[tuple[int, str], list[int]] = defaultdict(list)
    for index, cell in enumerate(scores.cells):
        if cell.condition.kind == "corruption":
            cells[cell.timestep, cell.condition.name].append(index)
    errors: defaultdict[int, dict[str, NDArray[np.float64]]] = defaultdict(dict)
    for (timestep, name), indices in cells.items():
        # Where the definition is missing, the severities that were run count as all.
        highest = max(scores.cells[index].condition.severity or 0 for index in indices)
        if len(indices) == counts.get(name, highest):
            errors[timestep][name] = 1 - scores.correct[indices].mean(axis=0)
    return errors


def _divisor(suite: CorruptionSuite | None, spec: SuiteSpec, run: Run) -> Divisor:
    """Return what divides corruption errors: what the run says, or what its description and the suite allow."""
    said = divisors_in(run)
    if said is not None:
        return said.get(spec.name, Divisor())
    return Divisor() if suite is None else divisor(suite.baseline, spec, run.spec, None)


def _normalised(
    errors: Mapping[int, Mapping[str, NDArray[np.float64]]], baseline: Baseline, *, subset: bool
) -> dict[tuple[ComparedFigure, int], NDArray[np.float64]]:
    """Return each image's share in the mean CE: CE is a ratio of sums, and the baseline's sum is fixed."""
    if not errors:
        return {}
    names = sorted(next(iter(errors.values())))
    baseline_errors = {name: baseline.mean_error(name) for name in names if name in baseline.errors}
    if len(baseline_errors) != len(names) or not all(baseline_errors.values()):
        return {}
    word = "mCE" if set(names) == set(THE_FIFTEEN) else "mean normalised error"
    note = ", subset, not comparable" if subset else ""
    figure = ComparedFigure(f"{word} ({baseline.name}{note})", -1)
    return {
        (figure, timestep): np.mean([named[name] / baseline_errors[name] for name in names], axis=0)
        for timestep, named in errors.items()
    }


def _suite(spec: SuiteSpec) -> CorruptionSuite | None:
    """Return a suite of corruptions as it was run; None where the catalogue no longer has it."""
    try:
        kind, folder = suite_folder(spec.name)
    except UsageError:
        return None
    if kind != "corruptions":
        return None
    suite = load_corruption_suite(folder)
    same = spec.sha256 == suite.identity() or folder_hash(folder) in (spec.sha256, spec.former_sha256)
    return suite if same else None
