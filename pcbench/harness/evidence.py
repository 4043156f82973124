"""The evidence that a run's attacks are honest: `checks.json`, one entry a suite and timestep."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic_core import to_json

from pcbench.attacks.checks.rivals import Victims
from pcbench.attacks.checks.verdict import checks_table, run_checks
from pcbench.harness.plan import CHECKED_IMAGES, AttackPlan, Plan, can_be_checked
from pcbench.harness.scoring import to_unit_range


def write_checks(plan: Plan, folder: Path) -> list[dict[str, Any]]:
    """Check every timestep of every attack suite that has an iterative white-box attack, and write `checks.json`.

    Returns:
        What was written: one entry a suite and timestep.
    """
    entries = [entry for suite in plan.suites if suite.kind == "attacks" for entry in _suite_checks(plan, suite)]
    unfinished = folder / "checks.json.partial"
    # A number that is none becomes null, as JSON has it.
    unfinished.write_bytes(to_json(entries, indent=1, inf_nan_mode="null", fallback=float) + b"\n")
    unfinished.replace(folder / "checks.json")
    return entries


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
