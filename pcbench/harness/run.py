"""Run suites on a network and leave a folder of results."""

from __future__ import annotations

import dataclasses
import datetime as dt
import logging
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
from rich.console import Console

from pcbench.harness.attack_suites import attack_units
from pcbench.harness.corruption_suites import corruption_units
from pcbench.harness.divergence import watch_growth
from pcbench.harness.evidence import write_checks
from pcbench.harness.examples import write_examples
from pcbench.harness.manifold import manifold_units
from pcbench.harness.plan import Plan, make_plan
from pcbench.harness.progress import RunProgress
from pcbench.harness.request import Request, request_from
from pcbench.harness.saved_suites import saved_units
from pcbench.harness.sparing import sparing
from pcbench.harness.work import Unit
from pcbench.metrics.summary import summarise_folder, summarise_representations
from pcbench.metrics.transfer import transfer_rows
from pcbench.reports.report import write_report
from pcbench.results.directory import MANIFEST, Run, Workspace, begin, open_run
from pcbench.results.environment import machine
from pcbench.results.metrics_table import metrics_table, write_metrics
from pcbench.results.schema import write_outcomes, write_representations

logger = logging.getLogger("pcbench")

DEFAULT_FOLDER = Path("results") / "runs"


def run(model: Any = "pdigits", suites: tuple[str, ...] | list[str] = (), **options: Any) -> Run:
    """Measure how robust a network is at every timestep.

    Args:
        model: A zoo name, ``"module:function"``, or a `torch.nn.Module` that gives logits (batch, classes) or
            (T + 1, batch, classes) for images in [0,1].
        suites: Names of suites, or folders of suites of your own.
        **options: See `pcbench.harness.request.Request`: `data`, `images`, `timesteps`, `seed`, `out`, ….

    Returns:
        The finished run; `run.metrics` is a pandas DataFrame, `run.folder` holds everything.

    Raises:
        UsageError: Something asked for cannot be done; nothing was computed.
        RunError: The run failed on the way; what was finished is kept and taken up again.
    """
    return run_request(request_from({"model": model, "suites": tuple(suites), **options}))


def run_request(request: Request) -> Run:
    """Do what a request asks for; see `run`."""
    plan = make_plan(request)
    final = Path(request.out) if request.out is not None else DEFAULT_FOLDER / plan.spec.name()
    if not request.again and (final / MANIFEST).is_file() and open_run(final, verify=False).key == plan.spec.key():
        return _reported(open_run(final))
    workspace = begin(final, plan.spec, again=request.again)
    started = dt.datetime.now(dt.UTC)
    clock = time.monotonic()
    growth = watch_growth(plan.subject, plan.suites[0].source, plan.timesteps, plan.batch_size)
    waited = _compute(plan, workspace)
    checks = write_checks(plan, workspace.folder) if plan.checks else []
    _summarise(plan, workspace, checks)
    write_examples(plan, workspace.folder)
    spared = sparing(workspace.folder / "outcomes") if plan.request.bracketing and _sweeps(plan) else None
    notes = [None if growth is None else growth.sentence, None if spared is None else spared.sentence]
    finished = workspace.finish(
        {
            "started": started.isoformat(timespec="seconds"),
            "seconds": round(time.monotonic() - clock, 1),
            "waited_for_images": waited,
            "machine": machine(),
            "growth": None if growth is None else dataclasses.asdict(growth),
            "spared": None if spared is None else dataclasses.asdict(spared),
            "notes": [note for note in notes if note is not None],
        }
    )
    return _reported(finished)


def _sweeps(plan: Plan) -> bool:
    return any(suite.kind == "attacks" for suite in plan.suites)


def _reported(finished: Run) -> Run:
    """Make the report of a finished run where it is not there, as after a stop between the two."""
    folder = finished.folder / "report"
    if not (folder / "index.html").is_file():
        write_report([finished], folder)
    return finished


def _units(plan: Plan, folder: Path) -> list[Unit]:
    units: list[Unit] = []
    for suite in plan.suites:
        if suite.kind == "attacks":
            units.extend(attack_units(plan, suite, folder))
        elif suite.kind == "saved":
            units.extend(saved_units(plan, suite, folder))
        elif suite.definition.applied_to == "representations":
            units.extend(manifold_units(plan, suite))
        else:
            units.extend(corruption_units(plan, suite))
    return units


def _compute(plan: Plan, workspace: Workspace) -> float | None:
    """Do all the work that is not done yet; return the share of the time that the network waited for images."""
    units = _units(plan, workspace.folder)
    console = Console(file=sys.stderr) if plan.request.progress else None
    with RunProgress(workspace.folder, len(units), sum(unit.passes for unit in units), console) as progress:
        for unit in units:
            path = workspace.folder / unit.table / f"{unit.path}.parquet"
            if path.is_file():
                progress.skip(unit.passes)
                continue
            with progress.unit(unit.title, unit.passes):
                _write(unit, unit.compute(progress), path)
    if progress.waited_share is not None:
        logger.info("the network waited for images %.0f %% of the time", 100 * progress.waited_share)
    return progress.waited_share


def _write(unit: Unit, table: pa.Table, path: Path) -> None:
    if unit.table == "outcomes":
        write_outcomes(table, path)
    else:
        write_representations(table, path)


def _summarise(plan: Plan, workspace: Workspace, checks: list[dict[str, Any]]) -> None:
    baselines = {
        suite.definition.name: suite.definition.baseline
        for suite in plan.suites
        if suite.kind == "corruptions" and suite.definition.baseline is not None
    }
    model = str(plan.spec.model["name"])
    table = summarise_folder(
        workspace.folder / "outcomes",
        model=model,
        baselines=baselines,
        subsets=[suite.name for suite in plan.spec.suites if suite.subset],
    )
    measured = workspace.folder / "representations"
    if measured.is_dir():
        table = pd.concat([table, summarise_representations(measured, model=model)], ignore_index=True)
    if checks:
        transfer = metrics_table([{"model": model, **row} for row in transfer_rows(checks)])
        table = pd.concat([table, transfer], ignore_index=True)
    write_metrics(table, workspace.folder)
