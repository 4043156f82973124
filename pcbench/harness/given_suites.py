"""The suites of what is given for a run by itself: attacks, and corruptions, by name or as objects."""

from __future__ import annotations

from collections.abc import Mapping

from pcbench.attacks.definitions import AttackSuite
from pcbench.attacks.given import suite_of_attacks
from pcbench.corruptions.definitions import CorruptionSuite
from pcbench.corruptions.given import suite_of_corruptions
from pcbench.harness.request import RunOptions


def given_definitions(request: RunOptions) -> Mapping[str, CorruptionSuite | AttackSuite]:
    """Return a suite of the corruptions, and one of the attacks, where any are given; by name.

    Raises:
        UnknownNameError, UsageError: One is no such thing, or two have one name.
    """
    found: list[CorruptionSuite | AttackSuite] = []
    if request["corruptions"]:
        found.append(suite_of_corruptions(request["corruptions"]))
    if request["attacks"]:
        found.append(suite_of_attacks(request["attacks"]))
    return {suite.name: suite for suite in found}
