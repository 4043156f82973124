"""The file of a study: what is asked, on which images, with which arms; checked before anything is scored."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from pcbench.arguments import MOST_TIMESTEPS
from pcbench.catalog import Definition, load_definition
from pcbench.errors import DefinitionError, UnknownNameError, UsageError
from pcbench.limits.text import read_bytes
from pcbench.studies.arms import ARMS, NETWORK, PLAIN_NETWORK
from pcbench.studies.suites import check_suites
from pcbench.training.options import LARGEST_TRAINING_SEED

Measure = Literal["accuracy", "standing", "nll", "ece", "distance"]
_Share = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)]
_Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
_Seed = Annotated[int, Field(ge=0, le=LARGEST_TRAINING_SEED // 2)]
"""The seed of a tuning is that of the training added to its own."""
_Text = Annotated[str, Field(min_length=1)]
BEGINNING = "t = 0"
"""What `against` calls the network's own first answer."""


class SuiteTable(Definition):
    """A suite, and the part of it that each arm is measured on."""

    name: _Text
    """The suite's name, or the path of its folder."""
    images: int | None = Field(default=None, ge=2)
    """How many images, chosen by a fixed permutation; all where it is not given."""
    severities: tuple[int, ...] | None = None
    """Which severities or levels; all where it is not given, and with fewer there is no CE or mCE."""
    epsilons: tuple[str, ...] | None = None
    """Budgets in place of the suite's, such as ``"8/255"``."""
    attacked_timesteps: tuple[int, ...] | None = None
    """Which timesteps are attacked by themselves; all where it is not given."""
    arms: tuple[str, ...] | None = None
    """Which arms are measured on it; all where it is not given."""
    training_seeds: tuple[int, ...] | None = None
    """Which of the study's seeds; all where it is not given."""

    @property
    def label(self) -> str:
        """What it is called in runs and tables: its name, or that of its folder."""
        return Path(self.name).name


class QuestionTable(Definition):
    """A question, with all that decides its answer."""

    name: _Text
    """A short name, for tables."""
    question: _Text
    """In one sentence."""
    hypothesis: _Text
    """What is expected, written before."""
    suite: _Text
    """The suite whose conditions are pooled."""
    measure: Measure = "accuracy"
    """``accuracy``; ``standing``: the share of images that no image made by any attack at any attacked timestep
    breaks, pooled over ε; ``nll``: minus the logarithm of the label's probability; ``ece``: the expected calibration
    error of all answers under the conditions together, less what chance adds to it; ``distance``: the correlation
    distance of the last PCoder's representation to that of the clean image at t = 0."""
    conditions: tuple[str, ...] | None = None
    """The corruptions, noises or attacks that are pooled; all of the suite where it is not given."""
    timestep: int | None = Field(default=None, ge=1)
    """T, where it is not the study's."""
    margin: _Positive = 0.01
    """A difference is called none where its interval lies within this, in units of the measure (0.01 of accuracy is
    one percentage point)."""
    primary: bool = False
    """Whether its comparisons are corrected for together, and confirmed or not; all others are exploratory."""
    against: tuple[str, ...] = (BEGINNING,)
    """What the network at T is compared with in a primary question: ``"t = 0"`` and arms."""

    @property
    def suite_label(self) -> str:
        """What its suite is called in runs and tables."""
        return Path(self.suite).name


class StudyTraining(Definition):
    """How the predictors of each training seed are made; options of `pcbench train`."""

    images: int | None = Field(default=None, ge=1)
    method: Literal["ridge", "descent", "reference"] | None = None
    epochs: int | None = Field(default=None, ge=1)


class TuningTable(Definition):
    """How every arm is tuned: the same images, objective, budget and starts; options of `pcbench tune`."""

    objective: str = "noise"
    noise: tuple[float, ...] | None = None
    images: int = Field(default=1000, ge=1)
    rounds: int | None = Field(default=None, ge=1)
    seed: _Seed = 0


class ArmTable(Definition):
    """What an arm needs besides its name."""

    width: _Positive = 1.0
    """Of the blur of ``smoothed``, in cells."""
    model: str | None = None
    """The zoo network of ``deeper``."""
    widths: tuple[_Positive, ...] = (0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8)
    """Among which the width of ``input-blur`` is tuned, in pixels, and which its curve shows."""


class StudyTable(Definition):
    """A whole file."""

    study_version: Literal[2]
    title: _Text
    model: _Text
    """A model of the zoo, or module:function."""
    data: _Text
    """The images: a data source, without a folder where the command names that."""
    timesteps: int = Field(ge=1, le=MOST_TIMESTEPS)
    """T."""
    training_seeds: tuple[_Seed, ...] = Field(min_length=1)
    """Each draws the predictors' training images and initialisation, and the batches of the tuning."""
    seen_before: _Text
    """What of these images' results had been looked at before the file was written."""
    arms: tuple[str, ...] = (NETWORK, PLAIN_NETWORK)
    training: StudyTraining = StudyTraining()
    tuning: TuningTable = TuningTable()
    arm: Mapping[str, ArmTable] = Field(default_factory=dict)
    suites: tuple[SuiteTable, ...] = Field(min_length=1)
    questions: tuple[QuestionTable, ...] = Field(min_length=1)

    def of_arm(self, name: str) -> ArmTable:
        """Return what an arm needs besides its name."""
        return self.arm.get(name, ArmTable())


@dataclass(frozen=True)
class StudyFile:
    """A study as its file states it."""

    path: Path
    table: StudyTable
    sha256: str
    """Hash of the file's bytes, which every result carries."""

    def suite(self, name: str) -> SuiteTable:
        """Return what is said of a suite."""
        return next(suite for suite in self.table.suites if suite.name == name)

    def arms_of(self, suite: SuiteTable) -> tuple[str, ...]:
        """Return the arms that are measured on a suite."""
        return self.table.arms if suite.arms is None else suite.arms

    def seeds_of(self, suite: SuiteTable) -> tuple[int, ...]:
        """Return the training seeds that are measured on a suite."""
        return self.table.training_seeds if suite.training_seeds is None else suite.training_seeds

    def timestep_of(self, question: QuestionTable) -> int:
        """Return the T of a question."""
        return question.timestep or self.table.timesteps


def read_study(path: Path) -> StudyFile:
    """Read the file of a study.

    Raises:
        DefinitionError: It is missing or broken, holds an unknown key, contradicts itself, or asks of a suite what
            it does not have.
        UnknownNameError: There is no arm, suite or condition of a name.
    """
    table = load_definition(StudyTable, path)
    study = StudyFile(path, table, hashlib.sha256(read_bytes(path)).hexdigest())
    _check(study)
    try:
        check_suites(table)
    except UsageError as error:  # of an option of a run, which the file gives
        raise DefinitionError(path, str(error)) from error
    return study


def _check(study: StudyFile) -> None:
    table = study.table
    _check_arms(study)
    _refuse_twice(study, "suites", [suite.label for suite in table.suites])
    _refuse_twice(study, "questions", [question.name for question in table.questions])
    _refuse_twice(study, "training_seeds", [str(seed) for seed in table.training_seeds])
    for suite in table.suites:
        strange = set(study.seeds_of(suite)) - set(table.training_seeds)
        if strange:
            raise DefinitionError(study.path, f"suites: {suite.name}: seed {min(strange)} is not in training_seeds")
        if NETWORK not in study.arms_of(suite):
            raise DefinitionError(study.path, f"suites: {suite.name}: every comparison is with {NETWORK!r}; add it")
    for question in table.questions:
        _check_question(study, question)


def _check_arms(study: StudyFile) -> None:
    table = study.table
    named = [name for suite in table.suites for name in suite.arms or ()]
    for name in (*table.arms, *table.arm, *named):
        if name not in ARMS:
            raise UnknownNameError("arm", name, ARMS)
    for name in (*named, *table.arm):
        if name not in table.arms:
            raise DefinitionError(study.path, f"arms: {name!r} is used, but not in the list `arms`; add it")
    if "deeper" in table.arms and table.of_arm("deeper").model is None:
        raise DefinitionError(study.path, "arms: 'deeper' needs another network: give model in [arm.deeper]")


def _check_question(study: StudyFile, question: QuestionTable) -> None:
    where = f"questions: {question.name}"
    known = [suite.name for suite in study.table.suites]
    if question.suite not in known:
        raise DefinitionError(study.path, f"{where}: suite {question.suite!r} is not among {', '.join(known)}")
    if study.timestep_of(question) > study.table.timesteps:
        raise DefinitionError(
            study.path, f"{where}: timestep {question.timestep} is after the study's T, {study.table.timesteps}"
        )
    measured = study.arms_of(study.suite(question.suite))
    for name in question.against:
        if name != BEGINNING and name not in measured:
            raise DefinitionError(
                study.path,
                f"{where}: against {name!r}: it is '{BEGINNING}' or an arm of the suite ({', '.join(measured)})",
            )


def _refuse_twice(study: StudyFile, key: str, values: list[str]) -> None:
    twice = next((value for value in values if values.count(value) > 1), None)
    if twice is not None:
        raise DefinitionError(study.path, f"{key}: {twice} is there twice")
