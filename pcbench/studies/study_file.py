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
from pcbench.studies.arms import ARMS, NETWORK, PLAIN_NETWORK, run_name
from pcbench.studies.suites import check_suites, of_representations
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
    control_seeds: tuple[int, ...] | None = None
    """Which of these seeds for every arm but the network; all of them where it is not given."""

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
    """What the network at T is compared with in a primary question: ``"t = 0"`` and arms. Another question lists every
    arm as exploratory, whatever stands here."""

    @property
    def suite_label(self) -> str:
        """What its suite is called in runs and tables."""
        return Path(self.suite).name


class StudyTraining(Definition):
    """How the predictors of each training seed are made; options of `pcbench train`."""

    images: int | None = Field(default=None, ge=1)
    """How many images they are trained on; all of the training split where it is not given."""
    method: Literal["ridge", "descent", "reference"] | None = None
    """How they are trained; that of `pcbench train` where it is not given."""
    epochs: int | None = Field(default=None, ge=1)
    """How often each image is used; the model's own number where it is not given."""


class TuningTable(Definition):
    """How every arm is tuned: the same objective, budget and starts, and as many images; options of `pcbench tune`."""

    objective: str = "noise"
    """What is raised, such as accuracy under noise."""
    noise: tuple[float, ...] | None = None
    """Standard deviations of the noise on e_0. Without them levels are found once, for all arms and seeds: by the
    answers at t = 0 on the images that the first seed is tuned on."""
    images: int = Field(default=1000, ge=1)
    """How many images it is tuned on."""
    rounds: int | None = Field(default=None, ge=1)
    """How many rounds the search takes; those of `pcbench tune` where it is not given."""
    seed: _Seed = 0
    """That of a training's tuning is the training's added to it."""


class ArmTable(Definition):
    """What an arm needs besides its name."""

    width: _Positive = 1.0
    """Of the blur of ``smoothed``, in cells."""
    model: str | None = None
    """The zoo network of ``deeper``."""
    widths: tuple[_Positive, ...] = (0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8)
    """Among which the width of ``input-blur`` is tuned, in pixels, and which its curve shows."""
    timesteps: int | None = Field(default=None, ge=1, le=MOST_TIMESTEPS)
    """The T of ``longer``."""
    noise: tuple[_Positive, ...] | None = Field(default=None, min_length=1)
    """The standard deviations of the noise on e_0 in the training of ``denoising``."""
    training_seeds: tuple[int, ...] | None = None
    """Which of the study's seeds the arm has; all where it is not given."""


class StudyTable(Definition):
    """What a study is about, and how it is done."""

    study_version: Literal[2]
    """The version of this form of file."""
    title: _Text
    """What the page is called."""
    model: _Text
    """A predictive network: of the zoo, CONFIG.toml, CONFIG.toml@BACKBONE, or a module:function that returns one."""
    data: _Text
    """The images: a data source, without a folder where the command names that."""
    timesteps: int = Field(ge=1, le=MOST_TIMESTEPS)
    """T."""
    training_seeds: tuple[_Seed, ...] = Field(min_length=1)
    """Each draws the predictors' training images and initialisation, and the batches of the tuning."""
    seen_before: _Text
    """What of these images' results had been looked at before the file was written."""
    arms: tuple[str, ...] = (NETWORK, PLAIN_NETWORK)
    """The arms: the network, and what it is compared with."""
    training: StudyTraining = StudyTraining()
    """How predictors are trained."""
    tuning: TuningTable = TuningTable()
    """How β, λ and α are chosen."""
    arm: Mapping[str, ArmTable] = Field(default_factory=dict)
    """What an arm needs besides its name, in `[arm.NAME]`."""
    suites: tuple[SuiteTable, ...] = Field(min_length=1)
    """What is measured."""
    questions: tuple[QuestionTable, ...] = Field(min_length=1)
    """What is asked."""

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
    measured: frozenset[str] | None = None
    """The runs that are answered from, as suite/run, where the others are not finished; None for all."""

    def suite(self, name: str) -> SuiteTable:
        """Return what is said of a suite."""
        return next(suite for suite in self.table.suites if suite.name == name)

    def arms_of(self, suite: SuiteTable) -> tuple[str, ...]:
        """Return the arms that are measured on a suite: of representations, those that have time."""
        asked = self.table.arms if suite.arms is None else suite.arms
        if not of_representations(suite.name):
            return asked
        return tuple(name for name in asked if name == PLAIN_NETWORK or not ARMS[name].timeless)

    def seeds_of(self, suite: SuiteTable, arm: str = NETWORK) -> tuple[int, ...]:
        """Return the training seeds of an arm that are measured on a suite."""
        seeds = self.table.training_seeds if suite.training_seeds is None else suite.training_seeds
        of_run = NETWORK if arm == PLAIN_NETWORK else arm
        if of_run != NETWORK:
            kept = [one for one in (suite.control_seeds, self.table.of_arm(arm).training_seeds) if one is not None]
            seeds = tuple(seed for seed in seeds if all(seed in one for one in kept))
        return tuple(seed for seed in seeds if self.has_run(suite, of_run, seed))

    def has_run(self, suite: SuiteTable, arm: str, seed: int | None) -> bool:
        """Return whether a run is answered from."""
        return self.measured is None or f"{suite.label}/{run_name(arm, seed)}" in self.measured

    def seeds_of_arm(self, arm: str) -> tuple[int, ...]:
        """Return the training seeds of an arm that are measured on any suite."""
        suites = [suite for suite in self.table.suites if arm in self.arms_of(suite)]
        measured = {seed for suite in suites for seed in self.seeds_of(suite, arm)}
        return tuple(seed for seed in self.table.training_seeds if seed in measured)

    def last_timestep(self, arm: str) -> int:
        """Return the T of an arm."""
        return self.table.of_arm(arm).timesteps or self.table.timesteps

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
    try:
        for suite in table.suites:
            of_representations(suite.name)  # a suite that does not exist has no arms either
    except UsageError as error:
        raise DefinitionError(path, str(error)) from error
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
        if NETWORK not in study.arms_of(suite):
            raise DefinitionError(study.path, f"suites: {suite.name}: every comparison is with {NETWORK!r}; add it")
    _check_seeds(study)
    for question in table.questions:
        _check_question(study, question)


def _check_seeds(study: StudyFile) -> None:
    table, known = study.table, study.table.training_seeds
    named = [(f"suites: {suite.name}", suite.training_seeds, known) for suite in table.suites]
    named += [
        (f"suites: {suite.name}: control_seeds", suite.control_seeds, study.seeds_of(suite)) for suite in table.suites
    ]
    named += [(f"arm.{name}", one.training_seeds, known) for name, one in table.arm.items()]
    for where, seeds, among in named:
        strange = set(seeds or ()) - set(among)
        if strange:
            raise DefinitionError(study.path, f"{where}: seed {min(strange)} is not in training_seeds")
        if seeds == ():
            raise DefinitionError(study.path, f"{where}: name some seeds, or leave the key out for all")
    for suite in table.suites:
        for name in study.arms_of(suite):
            if not study.seeds_of(suite, name):
                raise DefinitionError(
                    study.path,
                    f"suites: {suite.name}: {name!r} has no training seed there: its own, in [arm.{name}], are others",
                )
    for name in table.arms:
        seeds = study.seeds_of_arm(name)
        if seeds and known[0] not in seeds:
            raise DefinitionError(
                study.path, f"arms: {name!r} is not measured with seed {known[0]}, the first, which arms are timed with"
            )


def _check_arms(study: StudyFile) -> None:
    table = study.table
    named = [name for suite in table.suites for name in suite.arms or ()]
    for name in (*table.arms, *table.arm, *named):
        if name not in ARMS:
            raise UnknownNameError("arm", name, ARMS)
    for name in (*named, *table.arm):
        if name not in table.arms:
            raise DefinitionError(study.path, f"arms: {name!r} is used, but not in the list `arms`; add it")
    needed = {"deeper": ("model", "another network"), "longer": ("timesteps", "a T"), "denoising": ("noise", "noise")}
    for name, (key, what) in needed.items():
        if name in table.arms and getattr(table.of_arm(name), key) is None:
            raise DefinitionError(study.path, f"arms: {name!r} needs {what}: give {key} in [arm.{name}]")
    for name, one in table.arm.items():
        if one.timesteps is not None and (name != "longer" or one.timesteps <= table.timesteps):
            raise DefinitionError(
                study.path, f"arm.{name}: timesteps: only 'longer' has its own, after the study's T, {table.timesteps}"
            )
        if one.noise is not None and name != "denoising":
            raise DefinitionError(study.path, f"arm.{name}: noise: only 'denoising' is trained with it")


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
