"""Over what a question's answers are pooled, in words: all conditions of its suite, or those that it names."""

from __future__ import annotations

import functools
from collections.abc import Sequence

from pcbench.attacks.definitions import AttackSuite
from pcbench.catalog import suite_folder
from pcbench.harness.suites import read_definition
from pcbench.names import attack_title, words
from pcbench.studies.study_file import QuestionTable, SuiteTable

_ATTACKS = "attacks"
_MOST_NAMED = 3
"""More conditions than these are counted in a sentence, since it could not be read."""


def named_conditions(question: QuestionTable) -> tuple[str, ...]:
    """Return the conditions that a question names, each once; none where they are all of its suite."""
    named = tuple(dict.fromkeys(question.conditions or ()))
    return () if set(named) == set(_known(question.suite)[1]) else named


def pooled_words(question: QuestionTable) -> str:
    """Return under what a question is asked: its suite, up to three conditions of it by name, or how many of them."""
    named = named_conditions(question)
    if not named:
        return question.suite_label
    if len(named) <= _MOST_NAMED:
        return f"{_joined(question.suite, named)} of {question.suite_label}"
    what, known = _known(question.suite)
    return f"{len(named)} of the {len(known)} {what} of {question.suite_label}"


def pooled_sentence(question: QuestionTable) -> str:
    """Return which conditions of its suite a question is about, all by name; nothing where it is about all."""
    named = named_conditions(question)
    if not named:
        return ""
    what, known = _known(question.suite)
    only = f"only {len(named)} of its {len(known)} {what} {'is' if len(named) == 1 else 'are'} pooled"
    return f"Of {question.suite_label}, {only}: {_joined(question.suite, named)}."


def attacked_sentence(timesteps: Sequence[int] | None) -> str:
    """Return which timesteps were attacked, each by itself; nothing where a question is of no attack."""
    if timesteps is None:
        return ""
    *first, last = (str(timestep) for timestep in sorted(timesteps))
    named = f"{', '.join(first)} and {last}" if first else last
    return f"Attacked, and drawn, at t = {named} alone, each arm and t by itself."


def all_pooled(suite: SuiteTable) -> str:
    """Return a suite with the number of its conditions, where it has several."""
    what, known = _known(suite.name)
    return suite.label if len(known) == 1 else f"all {len(known)} {what} of {suite.label}"


def _joined(suite: str, names: tuple[str, ...]) -> str:
    title = attack_title if _known(suite)[0] == _ATTACKS else words
    *first, last = (title(name) for name in names)
    return f"{', '.join(first)} and {last}" if first else last


@functools.cache
def _known(suite: str) -> tuple[str, tuple[str, ...]]:
    """Return what the conditions of a suite are, and their names."""
    definition = read_definition(*suite_folder(suite))
    if isinstance(definition, AttackSuite):
        return _ATTACKS, tuple(attack.name for attack in definition.attacks)
    return "corruptions", tuple(corruption.name for corruption in definition.corruptions)
