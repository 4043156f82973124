"""The rows that pool conditions: corruption errors, their means, and averages by severity."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

import numpy as np

from pcbench.errors import UsageError
from pcbench.metrics.bootstrap import Sample
from pcbench.metrics.cells import SuiteOutcomes
from pcbench.metrics.change_rows import Families, accuracy_change_rows
from pcbench.metrics.corruption import (
    THE_FIFTEEN,
    BaselineErrors,
    corruption_error,
    error_relative_to_start,
    mean_corruption_error,
    mean_over_corruptions,
    mean_over_severities,
    relative_corruption_error,
)
from pcbench.metrics.paired import paired_rate_change
from pcbench.metrics.rates import Booleans, Estimate, Floats
from pcbench.metrics.rows import CHANGE, Row, summary_row
from pcbench.results.conditions import CORRUPTED

Key = tuple[str, int, int]
"""A column of errors: corruption, severity, timestep; clean images are ("clean", 0, timestep)."""

_CLEAN = "clean"


@dataclasses.dataclass(frozen=True)
class ErrorMeasure:
    """A way to sum up the errors of one corruption, and the names that it and its mean go by."""

    metric: str
    """The name for one corruption."""
    mean_of_fifteen: str
    """The name of the mean over the 15 corruptions of ImageNet-C."""
    mean_of_others: str
    """The name of the mean over any other set."""
    keys: Callable[[str, int], list[Key]]
    """The columns it takes at a timestep, of a corruption."""
    value: Callable[[str, Floats], Floats]
    """What it makes of a corruption and the means of these columns, shape (..., columns) to shape (...)."""
    baseline: str | None = None
    """The network it is normalised by, if any."""


SeverityCounts = Mapping[str, int]
"""How many severities each corruption has: they are 1, 2, … up to this number."""


@dataclasses.dataclass(frozen=True)
class StatedCorruptions:
    """What is known of a suite's corruptions beside their outcomes."""

    severities: SeverityCounts = dataclasses.field(default_factory=dict[str, int])
    """How many severities each has; without a statement, the highest that was run counts."""
    families: Families = dataclasses.field(default_factory=dict[str, str])
    """The family of each, whose pooled changes are rows of their own."""
    chosen: Sequence[int] | None = None
    """The severities that the run names; None where all are measured."""


def corruption_rows(
    outcomes: SuiteOutcomes,
    baseline: BaselineErrors | None,
    stated: StatedCorruptions | None = None,
) -> Iterator[Row]:
    """Return all rows of a corruption suite that pool severities or corruptions.

    A corruption some of whose severities are missing has no corruption error, and neither has one whose baseline was
    measured at another number of severities. A measure whose denominator is zero (a baseline that
    makes no error, a network that makes none at t = 0) has no row.

    Args:
        outcomes: One suite's.
        baseline: What corruption errors are divided by.
        stated: What the suite's definition and the run state. Accuracy and error over all severities are over those
            that a run names where it names some.
    """
    stated = stated or StatedCorruptions()
    columns = error_columns(outcomes)
    names = list(dict.fromkeys(name for name, _, _ in columns if name != _CLEAN))
    if not names:
        return
    timesteps = sorted({timestep for _, _, timestep in columns})
    counts = {name: stated.severities.get(name, _highest(columns, name)) for name in names}
    complete = [name for name in names if all(key in columns for key in _severity_keys(counts, name, timesteps[0]))]
    sample = Sample(columns)
    kind = next(cell.condition.kind for cell in outcomes.cells if cell.condition.kind in CORRUPTED)
    for timestep in timesteps:
        yield from _severity_rows(sample, columns, _named(counts, stated.chosen), timestep)
        for measure in error_measures(baseline, counts, timesteps[0]):
            with_baseline = _with_baseline(complete, measure, baseline, counts)
            yield from _measure_rows(sample, measure, with_baseline, timestep, kind)
            if timestep > timesteps[0] and with_baseline:
                yield from _mean_change_rows(sample, measure, with_baseline, timestep, timesteps[0])
    del sample
    yield from accuracy_change_rows(outcomes, columns, stated.families)


def error_columns(outcomes: SuiteOutcomes) -> dict[Key, Booleans]:
    """Return the errors, image by image, of every corruption, severity and timestep, and of the clean images."""
    columns: dict[Key, Booleans] = {}
    for cell in outcomes.cells:
        condition = cell.condition
        if condition.kind in CORRUPTED and condition.severity is not None:
            columns[condition.name, condition.severity, cell.timestep] = ~outcomes.answers(cell).correct
        elif condition.kind == "clean":
            columns[_CLEAN, 0, cell.timestep] = ~outcomes.answers(cell).correct
    return columns


def error_measures(baseline: BaselineErrors | None, counts: SeverityCounts, start: int = 0) -> list[ErrorMeasure]:
    """Return all measures that can be made, with a baseline or without one.

    Args:
        baseline: The network that corruption errors are normalised by.
        counts: How many severities each corruption has.
        start: The first timestep of the run, which `error_relative_to_t0` is relative to.
    """
    unnormalised = ErrorMeasure(
        "unnormalised_error",
        "mean_unnormalised_error",
        "mean_unnormalised_error",
        partial(_severity_keys, counts),
        lambda _, errors: mean_over_severities(errors),
    )
    relative_to_start = ErrorMeasure(
        "error_relative_to_t0",
        "mean_error_relative_to_t0",
        "mean_error_relative_to_t0",
        lambda name, timestep: [*_severity_keys(counts, name, timestep), *_severity_keys(counts, name, start)],
        lambda name, errors: error_relative_to_start(errors[..., : counts[name]], errors[..., counts[name] :]),
    )
    normalised = [] if baseline is None else _normalised_measures(baseline, counts)
    return [*normalised, unnormalised, relative_to_start]


def _normalised_measures(baseline: BaselineErrors, counts: SeverityCounts) -> list[ErrorMeasure]:
    corruption = ErrorMeasure(
        "corruption_error",
        "mean_corruption_error",
        "mean_normalised_error",
        partial(_severity_keys, counts),
        lambda name, errors: corruption_error(errors, baseline.mean_error(name)),
        baseline.name,
    )
    clean_error = baseline.clean_error
    if clean_error is None:
        return [corruption]
    relative = ErrorMeasure(
        "relative_corruption_error",
        "relative_mean_corruption_error",
        "mean_relative_normalised_error",
        lambda name, timestep: [*_severity_keys(counts, name, timestep), (_CLEAN, 0, timestep)],
        lambda name, errors: relative_corruption_error(
            errors[..., :-1], errors[..., -1], baseline.mean_error(name), clean_error
        ),
        baseline.name,
    )
    return [corruption, relative]


def measure_mean(measure: ErrorMeasure, names: list[str]) -> tuple[str, Callable[[Floats], Floats]]:
    """Return the name of a measure's mean over some corruptions, and the mean as a statistic of all their columns.

    The columns are those of `measure.keys`, corruption after corruption in the order of `names`.
    """
    fifteen = set(names) == set(THE_FIFTEEN)
    mean = mean_corruption_error if fifteen else mean_over_corruptions

    ends = np.cumsum([len(measure.keys(name, 0)) for name in names])[:-1]

    def statistic(means: Floats) -> Floats:
        blocks = np.split(means, ends, axis=-1)
        return mean({name: measure.value(name, block) for name, block in zip(names, blocks, strict=True)})

    return (measure.mean_of_fifteen if fifteen else measure.mean_of_others), statistic


def _measure_rows(
    sample: Sample[Key], measure: ErrorMeasure, names: list[str], timestep: int, kind: str
) -> Iterator[Row]:
    for name in names:
        estimate = _estimate(sample, partial(measure.value, name), measure.keys(name, timestep))
        if estimate is not None:
            yield summary_row(measure.metric, timestep, estimate, kind=kind, name=name, baseline=measure.baseline)
    if names:
        metric, statistic = measure_mean(measure, names)
        estimate = _estimate(sample, statistic, [key for name in names for key in measure.keys(name, timestep)])
        if estimate is not None:
            yield summary_row(metric, timestep, estimate, kind="summary", baseline=measure.baseline)


def _mean_change_rows(
    sample: Sample[Key], measure: ErrorMeasure, names: list[str], timestep: int, start: int
) -> Iterator[Row]:
    metric, statistic = measure_mean(measure, names)
    now, before = ([key for name in names for key in measure.keys(name, t)] for t in (timestep, start))
    try:
        estimate = sample.change(statistic, now, before)
    except UsageError:
        return
    yield summary_row(metric + CHANGE, timestep, estimate, kind="summary", baseline=measure.baseline)


def clean_change_rows(outcomes: SuiteOutcomes) -> Iterator[Row]:
    """Return the paired change of the accuracy on clean images since the first timestep."""
    columns = {t: ~errors for (name, _, t), errors in error_columns(outcomes).items() if name == _CLEAN}
    for timestep in sorted(columns)[1:]:
        change = paired_rate_change(columns[min(columns)], columns[timestep])
        yield summary_row("accuracy" + CHANGE, timestep, change, kind="clean", name=_CLEAN)


def _estimate(sample: Sample[Key], statistic: Callable[[Floats], Floats], keys: list[Key]) -> Estimate | None:
    """Return an estimate, or None where a denominator is zero: the measure does not exist for these images."""
    try:
        return sample.estimate(statistic, keys)
    except UsageError:
        return None


def _with_baseline(
    names: list[str], measure: ErrorMeasure, baseline: BaselineErrors | None, counts: SeverityCounts
) -> list[str]:
    if measure.baseline is None or baseline is None:
        return names
    known = [name for name in names if name in baseline.errors]
    return [name for name in known if len(baseline.errors[name] or range(counts[name])) == counts[name]]


def _severity_keys(counts: SeverityCounts, name: str, timestep: int) -> list[Key]:
    return [(name, severity, timestep) for severity in range(1, counts[name] + 1)]


def _highest(columns: Mapping[Key, Booleans], name: str) -> int:
    # pandas makes whole numbers floating-point where some rows have none.
    return int(max(severity for known, severity, _ in columns if known == name))


def _named(counts: SeverityCounts, chosen: Sequence[int] | None) -> dict[str, list[int]]:
    """Return the severities that are measured of each corruption: those that the run names, or all."""
    return {
        name: [severity for severity in range(1, count + 1) if chosen is None or severity in chosen]
        for name, count in counts.items()
    }


def _severity_rows(
    sample: Sample[Key], columns: Mapping[Key, Booleans], measured: Mapping[str, Sequence[int]], timestep: int
) -> Iterator[Row]:
    """Return accuracy and error over all corruptions, by severity and over all severities that are measured."""
    named = sorted({severity for severities in measured.values() for severity in severities})
    groups: list[tuple[int | None, list[Key]]] = [
        (severity, [(name, severity, timestep) for name, severities in measured.items() if severity in severities])
        for severity in named
    ]
    for severity, keys in [*groups, (None, [key for _, group in groups for key in group])]:
        if all(key in columns for key in keys):
            error = sample.estimate(partial(np.mean, axis=-1), keys)
            accuracy = Estimate(1 - error.value, 1 - error.high, 1 - error.low, error.images)
            yield summary_row("accuracy", timestep, accuracy, kind="summary", severity=severity)
            yield summary_row("error", timestep, error, kind="summary", severity=severity)
