"""The answers of a study: each comparison with its interval and verdict, and a paragraph a question."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pcbench.comparison.answer import Decision
from pcbench.comparison.verdicts import verdicts_of
from pcbench.metrics.paired import holm
from pcbench.metrics.rates import Floats
from pcbench.metrics.two_way import TwoWay, VarianceParts, two_way, variance_parts
from pcbench.percent import decimal, interval, percent, points, signed
from pcbench.results.directory import open_run
from pcbench.results.verdicts import NOT_CHECKED, SUSPICIOUS
from pcbench.studies.arms import ARMS, NETWORK, PLAIN_NETWORK
from pcbench.studies.pooled import pooled_words
from pcbench.studies.study_file import BEGINNING, Measure, QuestionTable, StudyFile
from pcbench.studies.tunings import apart_words, tuned_levels, tuning_words
from pcbench.studies.values import LOWER_IS_BETTER, SHARES, ArmValues, values_of

LEVEL = 0.05
"""A p value below it, after Holm's correction over the primary comparisons, is a finding."""
MEASURES: dict[Measure, str] = {
    "accuracy": "accuracy",
    "standing": "the share of ε at which images stand",
    "nll": "−log p of the label",
    "ece": "the calibration error",
    "distance": "the last representation's correlation distance to that of the clean image at t = 0",
}
"""What each measure is called."""


@dataclass(frozen=True)
class SeedDifference:
    """What one training seed says."""

    seed: int | None
    value: float
    other: float
    difference: TwoWay
    """Over images."""


@dataclass(frozen=True)
class ArmComparison:
    """The network at T against something else, for one question."""

    question: QuestionTable
    against: str
    """``"t = 0"``, or an arm at its own T."""
    timestep: int
    value: float
    """The network's mean."""
    other: float
    """The other's."""
    difference: TwoWay
    """The first minus the second."""
    p_holm: float | None
    """Corrected over all primary comparisons; None where it is not one."""
    each: tuple[SeedDifference, ...]
    believed: str | None
    """The verdict on the attacks' gradients, where the measure is about attacks."""
    parts: VarianceParts | None = None
    """The variances of the difference between seeds and between images; None of one seed."""
    single: bool = True
    """Whether each image is right or wrong under each seed; not where it has a mean over several conditions."""
    tunings: str = ""
    """What limits the tunings of both sides, in sentences."""
    levels: str = ""
    """That the arms were tuned for quite other noise than the suite has, in a sentence."""
    corrected: int = 1
    """How many comparisons it was corrected with, itself included."""

    @property
    def primary(self) -> bool:
        """Whether it was named beforehand as one that decides."""
        return self.question.primary and self.against in self.question.against

    @property
    def smallest(self) -> float:
        """The true difference that is found in 80 of 100 such studies, corrected as this one."""
        return self.difference.smallest(self.corrected)

    @property
    def better(self) -> float:
        """The difference, positive where the network is better."""
        return -self.difference.value if self.question.measure in LOWER_IS_BETTER else self.difference.value

    @property
    def decision(self) -> Decision:
        """``yes``: a clear gain; ``no``: a clear loss, or no difference beyond the margin; else ``undecided``."""
        p = self.difference.p if self.p_holm is None else self.p_holm
        margin = self.question.margin
        if p < LEVEL:
            return "yes" if self.better > 0 else "no"
        return "no" if -margin < self.difference.low and self.difference.high < margin else "undecided"


def comparisons_of(study: StudyFile, out: Path) -> list[ArmComparison]:
    """Return every comparison of a study: of each question against t = 0 and against each arm.

    Raises:
        DataError: A run is missing or damaged.
    """
    tuned = tuned_levels(study, out)
    found = [
        dataclasses.replace(one, tunings=tuning_words(out, _sides(one), [each.seed for each in one.each]), levels=apart)
        for question in study.table.questions
        for apart in [apart_words(question.suite_label, tuned, _measured_levels(study, question, out) if tuned else ())]
        for one in _of_question(study, question, out)
    ]
    primary = [index for index, one in enumerate(found) if one.primary]
    for index, p in zip(primary, holm([found[index].difference.p for index in primary]), strict=True):
        found[index] = dataclasses.replace(found[index], p_holm=p, corrected=len(primary))
    return found


def _measured_levels(study: StudyFile, question: QuestionTable, out: Path) -> list[float]:
    """Return the levels of noise of a question's suite; none of a suite without noise on e_0."""
    (folder, *_) = values_of(study, question, NETWORK, out).folders
    rows = open_run(folder, verify=False).metrics
    noise = rows[(rows["suite"] == question.suite_label) & (rows["kind"] == "noise")]
    return sorted({float(level) for level in noise["epsilon"].dropna()})


def _sides(one: ArmComparison) -> list[str]:
    return [NETWORK] if one.against == BEGINNING else [NETWORK, one.against]


def _of_question(study: StudyFile, question: QuestionTable, out: Path) -> Iterator[ArmComparison]:
    suite, timestep = study.suite(question.suite), study.timestep_of(question)
    network = values_of(study, question, NETWORK, out)
    believed = worst_verdict(network.folders, suite.label, (timestep, 0)) if question.measure == "standing" else None
    yield _comparison(question, BEGINNING, timestep, network, network.at(0), believed)
    for arm in study.arms_of(suite):
        if arm in (NETWORK, PLAIN_NETWORK):  # the latter is the network's own t = 0
            continue
        yield _against_arm(study, question, arm, network, values_of(study, question, arm, out))


def _against_arm(
    study: StudyFile, question: QuestionTable, arm: str, network: ArmValues, other: ArmValues
) -> ArmComparison:
    """Return the comparison with an arm, over the training seeds that both have."""
    label, timestep = question.suite_label, study.timestep_of(question)
    network, other = network.of_seeds(other.seeds), other.of_seeds(network.seeds)
    own_last = study.table.of_arm(arm).timesteps
    believed = None
    if question.measure == "standing":
        times = (0,) if ARMS[arm].timeless else (timestep, 0)
        both = (network.folders, (timestep, 0)), (other.folders, times)
        believed = min((worst_verdict(folders, label, one) for folders, one in both), key=_rank)
    return _comparison(question, arm, timestep, network, other.at(own_last or timestep), believed, other)


def _comparison(
    question: QuestionTable,
    against: str,
    timestep: int,
    network: ArmValues,
    numbers: Floats,
    believed: str | None,
    other: ArmValues | None = None,
) -> ArmComparison:
    own = network.at(timestep)
    if other is not None and other.images != network.images:
        own, numbers = _on_same_images(network, own, other, numbers)
    differences = own - numbers  # an arm without seeds stands beside each seed
    subtracted = network.uncertain(0) if other is None else other.uncertain(timestep)
    uncertain = math.hypot(network.uncertain(timestep), subtracted)
    each = tuple(
        SeedDifference(seed, float(own[row].mean()), float(numbers[min(row, len(numbers) - 1)].mean()),
                       two_way(differences[row : row + 1], uncertain=uncertain))
        for row, seed in enumerate(network.seeds)
    )  # fmt: skip
    return ArmComparison(
        question,
        against,
        timestep,
        float(own.mean()),
        float(numbers.mean()),
        two_way(differences, uncertain=uncertain),
        None,
        each,
        believed,
        None if len(differences) == 1 else variance_parts(differences),
        bool(np.isin(differences, (-1, 0, 1)).all()),
    )


def _on_same_images(network: ArmValues, own: Floats, other: ArmValues, numbers: Floats) -> tuple[Floats, Floats]:
    shared = [name for name in network.images if name in set(other.images)]
    rows = [[values.images.index(name) for name in shared] for values in (network, other)]
    return own[:, rows[0]], numbers[:, rows[1]]


def worst_verdict(folders: Sequence[Path], suite: str, timesteps: Sequence[int]) -> str:
    """Return the worst verdict on the attacks on some timesteps in some runs; one that is missing is not checked."""
    found = [verdicts_of(open_run(folder, verify=False)).words(suite, timesteps) for folder in folders]
    return min(found, key=_rank)


def _rank(words: str) -> int:
    return 0 if words.startswith(SUSPICIOUS) else 1 if words == NOT_CHECKED else 2


@dataclass(frozen=True)
class ToldAnswer:
    """The answer to a question in words."""

    question: str
    """The question itself."""
    decisive: tuple[str, ...]
    """A sentence or two for each comparison that decides, each beginning with its verdict."""
    beside: tuple[str, ...]
    """What stands beside them, and each seed's own value."""

    @property
    def paragraph(self) -> str:
        """All of it."""
        return " ".join((self.question, *self.decisive, *self.beside))


def told_answer(study: StudyFile, of_question: Sequence[ArmComparison]) -> ToldAnswer:
    """Return the answer to a question in words.

    Args:
        study: The study.
        of_question: The comparisons of one question.
    """
    question = of_question[0].question
    decisive = [one for one in of_question if one.primary] or list(of_question[:1])
    rest = [one for one in of_question if one not in decisive]
    beside: list[str] = []
    if rest:
        clauses = "; ".join(f"{_against(one.against)} {_difference(one)}" for one in rest)
        beside.append(f"Exploratory, not corrected: {clauses}.")
    seeds = ", ".join(difference_text(question.measure, one.difference.value) for one in decisive[0].each)
    if len(decisive[0].each) > 1:
        beside.append(f"Each training seed by itself, against {decisive[0].against}: {seeds}.")
    sentences = [f"{_sentence(study, one)} {one.tunings}".rstrip() for one in decisive]
    sentences[-1] = f"{sentences[-1]} {decisive[-1].levels}".rstrip()
    beside += dict.fromkeys(one.tunings for one in rest if one.tunings)
    return ToldAnswer(question.question, tuple(sentences), tuple(beside))


def _sentence(study: StudyFile, one: ArmComparison) -> str:
    word = {"yes": "Yes", "no": "No", "undecided": "Undecided"}[one.decision]
    believed = "" if one.believed is None else f", {one.believed}"
    counted = f"{one.corrected} primary comparison{'s' * (one.corrected != 1)}"
    holm_words = "exploratory" if one.p_holm is None else f"Holm over {counted}"
    p = one.difference.p if one.p_holm is None else one.p_holm
    seeds = len(one.each)
    claim = (
        "one training seed, so this is said of that training alone"
        if seeds == 1
        else f"{seeds} training seeds of one backbone"
    )
    parts = (
        f"{word} at t = {one.timestep}, {_against(one.against)}: {MEASURES[one.question.measure]} under "
        f"{pooled_words(one.question)} changes by {_difference(one)} ({_level(one)}{believed}; p {_p_text(p)}, "
        f"{holm_words}; {one.difference.images} images, {claim}{_tuned_words(study, one)})."
    )
    measure = one.question.measure
    if one.decision == "undecided":
        text = difference_text(measure, one.smallest, plain=True)
        possible = one.other if measure in LOWER_IS_BETTER else 1 - one.other
        if measure in SHARES and one.smallest > possible:
            return f"{parts} No possible gain is found in 80 of 100 such studies: it would have to be {text}."
        return f"{parts} A true difference of {text} is found in 80 of 100 such studies."
    if one.decision == "yes":
        return parts
    if p < LEVEL:
        return f"{parts} It is a loss."
    return (
        f"{parts} The interval lies within the margin of {difference_text(measure, one.question.margin, plain=True)}."
    )


def _tuned_words(study: StudyFile, one: ArmComparison) -> str:
    of_arm = ARMS[one.against].objective if one.against in ARMS else None
    used = [objective for objective in (study.table.tuning.objective, of_arm) if objective not in (None, "clean")]
    return f"; tuned with labels and {' and '.join(dict.fromkeys(map(str, used)))}" if used else ""


def _against(name: str) -> str:
    return f"against {name}"


def _p_text(p: float) -> str:
    return f"= {decimal(p, 3)}" if p >= 0.001 else "< 0.001"


def _difference(one: ArmComparison) -> str:
    measure, found = one.question.measure, one.difference
    ends = interval(found.low, found.high, lambda end: difference_text(measure, end, unit=False))
    return f"{difference_text(measure, found.value)} {ends}"


def _level(one: ArmComparison) -> str:
    measure = one.question.measure
    levels = [percent(level) if measure in SHARES else decimal(level, 3) for level in (one.value, one.other)]
    unit, better = " %" if measure in SHARES else "", ", less is better" if measure in LOWER_IS_BETTER else ""
    return f"{' and '.join(levels)}{unit}{better}"


def difference_text(measure: Measure, value: float, *, unit: bool = True, plain: bool = False) -> str:
    """Return a difference in the units of its measure.

    Args:
        measure: The measure.
        value: The difference.
        unit: Whether its unit is named.
        plain: Whether it is a size, without a sign.
    """
    if measure not in SHARES:
        return decimal(value, 3) if plain else signed(value, 3)
    text = percent(value) if plain else points(value)
    return f"{text} points" if unit else text
