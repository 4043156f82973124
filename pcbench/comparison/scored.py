"""The score of every image in each figure that is compared."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Literal, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pcbench.catalog import suite_folder, variant_folders
from pcbench.comparison.guarded import MEAN_OF, GuardedRow, guarded_rows, share, within_budgets
from pcbench.comparison.scores import SuiteScores, read_scores
from pcbench.corruptions.definitions import CorruptionSuite, load_corruption_suite
from pcbench.errors import UsageError
from pcbench.metrics.cells import Cell
from pcbench.metrics.shown import telling_epsilon
from pcbench.names import attack_title, words
from pcbench.norms import norm_symbol
from pcbench.results.conditions import Condition
from pcbench.results.corruption_means import shown_mean
from pcbench.results.directory import Run
from pcbench.results.divisor import divisor, divisors_in
from pcbench.results.environment import folder_hash
from pcbench.results.metrics_table import split_baseline
from pcbench.results.run_spec import SuiteSpec

FigureKind = Literal["clean", "corruption", "noise", "attack", "other_attack", "normalised"]
"""What a figure is about: images of one kind, or, ``"normalised"``, errors under corruption over a baseline's. Only an
untargeted attack on the timestep that is scored, or on all, tells how robust it is; any other is an ``"other_attack"``.
"""


@dataclass(frozen=True)
class ComparedFigure:
    """A figure that is a mean of a score of every image."""

    name: str
    """In words, such as ``"clean accuracy"`` or ``"mCE (alexnet)"``."""
    kind: FigureKind = "clean"
    """What it is about."""
    measure: str = "accuracy"
    """What it is called in a sentence that says what was done to the images."""
    images: str = "clean images"
    """What was done to the images, in words; of an attack, its title."""
    better: int = 1
    """1 where more is better, -1 where less is."""
    budgets: tuple[float, ...] = ()
    """Of an attack: the budgets above 0, ascending, over which it is the mean."""
    norm: str | None = None
    """Of an attack: the norm that these are of."""
    made_against: int | None = None
    """Of images that were made against one timestep and scored at others: that timestep."""


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


@dataclass(frozen=True)
class SeenRun:
    """A run as its files are now: equal where nothing of what is scored, and of the verdicts, has changed."""

    folder: Path
    files: tuple[tuple[str, int, int], ...]
    """Names, times and sizes of what is read."""
    missing: str
    """What could not be computed."""
    run: Run = field(compare=False)
    """The run itself."""


def score(run: Run) -> dict[str, ScoredSuite]:
    """Return the scores of a run by suite. Page, terminal and exports ask for those of the same runs.

    Raises:
        DataError: The run's outcomes are damaged.
    """
    return dict(_scores_of(seen_run(run)))


def seen_run(run: Run) -> SeenRun:
    """Return a run as its files are now."""
    named = [run.folder / name for name in ("manifest.json", "metrics.parquet", "checks.json")]
    stated = [(str(path), path.stat()) for path in (*named, *run.outcome_files()) if path.is_file()]
    held = tuple((name, status.st_mtime_ns, status.st_size) for name, status in stated)
    return SeenRun(run.folder, held, repr(run.missing), run)


@lru_cache(maxsize=2)  # two runs are compared at most
def _scores_of(seen: SeenRun) -> Mapping[str, ScoredSuite]:
    run = seen.run
    specs = {suite.name: suite for suite in run.spec.suites}
    # Where images are missing, those that all conditions have are compared; there may be none.
    suites = [scores for scores in read_scores(run, common=True)[0] if scores.images]
    metrics = run.metrics
    return {
        scores.suite: _score_suite(scores, specs[scores.suite], run, metrics[metrics["suite"] == scores.suite])
        for scores in suites
    }


def _score_suite(scores: SuiteScores, spec: SuiteSpec, run: Run, metrics: pd.DataFrame) -> ScoredSuite:
    found: dict[tuple[ComparedFigure, int], NDArray[np.float64]] = {}
    attacks: dict[tuple[ComparedFigure, int], list[int]] = {}
    for row, indices in guarded_rows(scores, "pooled"):
        cells = sorted(indices, key=lambda index: _epsilon(scores, index))
        figure = _figure(row, scores, cells)
        if figure.budgets:
            attacks[figure, row.timestep] = cells
        found[figure, row.timestep] = share(scores, scores.correct, cells)
    errors = _errors(scores, metrics)
    means = {timestep: {name: float(e.mean()) for name, e in named.items()} for timestep, named in errors.items()}
    normalised = _normalised(errors, metrics)
    normalised = normalised if normalised and _is_divided(spec, run) else {}
    within = {asked: within_budgets(scores, scores.correct, cells) for asked, cells in attacks.items()}
    return ScoredSuite(
        scores=found | normalised,
        corruption_errors=means,
        ids_sha256=scores.ids_sha256,
        within={asked: kept.mean(axis=1) for asked, kept in within.items()},
        shown=_shown(scores, attacks, within),
    )


def _figure(row: GuardedRow, scores: SuiteScores, cells: Sequence[int]) -> ComparedFigure:
    """Return what a row of accuracies is called; `cells` are the indices of its conditions."""
    condition = scores.cells[cells[0]].condition
    if condition.kind == "clean":
        return ComparedFigure("clean accuracy")
    if condition.kind != "attack":
        mean = "mean accuracy over" if row.what.startswith(MEAN_OF) else "accuracy under"
        images = "noisy images" if condition.kind == "noise" else "corrupted images"
        measure = f"{mean} {words(row.what.removeprefix(MEAN_OF))}"
        return ComparedFigure(f"accuracy under {row.what}", cast("FigureKind", condition.kind), measure, images)
    title = [attack_title(condition.name), norm_symbol(condition.norm), *(["targeted"] if condition.targeted else [])]
    title += [f"{words(condition.gradient)} gradient"] if condition.gradient not in (None, "exact") else []
    made_against = condition.attacked_timestep if condition.attacked_timestep != row.timestep else None
    robust = made_against is None and not condition.targeted
    measure = "robust accuracy" if robust else "accuracy"
    title += [] if made_against is None else [f"images made against t = {made_against}"]
    title += ["all timesteps attacked at once"] if condition.attacked_timestep is None else []
    return ComparedFigure(
        f"{measure} under {row.what}",
        "attack" if robust else "other_attack",
        measure,
        ", ".join(title),
        budgets=tuple(_epsilon(scores, index) for index in cells),
        norm=condition.norm,
        made_against=made_against,
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


def _errors(scores: SuiteScores, metrics: pd.DataFrame) -> dict[int, dict[str, NDArray[np.float64]]]:
    """Return, by timestep and corruption, each image's mean error over all its severities.

    A corruption some of whose severities were not run has no such error, in the run's own table neither.
    """
    complete = {str(name) for name in metrics[metrics["metric"] == "unnormalised_error"]["name"].dropna()}
    cells: defaultdict[tuple[int, str], list[int]] = defaultdict(list)
    for index, cell in enumerate(scores.cells):
        if cell.condition.kind == "corruption" and cell.condition.name in complete:
            cells[cell.timestep, cell.condition.name].append(index)
    errors: defaultdict[int, dict[str, NDArray[np.float64]]] = defaultdict(dict)
    for (timestep, name), indices in cells.items():
        errors[timestep][name] = 1 - scores.correct[indices].mean(axis=0)
    return errors


def _is_divided(spec: SuiteSpec, run: Run) -> bool:
    """Return whether a run's errors may be divided: its tables say it, but those of former versions divided all."""
    if divisors_in(run) is not None:
        return True
    suite = _suite(spec)  # this imports what corrupts images, which takes seconds
    return suite is None or divisor(suite.baseline, spec, run.spec, None).reason is None


def _normalised(
    errors: Mapping[int, Mapping[str, NDArray[np.float64]]], metrics: pd.DataFrame
) -> dict[tuple[ComparedFigure, int], NDArray[np.float64]]:
    """Return each image's share in the mean CE: CE is a ratio of sums, and the baseline's sum is fixed.

    Name and divisors are those of the run's own table: definitions may have changed since.

    Args:
        errors: By timestep and corruption, each image's mean error.
        metrics: The rows of one suite.
    """
    summaries = metrics[metrics["baseline"].notna() & metrics["name"].isna()]
    mean = shown_mean(summaries)
    if mean is None or not errors:
        return {}
    baseline, note = split_baseline(summaries[summaries["metric"] == mean.metric]["baseline"].iloc[0])
    name = f"{mean.title} ({', '.join([baseline, *([note.strip(' ()')] if note else [])])})"
    figure = ComparedFigure(name, "normalised", name, "corrupted images", better=-1)
    named = metrics[metrics["name"].notna()]
    plain, ratios = (
        named[named["metric"] == metric].pivot_table(index="timestep", columns="name", values="value", observed=True)
        for metric in ("unnormalised_error", mean.each)
    )
    # Where the network makes no error at all, nothing is divided.
    divisors = {str(one): float(plain[one].sum() / ratios[one].sum()) for one in ratios if ratios[one].sum() > 0}
    counted = [str(one) for one in ratios]
    return {
        (figure, timestep): np.mean([found[one] / divisors.get(one, 1.0) for one in counted], axis=0)
        for timestep, found in errors.items()
        if found.keys() >= set(counted)
    }


def _suite(spec: SuiteSpec) -> CorruptionSuite | None:
    """Return a suite of corruptions as it was run; None where the catalogue no longer has it."""
    try:
        kind, folder = suite_folder(spec.name)
    except UsageError:
        return None
    if kind != "corruptions":
        return None
    for one in (folder, *variant_folders(folder)):
        suite = load_corruption_suite(one)
        if spec.sha256 == suite.identity() or folder_hash(one) in (spec.sha256, spec.former_sha256):
            return suite
    return None
