"""The gate: is a run less accurate than a frozen reference, on the same images?

A row is an accuracy that is guarded: clean accuracy, accuracy under a corruption (over its severities) and over all
corruptions, robust accuracy under an attack (over its budgets), each at one timestep. The test is
`pcbench.metrics.drop`'s: one test over all rows together.

At the reference's own seed a second test is possible without statistics: the same program gives the same answers
again, so the share of answers that differ shows the effect of a change of the code, for better or worse.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pcbench.comparison.comparability import other_differences, require_same_images
from pcbench.comparison.guarded import Guard, GuardedRow, guarded_rows, share
from pcbench.comparison.reference import Reference
from pcbench.comparison.scores import SuiteScores, read_scores
from pcbench.errors import UsageError
from pcbench.metrics.cells import Cell
from pcbench.metrics.drop import FLIPS, Drops, Side, find_drops, needed_images
from pcbench.norms import epsilon_text
from pcbench.percent import short_points
from pcbench.results.directory import Run, changed_notes
from pcbench.results.run_spec import SpecDifference

_POWER = 0.9
"""Drops that are found with this probability are told as detectable."""


@dataclass(frozen=True)
class CheckedRow:
    """A guarded row with its numbers; all are shares of images, 0 to 1."""

    row: GuardedRow
    """What is guarded."""
    images: int
    """Number of images."""
    reference: float
    """Accuracy in the reference."""
    value: float
    """Accuracy in the run."""
    drop: float
    """reference - value."""
    lower: float
    """Lower bound of the drop, simultaneous over all rows."""
    upper: float
    """Upper bound of the drop."""
    detectable: float
    """The smallest true drop that is found with 90 % probability; NaN if there is no such drop."""
    failed: bool
    """Whether the row fails."""
    disagreement: float
    """Mean square of the differences between an image's two scores, 0 to 1: what the power is computed from."""


@dataclass(frozen=True)
class GateReport:
    """What a check found."""

    rows: tuple[CheckedRow, ...]
    """All guarded rows."""
    tolerated: float
    """The tolerated drop m."""
    alpha: float
    """Probability of any false alarm over all rows."""
    power: float
    """Probability with which `detectable` drops are found."""
    critical: float
    """The critical value of the test for which `detectable` holds."""
    side: Side
    """Whether only losses fail, or gains as well."""
    changed: int
    """Number of single answers that differ from the reference's."""
    answers: int
    """Number of answers compared."""
    tolerated_changes: float | None
    """The share of them that may differ; None without this test."""
    differences: tuple[SpecDifference, ...]
    """Fields of the two descriptions that differ and may differ."""
    run: str
    """The run's key."""
    reference: str
    """The reference's key."""
    marks: tuple[str, ...] = ()
    """What marks the run: files of it that were changed, and warnings."""

    @property
    def failed(self) -> tuple[CheckedRow, ...]:
        """The rows that fail."""
        return tuple(row for row in self.rows if row.failed)

    @property
    def changed_too_much(self) -> bool:
        """Whether more answers differ than may."""
        return self.tolerated_changes is not None and self.changed > self.tolerated_changes * self.answers

    @property
    def passed(self) -> bool:
        """Whether no row fails and no more answers differ than may."""
        return not self.failed and not self.changed_too_much


def check_run(
    run: Run,
    reference: Reference,
    *,
    tolerated: float,
    alpha: float = 0.01,
    guard: Guard = "all",
    side: Side = "drop",
    tolerated_changes: float | None = None,
) -> GateReport:
    """Check a run against a reference.

    Args:
        run: The run.
        reference: The frozen reference.
        tolerated: The drop m that is tolerated in every row, 0 to 1.
        alpha: Probability of any false alarm, over all rows.
        guard: ``"all"`` rows, or only the ``"pooled"`` ones: clean, all corruptions together, each attack.
        side: ``"drop"`` fails for losses, ``"change"`` for gains as well.
        tolerated_changes: Fail as well where more than this share of single answers differ from the reference's,
            0 to 1; the run must have the reference's seed. Another machine's rounding changes a few.

    Raises:
        UsageError: The two are not comparable, or a number is out of range.
        DataError: The run's outcomes are damaged.
    """
    _check_limits(tolerated, alpha)
    if tolerated_changes is not None:
        _check_changes(tolerated_changes, reference.spec.settings.seed, run.spec.settings.seed)
    suites = [suite.suite for suite in reference.suites]
    require_same_images(reference.spec, run.spec, suites, ("the reference", "the run"))
    scores, ids = read_scores(run)
    aligned = [_align(old, {new.suite: new for new in scores}) for old in reference.suites]
    rows, before, after = _columns(aligned, ids, guard)
    drops = find_drops(before - after, tolerated=tolerated, alpha=alpha, power=_POWER, side=side)
    return GateReport(
        rows=tuple(_checked(row, before[:, at], after[:, at], drops, at) for at, row in enumerate(rows)),
        tolerated=tolerated,
        alpha=alpha,
        power=_POWER,
        critical=drops.ceiling,
        side=side,
        changed=sum(int((old.correct != correct).sum()) for old, correct in aligned),
        answers=sum(correct.size for _, correct in aligned),
        tolerated_changes=tolerated_changes,
        differences=tuple(other_differences(reference.spec, run.spec)),
        run=run.key,
        reference=reference.key,
        marks=(*changed_notes(run), *(note for note in run.manifest.get("notes", []) if note.startswith("WARNING"))),
    )


def images_for(report: GateReport, drop: float, *, pooled: bool = False) -> int:
    """Return how many images show a drop with the report's probability in every guarded row.

    It is computed for the report's own test, with as much disagreement between images as the run showed.

    Args:
        report: What a check found.
        drop: The wished drop, a share of the images above the tolerated one.
        pooled: Only of the few rows that sum a suite up.

    Raises:
        UsageError: The test cannot show this drop with any number of images.
    """
    if not report.tolerated < drop <= 1:
        raise UsageError(
            f"`power` is a drop in points, above the tolerated {short_points(report.tolerated)} and at most 100, not "
            f"{short_points(drop)}"
        )
    rows = [row for row in report.rows if row.row.pooled or not pooled]
    values = (
        needed_images(drop, row.disagreement, critical=report.critical, tolerated=report.tolerated, power=report.power)
        for row in rows
    )
    return max(values)


def _check_limits(tolerated: float, alpha: float) -> None:
    if not 0 <= tolerated < 1:
        raise UsageError(f"the tolerated drop is a share of images from 0 to 1, not {tolerated}")
    if not 1 / (FLIPS + 1) <= alpha <= 0.5:
        raise UsageError(f"alpha must be from {1 / (FLIPS + 1)} to 0.5, not {alpha}")


def _check_changes(tolerated: float, reference_seed: int, seed: int) -> None:
    if not 0 <= tolerated < 1:
        raise UsageError(f"the tolerated share of changed answers is from 0 to 1, not {tolerated}")
    if reference_seed != seed:
        raise UsageError(
            f"answers repeat only at the same seed, but the reference has seed {reference_seed} and the run {seed}; "
            f"run with seed={reference_seed}"
        )


def _align(old: SuiteScores, new: dict[str, SuiteScores]) -> tuple[SuiteScores, NDArray[np.bool_]]:
    """Return the reference's answers and the run's, in the same order of conditions and images."""
    scores = new.get(old.suite)
    if scores is None or scores.ids_sha256 != old.ids_sha256:
        raise UsageError(
            f"the reference and the run cannot be compared: suite {old.suite} image ids: {old.ids_sha256[:12]} -> "
            f"{scores.ids_sha256[:12] if scores else 'none'}; run on the reference's images"
        )
    index_of = {cell: index for index, cell in enumerate(scores.cells)}
    missing = [cell for cell in old.cells if cell not in index_of]
    if missing:
        raise UsageError(
            f"the reference and the run cannot be compared: suite {old.suite}: {len(missing)} conditions of the "
            f"reference were not run, such as {_describe(missing[0])}; run with the reference's options"
        )
    return old, scores.correct[[index_of[cell] for cell in old.cells]]


def _describe(cell: Cell) -> str:
    condition = cell.condition
    parts = [condition.name]
    parts += [] if condition.severity is None else [f"severity {condition.severity}"]
    parts += [] if condition.epsilon is None else [f"ε = {epsilon_text(condition.epsilon, condition.norm)}"]
    parts += [] if condition.attacked_timestep is None else [f"attacked at t = {condition.attacked_timestep}"]
    return ", ".join([*parts, f"t = {cell.timestep}"])


def _checked(
    row: GuardedRow, before: NDArray[np.float64], after: NDArray[np.float64], drops: Drops, index: int
) -> CheckedRow:
    """Return a guarded row with its numbers, from the images' scores, NaN where it lacks an image, (images,)."""
    return CheckedRow(
        row=row,
        images=int((~np.isnan(before)).sum()),
        reference=float(np.nanmean(before)),
        value=float(np.nanmean(after)),
        drop=float(drops.estimates[index]),
        lower=float(drops.lower[index]),
        upper=float(drops.upper[index]),
        detectable=float(drops.detectable[index]),
        failed=bool(drops.failed[index]),
        disagreement=float(drops.disagreement[index]),
    )


def _columns(
    aligned: Sequence[tuple[SuiteScores, NDArray[np.bool_]]], ids: Mapping[str, tuple[str, ...]], guard: Guard
) -> tuple[list[GuardedRow], NDArray[np.float64], NDArray[np.float64]]:
    """Return the guarded rows and two matrices of scores (images, rows), NaN where a suite lacks an image."""
    names = {name for old, _ in aligned for name in ids[old.suite]}
    index_of = {name: index for index, name in enumerate(sorted(names))}
    rows: list[GuardedRow] = []
    columns: list[NDArray[np.float64]] = []
    for old, correct in aligned:
        where = np.array([index_of[name] for name in ids[old.suite]])
        for row, cells in guarded_rows(old, guard):
            rows.append(row)
            column = np.full((len(index_of), 2), np.nan)
            column[where, 0], column[where, 1] = share(old, old.correct, cells), share(old, correct, cells)
            columns.append(column)
    scores = np.stack(columns, axis=1)
    return rows, scores[..., 0], scores[..., 1]
