"""What the checks of a study's attacks found: one row for each sign, attacked timestep and training seed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pcbench.results.verdicts import ShownComparison, read_verdicts
from pcbench.studies.arms import NETWORK, PLAIN_NETWORK, run_name
from pcbench.studies.steps import RUNS
from pcbench.studies.study_file import StudyFile


def evidence_rows(study: StudyFile, out: Path) -> Iterator[dict[str, Any]]:
    """Yield each comparison of an attack with a rival that a sound attack does not lose to.

    The plain network is the network at t = 0, whose rows stand for it.

    Raises:
        DataError: `checks.json` of a run is damaged.
    """
    for suite in study.table.suites:
        for arm in study.arms_of(suite):
            if arm == PLAIN_NETWORK and NETWORK in study.arms_of(suite):
                continue
            for seed in (None,) if arm == "deeper" else study.seeds_of(suite, arm):
                for found in read_verdicts(out / RUNS / suite.label / run_name(arm, seed)):
                    shared = {
                        "suite": suite.label,
                        "arm": arm,
                        "training_seed": seed,
                        "timestep": found.timestep,
                        "verdict": found.verdict,
                        "form": found.form,
                        "reasons": "; ".join(found.reasons),
                        "attack": found.attack,
                        "norm": found.norm or "",
                    }
                    for one in (*found.comparisons, *found.shown):
                        yield {**shared, **_compared(one)}


def _compared(one: ShownComparison) -> dict[str, Any]:
    return {
        "sign": one.sign,
        "epsilon": one.epsilon,
        "n": one.n,
        "attack_rate": one.judged_rate,
        "rival_rate": one.rival_rate,
        "p": one.p_value,
    }
