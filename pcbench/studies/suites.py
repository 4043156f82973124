"""What a study asks of its suites is checked when its file is read: a run would refuse it hours later."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from pcbench.attacks.definitions import AttackSuite
from pcbench.catalog import suite_folder
from pcbench.corruptions.definitions import CorruptionSuite
from pcbench.corruptions.input_noise import input_noise_level
from pcbench.errors import UnknownNameError, UsageError
from pcbench.harness.choices import refuse_absent
from pcbench.harness.suites import fitting_folder, read_definition
from pcbench.norms import parse_epsilons
from pcbench.training.options import OBJECTIVES, OF_SUITE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pcbench.data.image_source import ImageSource
    from pcbench.studies.study_file import QuestionTable, StudyTable, SuiteTable


def check_suites(table: StudyTable) -> None:
    """Refuse suites, conditions and an objective that do not exist, and measures that a suite does not give.

    Raises:
        UsageError: There are some; of them DefinitionError where a suite's own files are broken.
    """
    definitions = {suite.name: read_definition(*suite_folder(suite.name)) for suite in table.suites}
    for suite in table.suites:
        _check_part(suite, definitions[suite.name], table.timesteps)
    for question in table.questions:
        of_suite = next(suite for suite in table.suites if suite.name == question.suite)
        _check_measure(question, definitions[question.suite])
        if question.measure == "standing":
            _check_attacked(question, of_suite, question.timestep or table.timesteps)
    _check_objective(table.tuning.objective, given=table.tuning.noise is not None)


@functools.cache
def of_representations(name: str) -> bool:
    """Return whether a suite measures representations.

    Raises:
        UnknownNameError: There is no such suite.
        DefinitionError: Its files are broken.
    """
    definition = read_definition(*suite_folder(name))
    return isinstance(definition, CorruptionSuite) and definition.applied_to == "representations"


def noise_levels(table: StudyTable, source: ImageSource) -> dict[str, tuple[float, ...]]:
    """Return the levels of noise that a study measures, by suite: standard deviations on e_0 for Gaussian noise.

    Which levels a severity stands for depends on the size of the images.

    Args:
        table: The study.
        source: The measured images, in their own size.
    """
    found: dict[str, tuple[float, ...]] = {}
    for suite in table.suites:
        kind, folder = suite_folder(suite.name)
        definition = read_definition(kind, fitting_folder(suite.name, folder, source))
        if isinstance(definition, CorruptionSuite) and definition.applied_to != "pixels":
            levels = {
                input_noise_level(corruption, severity)
                for corruption in definition.corruptions
                for severity in corruption.measured(suite.severities)
            }
            found[suite.label] = tuple(sorted(levels))
    return found


def far_apart(tuned: Sequence[float], measured: Sequence[float]) -> bool:
    """Return whether all measured levels lie on one side of all that arms are tuned for."""
    return bool(tuned and measured) and (max(measured) < min(tuned) or min(measured) > max(tuned))


def _check_part(suite: SuiteTable, definition: CorruptionSuite | AttackSuite, last: int) -> None:
    attacks = isinstance(definition, AttackSuite)
    unused = ("severities",) if attacks else ("epsilons", "attacked_timesteps")
    for name in unused:
        if getattr(suite, name) is not None:
            what = "attacks" if attacks else "corrupts"
            raise UsageError(f"suites: {suite.name}: {name}: this suite {what}, and has none; leave it out")
    for name in ("severities", "epsilons", "attacked_timesteps"):
        if getattr(suite, name) == ():
            raise UsageError(f"suites: {suite.name}: {name}: name some, or leave it out for all")
    if suite.epsilons is not None:
        parse_epsilons(suite.epsilons)
    try:
        refuse_absent(suite, last, [definition])
    except UsageError as error:
        raise UsageError(f"suites: {suite.name}: {error}") from error


def _check_measure(question: QuestionTable, definition: CorruptionSuite | AttackSuite) -> None:
    where = f"questions: {question.name}"
    if isinstance(definition, AttackSuite):
        fitting, known = ("standing",), [attack.name for attack in definition.attacks]
    else:
        inner = definition.applied_to == "representations"
        fitting = ("distance",) if inner else ("accuracy", "nll", "ece")
        known = [corruption.name for corruption in definition.corruptions]
    if question.measure not in fitting:
        raise UsageError(
            f"{where}: {question.suite} does not give the measure {question.measure!r}, but {' and '.join(fitting)}"
        )
    if question.measure == "distance" and question.conditions is not None:
        raise UsageError(f"{where}: conditions: a distance is over all of {question.suite}; leave them out")
    for name in question.conditions or ():
        if name not in known:
            raise UnknownNameError(f"condition in {question.suite}", name, known)


def _check_attacked(question: QuestionTable, suite: SuiteTable, last: int) -> None:
    """Refuse a comparison with images that were never made against the compared timesteps themselves."""
    absent = {0, last}.difference(suite.attacked_timesteps or (0, last))
    if absent:
        raise UsageError(
            f"suites: {suite.name}: attacked_timesteps: the question {question.name!r} compares t = {last} with t = 0, "
            f"and t = {min(absent)} is not attacked by itself; add it"
        )


def _check_objective(objective: str, *, given: bool) -> None:
    where = "tuning: objective"
    if objective.startswith(OF_SUITE):
        suite_folder(objective.removeprefix(OF_SUITE))
    elif objective not in OBJECTIVES:
        raise UnknownNameError(where, objective, [*OBJECTIVES, f"{OF_SUITE}NAME"])
    if given and objective != "noise":
        raise UsageError(f"{where}: noise names levels for the objective 'noise', not for {objective!r}; leave it out")
