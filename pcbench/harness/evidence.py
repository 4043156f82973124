"""The evidence that a run's attacks are honest: `checks.json`, one entry a suite and timestep."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic_core import to_json

from pcbench.attacks.checks.rivals import Victims
from pcbench.attacks.checks.verdict import checks_table, judged_attack, run_checks
from pcbench.errors import UsageError
from pcbench.harness.plan import AttackPlan, Plan
from pcbench.harness.scoring import to_unit_range

# Enough to tell a broken gradient from a sound one; more only cost time.
CHECKED_IMAGES = 128


def refuse_unchecked(plan: Plan) -> None:
    """Refuse checks of a run that has nothing to check, before it starts.

    Raises:
        UsageError: No suite of the run has an attack that can be judged.
    """
    if not any(suite.kind == "attacks" and can_be_checked(suite) for suite in plan.suites):
        raise UsageError("--checks needs a suite with an untargeted iterative white-box attack, such as linf")


def write_checks(plan: Plan, folder: Path) -> None:
    """Check every timestep of every attack suite that has an iterative white-box attack, and write `checks.json`."""
    entries = [entry for suite in plan.suites if suite.kind == "attacks" for entry in _suite_checks(plan, suite)]
    unfinished = folder / "checks.json.partial"
    # A number that is none becomes null, as JSON has it.
    unfinished.write_bytes(to_json(entries, indent=1, inf_nan_mode="null", fallback=float) + b"\n")
    unfinished.replace(folder / "checks.json")


def can_be_checked(suite: AttackPlan) -> bool:
    """Tell whether a suite has an attack that the checks can judge."""
    try:
        judged_attack(suite.definition.attacks)
    except UsageError:
        return False
    return True


def _suite_checks(plan: Plan, suite: AttackPlan) -> Iterator[dict[str, Any]]:
    if not can_be_checked(suite):
        return
    source = suite.source.take(min(CHECKED_IMAGES, len(suite.source)))
    batch = next(source.batches(len(source)))
    images = to_unit_range(batch.images, plan.subject.device)
    victims = Victims(images, batch.labels.to(images.device), batch.ids, plan.request.seed)
    checks = run_checks(suite.subject, victims, suite.definition.attacks, timesteps=range(plan.timesteps + 1))
    for entry in checks_table(checks):
        yield {"suite": suite.definition.name, "images": len(source), **entry}
