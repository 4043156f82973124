"""What a run's timesteps do, in one sentence for each suite, with the evidence: the first thing that a reader is told.

The last timestep decides. It is fixed before a run and not chosen among the results, and all timesteps are compared
with t = 0 under Holm's correction. A timestep that was chosen afterwards because it does best is marked as such.

Three verdicts: yes, a clear gain; no, a clear loss, or no change beyond a margin that is fixed here; undecided, with
the size of a change that could have been missed. Nothing is called robust without the verdict on the gradients.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from scipy.special import ndtri

from pcbench.comparison.compare import ComparedRow, timestep_rows
from pcbench.comparison.sentences import (
    CLAIM_LEVEL,
    WORST_CASE_TITLE,
    budgets_clause,
    change_clause,
    is_worst_case,
    run_sentences,
    shown_budget_clauses,
)
from pcbench.errors import DataError
from pcbench.metrics.rates import CONFIDENCE
from pcbench.percent import in_points, interval, points
from pcbench.results.conditions import CORRUPTED
from pcbench.results.directory import Run, incomplete_suites
from pcbench.results.run_spec import SuiteSpec
from pcbench.results.verdicts import CHECKED, SUSPICIOUS

NO_CHANGE = 0.01
"""A change is none where its interval lies within this, in shares of images: one percentage point."""
_POWER = 0.8
"""A change that would not be found with this probability could have been missed."""

Decision = Literal["yes", "no", "undecided"]
Subject = Literal["corruption", "attack"]
_KINDS: dict[Subject, tuple[str, ...]] = {"corruption": CORRUPTED, "attack": ("attack",)}
_ABSENT: dict[Subject, str] = {
    "corruption": "No corruptions were run, so nothing is known of corrupted images.",
    "attack": "No attacks were run, so nothing is known of attacked images.",
}


@dataclass(frozen=True)
class Answer:
    """Whether the last timestep is better than t = 0, of one suite."""

    about: Subject
    """Whether it is about corrupted (or noisy) images, or about attacks."""
    suite: str | None
    """The suite; None where none of this kind was run."""
    decision: Decision
    """What was found; undecided also where nothing was compared."""
    text: str
    """The sentence, with its evidence."""
    row: ComparedRow | None = None
    """The comparison that it is made of; None where nothing was compared."""


def answers(run: Run) -> list[Answer]:
    """Return the answer of a run, one sentence a suite, corruptions first.

    A run with several settings of hyperparameters has none; the run of each setting has.

    Raises:
        DataError: The metrics or the verdicts are damaged. Of damaged outcomes the sentences say that.
    """
    if run.spec.settings.grid.swept:
        return []
    try:
        rows = timestep_rows(run)
    except DataError:
        rows = []
    return [*_of_subject(run, rows, "corruption"), *_of_subject(run, rows, "attack")]


def subject_of(kind: str) -> Subject | None:
    """Return what a figure of this kind is about, where an answer can be about it."""
    return next((subject for subject, kinds in _KINDS.items() if kind in kinds), None)


def _of_subject(run: Run, rows: Sequence[ComparedRow], about: Subject) -> Iterator[Answer]:
    suites = [suite for suite in run.spec.suites if (suite.kind == "corruptions") == (about == "corruption")]
    if not suites:
        yield Answer(about, None, "undecided", _ABSENT[about])
    for suite in suites:
        of_suite = [row for row in rows if row.suite == suite.name]
        asked = _decisive([row for row in of_suite if row.figure.kind in _KINDS[about]])
        if asked:
            attacks = len({row.figure for row in of_suite if row.figure.kind == "attack"})
            yield _answer(run, suite, asked, attacks)
        else:
            yield Answer(about, suite.name, "undecided", _nothing_compared(run, suite, about, compared=bool(of_suite)))


def _decisive(rows: Sequence[ComparedRow]) -> list[ComparedRow]:
    """Return the comparisons of one figure, in the order of timesteps.

    Of several attacks this is the worst case, or the one that leaves the fewest images standing over all timesteps,
    which favours none of these.
    """
    figures = dict.fromkeys(row.figure for row in rows if is_worst_case(row)) or dict.fromkeys(
        row.figure for row in rows
    )
    each = [[row for row in rows if row.figure == figure] for figure in figures]
    none: list[ComparedRow] = []
    chosen = min(each, key=lambda one: sum(row.first_value + row.second_value for row in one) / len(one), default=none)
    return sorted(chosen, key=lambda row: row.second.timestep)


def _answer(run: Run, suite: SuiteSpec, asked: Sequence[ComparedRow], attacks: int) -> Answer:
    row = asked[-1]
    doubt = _doubt(run, row)
    decision = _decided(row, doubt)
    found = f"at {row.second.name}, {_which(run, row)}, the network "
    found += _found(row, decision, doubt, attacks)
    numbers = f"{row.figure.measure}{budgets_clause(row)} {change_clause(row)}, {_images(run, suite, row)}"
    clauses = [f"{found}: {numbers}", *shown_budget_clauses(row)]
    if decision == "undecided":
        clauses.append(f"a change of less than {in_points(_missed(row))} could have been missed")
    if decision != "yes":
        clauses += _best(asked)
    about: Subject = "attack" if row.figure.kind == "attack" else "corruption"
    return Answer(about, suite.name, decision, f"{decision.capitalize()}: {'; '.join(clauses)}.", row)


def _which(run: Run, row: ComparedRow) -> str:
    """Return what the timestep that decides is: the last one, or the last one that was attacked by itself."""
    last = run.spec.settings.timesteps
    if row.figure.kind == "attack" and row.second.timestep < last:
        return f"the last timestep that was attacked (t = {last} was not)"
    return "the last timestep (the one that pcbench always judges)"


def _doubt(run: Run, row: ComparedRow) -> str | None:
    """Return why an attack that fails shows nothing about the network; None where it does, or there is no attack."""
    if row.verdict is None:
        return None
    rows = run.metrics
    if not rows[(rows["suite"] == row.suite) & (rows["kind"] == "attack")]["gradient"].notna().any():
        return "only black-box attacks were run"
    return None if row.verdict == CHECKED else row.verdict


def _decided(row: ComparedRow, doubt: str | None) -> Decision:
    """Return what a comparison of the last timestep with the first one decides."""
    suspicious = row.verdict is not None and row.verdict.startswith(SUSPICIOUS)
    if suspicious:
        return "undecided"
    if _is_clear(row):
        if row.difference * row.figure.better < 0:
            return "no"
        return "yes" if doubt is None else "undecided"
    # Of n images that all agree, up to 3/n may be of a kind that none of them is (the rule of three).
    unseen = 3 / row.images
    inside = max(abs(row.low), abs(row.high), abs(row.difference) + unseen) <= NO_CHANGE
    return "no" if inside and doubt is None else "undecided"


def _is_clear(row: ComparedRow) -> bool:
    return row.changed > 0 and row.p_holm <= CLAIM_LEVEL


def _found(row: ComparedRow, decision: Decision, doubt: str | None, attacks: int) -> str:
    """Return what the network is at the last timestep, beside what it is at the first, and on which images."""
    word, start = "robust" if row.figure.kind == "attack" else "accurate", f"at {row.first.name}"
    if row.figure.kind == "attack":
        attack = row.figure.images
        if is_worst_case(row):
            attack = f"the worst case of all attacks{attack.removeprefix(WORST_CASE_TITLE)}"
        elif attacks > 1:
            attack = f"{attack}, the strongest of {attacks} attacks"
        place = f"under {attack} ({row.verdict}) of {row.suite}"
    else:
        place = f"on the {row.figure.images} of {row.suite}"
    if _is_clear(row):
        verb = "is" if decision != "undecided" else "looks"
        amount = "more" if row.difference * row.figure.better > 0 else "less"
        said = f"{verb} {amount} {word} than {start} {place}"
    elif decision == "no":
        said = f"is as {word} as {start} within {in_points(NO_CHANGE)} {place}"
    else:
        said = f"is not clearly more or less {word} than {start} {place}"
    black_box = doubt is not None and doubt != row.verdict
    return f"{said}, where {doubt}" if black_box else said


def _images(run: Run, suite: SuiteSpec, row: ComparedRow) -> str:
    """Return the number of images of a comparison, and of how many where some lack a result."""
    if suite.name not in incomplete_suites(run.missing):
        return f"{row.images} images"
    asked = run.manifest.get("kept", {}).get(suite.name, suite.images)
    return f"{row.images} images of {asked}, since the others lack results"


def _missed(row: ComparedRow) -> float:
    """Return the smallest change, as a share, that would be found with a probability of `_POWER`."""
    error = (row.high - row.low) / 2 / float(ndtri((1 + CONFIDENCE) / 2))
    level = CLAIM_LEVEL / row.comparisons  # Holm asks this of the first claim
    return max(float(ndtri(1 - level / 2) + ndtri(_POWER)) * error, 3 / row.images)


def _best(asked: Sequence[ComparedRow]) -> Iterator[str]:
    """Yield, marked as selected, the timestep of the largest clear gain, where there is one."""
    gains = [row for row in asked[:-1] if _is_clear(row) and row.difference * row.figure.better > 0]
    if gains:
        best = max(gains, key=lambda row: row.difference * row.figure.better)
        found = f"{points(best.difference)} points, 95 % interval {interval(best.low, best.high, points)}"
        yield f"selected afterwards among {len(asked)}, {best.second.name} has the largest gain, {found}"


def _nothing_compared(run: Run, suite: SuiteSpec, about: Subject, *, compared: bool) -> str:
    """Return why nothing is known of the last timestep, with the value at t = 0 where this is the only one."""
    alone = run.spec.settings.attacked_timesteps
    if about == "attack" and compared and alone is not None and (alone[0] > 0 or len(alone) == 1):
        attacked = f"only t = {', '.join(map(str, alone))} was attacked"
        return (
            f"Undecided: {attacked} in {suite.name}, so no later timestep that was attacked by itself can be compared "
            "with t = 0: attack both."
        )
    if compared:
        lacks = (
            "no untargeted attack on the timesteps themselves" if about == "attack" else "no accuracy on changed images"
        )
        return f"Undecided: {suite.name} has {lacks}, so it does not tell whether later timesteps help."
    if run.spec.settings.timesteps > 0:
        return f"Undecided: the outcomes of {suite.name} cannot be read, or lack every image, so nothing was compared."
    stated = [
        said.text for said in run_sentences(run) if (said.suite, said.about) == (suite.name, about) and said.leads
    ]
    return f"Undecided: this run has t = 0 only, so there is no later timestep to compare. {' '.join(stated)}".rstrip()
