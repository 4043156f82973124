"""Which code does a run's work: pcbench's own, and the libraries that it imports, with their versions."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import pcbench
from pcbench.attacks.adapters.registry import adapter_module
from pcbench.attacks.definitions import AttackSuite
from pcbench.corruptions.definitions import CorruptionSuite
from pcbench.harness.request import RunOptions
from pcbench.harness.suites import MeasuredSuite
from pcbench.models.facts import ModelFacts
from pcbench.results.environment import PARTS_CODE, code_hash, library_versions

_LATE = ("pandas", "scipy")
"""Libraries that every run uses and that are imported inside functions, since they take long to import."""


@dataclasses.dataclass(frozen=True)
class UsedCode:
    """What does the work of a run, by name."""

    modules: tuple[str, ...]
    """Modules whose imports are the libraries that the run uses."""
    libraries: tuple[str, ...]
    """Libraries that attacks name; an adapter may import its library late."""

    def versions(self) -> dict[str, str]:
        """Return the versions that are installed here, as a run's description holds them."""
        return {
            "pcbench": pcbench.__version__,
            "pcbench_code": code_hash(PARTS_CODE),
            **library_versions((*self.modules, *_LATE), libraries=self.libraries),
        }


def used_code(request: RunOptions, facts: ModelFacts, suites: Sequence[MeasuredSuite], *, checks: bool) -> UsedCode:
    """Return the code that a run uses.

    Args:
        request: What is asked for.
        facts: What is known of the network.
        suites: What is measured.
        checks: Whether evidence on gradients is collected.
    """
    found = ["pcbench.harness.context", "pcbench.harness.work.scores", *facts.modules]
    for suite in suites:
        if isinstance(suite.definition, AttackSuite):
            found.append("pcbench.harness.work.attacks")
            found += [adapter_module(attack) for attack in suite.definition.attacks]
        elif not isinstance(suite.definition, CorruptionSuite):
            found.append("pcbench.harness.work.saved")
        elif suite.published is None:
            found += [name for one in suite.definition.corruptions for name in one.at(1).data_libraries]
    if checks:
        found.append("pyautoattack")  # the rival that sees no gradient
    if request["backend"] == "reference":
        found += ["pcbench.corruptions.imagecorruptions_backend", "imagecorruptions"]
    attacks = [suite.definition for suite in suites if isinstance(suite.definition, AttackSuite)]
    return UsedCode(tuple(found), tuple(sorted({attack.library for suite in attacks for attack in suite.attacks})))
