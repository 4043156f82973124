"""The accuracy of each arm under each single condition: a level of noise, or a corruption at a severity."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pcbench.metrics.rates import Floats
from pcbench.metrics.two_way import two_way
from pcbench.results.conditions import CORRUPTED
from pcbench.results.directory import open_run
from pcbench.studies.arms import ARMS, BLUR, NETWORK, PLAIN_NETWORK, run_name
from pcbench.studies.steps import RUNS, curve_arm, curve_suites
from pcbench.studies.study_file import StudyFile, SuiteTable

_CONDITION = ["kind", "name", "severity", "epsilon"]
_KINDS = ("clean", *CORRUPTED)


@dataclass(frozen=True)
class _Measured:
    """What an arm's runs of one suite say: of each condition, the answers at t = 0 and at its last t."""

    answers: dict[tuple[Any, ...], tuple[Floats, Floats]]
    """(training seeds, images) each: whether the answer is right."""
    timestep: int
    """The last t."""


def condition_rows(study: StudyFile, out: Path) -> Iterator[dict[str, Any]]:
    """Yield one row for each suite, arm and condition of clean, noisy or corrupted images.

    `change` is the accuracy at the arm's last t minus that of the network at t = 0, which is the plain network, on the
    same images and training seeds. Each width of the curve of blurs is a row, too, named with its width.

    Raises:
        DataError: A run is missing or damaged.
    """
    for suite in study.table.suites:
        network = _measured(_folders(study, suite, NETWORK, out))
        for arm in study.arms_of(suite):
            own = network if arm == PLAIN_NETWORK else _measured(_folders(study, suite, arm, out))
            seeds = study.seeds_of(suite, arm)
            rows = [number for number, seed in enumerate(study.seeds_of(suite)) if seed in seeds]
            timestep = 0 if ARMS[arm].timeless else own.timestep
            yield from _rows(suite, arm, own, network, rows, timestep)
        if BLUR in study.table.arms and suite in curve_suites(study):
            yield from _blurred_rows(study, suite, network, out)


def _blurred_rows(study: StudyFile, suite: SuiteTable, network: _Measured, out: Path) -> Iterator[dict[str, Any]]:
    for width in study.table.of_arm(BLUR).widths:
        if study.has_run(suite, curve_arm(width), None):
            own = _measured([out / RUNS / suite.label / curve_arm(width)])
            yield from _rows(suite, f"{BLUR} of {width:g} px", own, network, [0], 0)


def _folders(study: StudyFile, suite: SuiteTable, arm: str, out: Path) -> list[Path]:
    seeds: Sequence[int | None] = (None,) if arm == "deeper" else study.seeds_of(suite, arm)
    return [out / RUNS / suite.label / run_name(arm, seed) for seed in seeds]


def _measured(folders: Sequence[Path]) -> _Measured:
    """Return what runs of the same images and conditions say, one a training seed."""
    found: dict[tuple[Any, ...], list[tuple[Floats, Floats]]] = {}
    last = 0
    for folder in folders:
        rows = open_run(folder, verify=False).outcomes(folder.parent.name)
        rows = rows[rows["kind"].isin(list(_KINDS))]
        last = int(rows["timestep"].max()) if len(rows) else 0
        for key, each in rows.groupby(_CONDITION, observed=True, dropna=False):
            table = each.pivot_table(index="image_id", columns="timestep", values="correct", observed=True)
            answers = table.to_numpy(dtype=np.float64)
            # NaN is not equal to itself, so that it can't be part of a key.
            named = tuple(None if isinstance(part, float) and math.isnan(part) else part for part in key)
            found.setdefault(named, []).append((answers[:, 0], answers[:, -1]))
    stacked = {key: (np.stack([one[0] for one in of]), np.stack([one[1] for one in of])) for key, of in found.items()}
    return _Measured(stacked, last)


def _rows(
    suite: SuiteTable, arm: str, own: _Measured, network: _Measured, seeds: Sequence[int], timestep: int
) -> Iterator[dict[str, Any]]:
    """Yield the rows of an arm; `seeds` are the rows of the network's answers that belong to its own."""
    for (kind, name, severity, level), (first, last) in own.answers.items():
        value = last if timestep else first
        start = network.answers[kind, name, severity, level][0][list(seeds) or [0]]
        found = two_way(value - start)
        itself = arm == PLAIN_NETWORK
        yield {
            "suite": suite.label,
            "arm": arm,
            "condition": kind,
            "name": name,
            "severity": severity,
            "noise": level,
            "timestep": timestep,
            "accuracy_at_start": float(start.mean()),
            "accuracy": float(value.mean()),
            "change": found.value,
            "ci_low": 0.0 if itself else found.low,  # the same answers: no change, whatever the images
            "ci_high": 0.0 if itself else found.high,
            "images": found.images,
            "training_seeds": len(value),
        }
