"""Comparing runs, and the timesteps of a run, on the same images.

Every figure is a mean of a score that every image has (`pcbench.comparison.scored`), so every difference is paired:
McNemar's test where an image's score is right or wrong, else the bootstrap over images; Holm's correction over the
comparisons of one question (one figure, several timesteps).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from pcbench.arguments import public
from pcbench.comparison.comparability import require_same_images
from pcbench.comparison.scored import ComparedFigure, ScoredSuite, SeenRun, score, seen_run
from pcbench.comparison.verdicts import verdicts_of
from pcbench.errors import DataError, UsageError
from pcbench.metrics.paired import (
    Difference,
    enough_draws,
    holm,
    mcnemar,
    paired_differences,
    paired_rate_change,
    sign_flip_p_values,
)
from pcbench.norms import epsilon_text
from pcbench.results.directory import Run
from pcbench.results.verdicts import Verdicts, joint_verdict_words


@dataclass(frozen=True)
class ComparedSide:
    """One of the two things that are compared."""

    name: str
    """What it is called, such as ``"t = 8"`` or ``"pvgg16 at t = 8"``."""
    timestep: int
    """The compared timestep."""


@dataclass(frozen=True)
class ComparedRow:
    """One comparison; values are shares of images, or ratios for mCE."""

    suite: str
    """The suite's name."""
    figure: ComparedFigure
    """What is compared."""
    first: ComparedSide
    """The first side."""
    second: ComparedSide
    """The second side."""
    images: int
    """Number of images."""
    first_value: float
    """The figure of the first."""
    second_value: float
    """The figure of the second."""
    difference: float
    """second - first."""
    low: float
    """Lower end of its 95 % interval."""
    high: float
    """Upper end."""
    test: str
    """``"McNemar"`` or ``"bootstrap"``."""
    p: float
    """Two-sided p value."""
    p_holm: float
    """The same, corrected by Holm for all comparisons of this question: one figure of one suite."""
    comparisons: int
    """How many these are."""
    changed: int
    """How many images have another score on the second side."""
    verdict: str | None
    """Of an attack: the verdict on the gradients of both sides, in words."""
    wins: int
    """On how many corruptions the second makes fewer errors than the first."""
    corruptions: int
    """The number of corruptions; 0 for a suite without corruptions."""
    epsilon: float | None
    """Of an attack with several budgets: the one that summaries show of the first."""
    at_epsilon: tuple[float, float] | None
    """The accuracies of both within it."""
    broken_budgets: int
    """Of an attack: at how many of its budgets no image is right on either side."""
    smallest_p: float
    """The smallest p value that the test can show: the bootstrap has a number of draws, McNemar's test has none."""

    @property
    def p_text(self) -> str:
        """The p value as it is printed everywhere: the smallest that can be shown is only known to be at most that."""
        return self._printed(self.p)

    @property
    def p_holm_text(self) -> str:
        """The same of the p value corrected by Holm."""
        return self._printed(self.p_holm)

    def _printed(self, value: float) -> str:
        if value < 0.001:
            return "< 0.001"
        if self.p <= self.smallest_p * (1 + 1e-9):
            return f"≤ {math.ceil(1000 * value - 1e-6) / 1000:.3f}"
        return f"{value:.3f}"


@public()
def compare_timesteps(run: Run) -> list[ComparedRow]:
    """Compare every timestep of a run with the first, t = 0.

    Raises:
        UsageError: The run has one timestep only.
        DataError: Its outcomes are damaged.
    """
    rows = timestep_rows(run)
    if not rows:
        raise UsageError(f"{run.folder}: has one timestep only; give two runs, or one with timesteps")
    return rows


def timestep_rows(run: Run) -> list[ComparedRow]:
    """Return the comparisons of every timestep of a run with the first; none where it has one timestep only.

    Raises:
        DataError: Its outcomes or its verdicts are damaged.
    """
    return list(_timestep_rows(seen_run(run)))


@lru_cache(maxsize=2)  # the answer and the sentences of a page are made of the same comparisons
def _timestep_rows(seen: SeenRun) -> tuple[ComparedRow, ...]:
    run, rows = seen.run, list[ComparedRow]()
    verdicts = verdicts_of(run)
    for suite, scored in score(run).items():
        start, *later = [ComparedSide(f"t = {timestep}", timestep) for timestep in scored.timesteps]
        both = _Sides(suite, (scored, scored), (verdicts, verdicts))
        rows += _compare(both, [(start, side) for side in later])
    return tuple(rows)


@public()
def compare_runs(first: Run, second: Run, names: tuple[str, str]) -> list[ComparedRow]:
    """Compare two runs at the timesteps they share and, where these differ, at the last timestep of each.

    Args:
        first: The run that is compared with.
        second: The run that is compared.
        names: What the two are called.

    Raises:
        UsageError: They do not have a common suite, or differ in images, preprocessing or suite version.
        DataError: Outcomes are damaged.
    """
    held = {suite.name for suite in second.spec.suites}
    common = [suite.name for suite in first.spec.suites if suite.name in held]
    folders = (str(first.folder), str(second.folder))
    if not common:
        raise UsageError(f"{folders[0]} and {folders[1]} cannot be compared: they do not have a common suite")
    require_same_images(first.spec, second.spec, common, folders)
    scored = score(first), score(second)
    verdicts = verdicts_of(first), verdicts_of(second)
    for folder, held_scores in zip(folders, scored, strict=True):
        absent = set(common) - held_scores.keys()
        if absent:
            raise DataError(f"{folder}: does not have outcomes of the suite {min(absent)}; run it again")
    rows: list[ComparedRow] = []
    for suite in common:
        both = scored[0][suite], scored[1][suite]
        # A rule may keep other images for another network, and descriptions of version 1 do not list the images.
        ids = [side.ids_sha256 for side in both]
        if ids[0] != ids[1]:
            raise UsageError(
                f"{folders[0]} and {folders[1]} cannot be compared: suite {suite} image ids: {ids[0][:12]} -> "
                f"{ids[1][:12]}; compare runs on the same images"
            )
        _refuse_other_budgets(suite, both, folders)
        sides = _Sides(suite, both, (verdicts[0], verdicts[1]))
        rows += _compare(sides, _pairs(both[0].timesteps, both[1].timesteps, names))
    return rows


def _refuse_other_budgets(suite: str, both: tuple[ScoredSuite, ScoredSuite], folders: tuple[str, str]) -> None:
    """Refuse attacks whose budgets differ: their figures are means over budgets.

    Raises:
        UsageError: An attack of both runs has other budgets in the second.
    """
    first, second = ({figure.name: figure for figure, _ in scored.within} for scored in both)
    for name in first.keys() & second.keys():
        if first[name].budgets != second[name].budgets:
            raise UsageError(
                f"{folders[0]} and {folders[1]} cannot be compared: suite {suite} was attacked at "
                f"{budgets_text(first[name])} and at {budgets_text(second[name])}; run both with the same `epsilons`"
            )


def budgets_text(figure: ComparedFigure) -> str:
    """Return the budgets of an attack in words, such as ``"ε = 1/255 to 8/255"``."""
    texts = dict.fromkeys(epsilon_text(edge, figure.norm) for edge in (figure.budgets[0], figure.budgets[-1]))
    return f"ε = {' to '.join(texts)}"


def _pairs(first: list[int], second: list[int], names: tuple[str, str]) -> list[tuple[ComparedSide, ComparedSide]]:
    times = [(timestep, timestep) for timestep in first if timestep in second]
    times += [(first[-1], second[-1])] if first[-1] != second[-1] else []
    return [
        (ComparedSide(f"{names[0]} at t = {one}", one), ComparedSide(f"{names[1]} at t = {two}", two))
        for one, two in times
    ]


@dataclass(frozen=True)
class _Sides:
    """What is known of a suite on both sides of a comparison."""

    suite: str
    scored: tuple[ScoredSuite, ScoredSuite]
    verdicts: tuple[Verdicts, Verdicts]

    def verdict(self, figure: ComparedFigure, first: ComparedSide, second: ComparedSide) -> str | None:
        """Return the verdict on the attacks of both sides; None where the figure is not about an attack."""
        if not figure.budgets:
            return None
        attacked = [side.timestep if figure.made_against is None else figure.made_against for side in (second, first)]
        if self.verdicts[0] is self.verdicts[1]:
            return self.verdicts[0].words(self.suite, attacked)
        said = (verdicts.words(self.suite, [t]) for verdicts, t in zip(self.verdicts[::-1], attacked, strict=True))
        return joint_verdict_words(dict(zip((second.name, first.name), said, strict=True)))


def _compare(sides: _Sides, pairs: Sequence[tuple[ComparedSide, ComparedSide]]) -> Iterator[ComparedRow]:
    scored = sides.scored
    for figure in dict.fromkeys(figure for figure, _ in scored[0].scores):
        asked = [
            (one, two)
            for one, two in pairs
            if (figure, one.timestep) in scored[0].scores and (figure, two.timestep) in scored[1].scores
        ]
        if asked:
            yield from _answer(sides, figure, asked)


def _answer(
    sides: _Sides, figure: ComparedFigure, asked: Sequence[tuple[ComparedSide, ComparedSide]]
) -> Iterator[ComparedRow]:
    scored = sides.scored
    before = np.column_stack([scored[0].scores[figure, one.timestep] for one, _ in asked])
    after = np.column_stack([scored[1].scores[figure, two.timestep] for _, two in asked])
    binary = bool(np.isin(before, (0, 1)).all() and np.isin(after, (0, 1)).all())
    if binary:
        differences = [
            difference_of_rates(*pair) for pair in zip(before.T.astype(bool), after.T.astype(bool), strict=True)
        ]
    else:
        differences = differences_of_means(after - before)
    corrected = holm([difference.p for difference in differences])
    epsilon = scored[0].shown.get(figure) if len(figure.budgets) > 1 else None
    for index, (one, two) in enumerate(asked):
        wins, corruptions = _wins(scored, one, two)
        yield ComparedRow(
            suite=sides.suite,
            figure=figure,
            first=one,
            second=two,
            images=len(before),
            first_value=float(before[:, index].mean()),
            second_value=float(after[:, index].mean()),
            difference=differences[index].value,
            low=differences[index].low,
            high=differences[index].high,
            test="McNemar" if binary else "bootstrap",
            p=differences[index].p,
            p_holm=corrected[index],
            comparisons=len(asked),
            changed=int(np.count_nonzero(before[:, index] != after[:, index])),
            verdict=sides.verdict(figure, one, two),
            wins=wins,
            corruptions=corruptions,
            epsilon=epsilon,
            at_epsilon=None if epsilon is None else _within(scored, figure, epsilon, (one, two)),
            broken_budgets=_broken_budgets(scored, figure, (one, two)),
            smallest_p=0.0 if binary else 2 / (enough_draws(len(asked)) + 1),
        )


def _broken_budgets(
    scored: tuple[ScoredSuite, ScoredSuite], figure: ComparedFigure, sides: tuple[ComparedSide, ComparedSide]
) -> int:
    if not figure.budgets:
        return 0
    first, second = (one.within[figure, side.timestep] for one, side in zip(scored, sides, strict=True))
    return int(np.count_nonzero((first == 0) & (second == 0)))


def _within(
    scored: tuple[ScoredSuite, ScoredSuite],
    figure: ComparedFigure,
    epsilon: float,
    sides: tuple[ComparedSide, ComparedSide],
) -> tuple[float, float]:
    here = figure.budgets.index(epsilon)
    first, second = (float(one.within[figure, side.timestep][here]) for one, side in zip(scored, sides, strict=True))
    return first, second


def differences_of_means(differences: NDArray[np.float64]) -> list[Difference]:
    """Return the mean differences of scores, (images, comparisons).

    The p value is the larger one of two tests. The bootstrap asks nothing of the scores but is too sure where few
    images differ; random signs hold their level there. With more comparisons both need more draws, or Holm's factor
    would take the smallest p value that they can show above every level.
    """
    draws = enough_draws(differences.shape[1])
    by_signs = sign_flip_p_values(differences, flips=draws)
    found = paired_differences(differences, resamples=draws)
    return [one._replace(p=max(one.p, p)) for one, p in zip(found, by_signs, strict=True)]


def difference_of_rates(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> Difference:
    """Return the difference of two rates of right answers, (images,) each, with McNemar's exact p value."""
    change = paired_rate_change(first, second)
    return Difference(change.value, change.low, change.high, mcnemar(first, second))


def _wins(scored: tuple[ScoredSuite, ScoredSuite], first: ComparedSide, second: ComparedSide) -> tuple[int, int]:
    """Return on how many corruptions the second makes fewer errors, and how many there are."""
    errors = scored[0].corruption_errors.get(first.timestep, {}), scored[1].corruption_errors.get(second.timestep, {})
    names = errors[0].keys() & errors[1].keys()
    return sum(errors[1][name] < errors[0][name] for name in names), len(names)
