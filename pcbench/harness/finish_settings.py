"""Making the folder of a run with several settings of hyperparameters: a run for each, and one table of all."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from pcbench.errors import DataError
from pcbench.harness.completion import Completion, Store
from pcbench.harness.grids import TOGETHER, of_setting, path_of, share_of
from pcbench.harness.plan import Plan
from pcbench.network.grid import Grid, Setting
from pcbench.results.directory import Run, is_warning, open_run, write_manifest
from pcbench.results.metrics_table import typed, write_metrics
from pcbench.results.parts import Part
from pcbench.results.schema import write_table

Make = Callable[[Plan, Path, Completion, Store], dict[str, Any]]
"""Makes the files of a run in a folder, and returns what its manifest says."""
MakeAgain = Callable[[Run, Plan, Path], dict[str, Any]]
"""Makes the tables of a run again in another folder, and returns what its manifest says."""


class _Share:
    """The parts of one setting.

    Args:
        store: Where the parts of all settings lie.
        label: The setting's.
        units: The units as they are in a run of the setting alone, by their paths.
    """

    def __init__(self, store: Store, plan: Plan, label: str) -> None:
        self._store, self._label = store, label
        self._paths = {unit.path: path_of(unit, label) for unit in plan.units}
        self.machines: dict[str, str] = {}

    def read_part(self, unit: str) -> Part:
        """Read the share of this setting in the part of a unit."""
        path = self._paths[unit]
        part = self._store.read_part(path)
        self.machines[path] = part.machine
        return share_of(part, self._label)


def make_each(plan: Plan, folder: Path, measured: Completion, store: Store, make: Make) -> dict[str, Any]:
    """Make the run of every setting in a folder of its own, and the table of all; return what the manifest says.

    Args:
        plan: What was to be done.
        folder: Receives the folders.
        measured: What only the run itself knows.
        store: Where the parts are.
        make: Makes one run.
    """
    machines: dict[str, str] = {}
    for setting in plan.spec.settings.grid.settings:
        alone = _alone(plan, setting)
        failures = [
            (dataclasses.replace(unit, setting=""), failure)
            for unit, failure in measured.failures
            if unit.work == TOGETHER or unit.setting == setting.label
        ]
        share = _Share(store, alone, setting.label)
        of_one = dataclasses.replace(measured, failures=failures)
        try:
            content = make(alone, folder / setting.label, of_one, share)
        except DataError as error:
            raise DataError(f"{setting.label}: {error}; leave this value out") from error
        _write_manifest(alone, setting, folder / setting.label, content)
        machines |= share.machines
    write_table(plan.images, folder / "images.parquet", "images")
    return {"machines": dict(sorted(Counter(machines.values()).items())), **_joined(plan, folder)}


def remake_each(found: Run, plan: Plan, folder: Path, make_again: MakeAgain) -> dict[str, Any]:
    """Make the tables of every setting again, and that of all; see `make_each`."""
    for setting in plan.spec.settings.grid.settings:
        alone, of_one = _alone(plan, setting), open_run(found.folder / setting.label, verify=False)
        content = make_again(of_one, alone, folder / setting.label)
        _write_manifest(alone, setting, folder / setting.label, content)
    write_table(plan.images, folder / "images.parquet", "images")
    return _joined(plan, folder)


def _alone(plan: Plan, setting: Setting) -> Plan:
    """Return the plan of one setting, as if it were all that is run."""
    units = tuple(of_setting(plan.units, setting.label))
    return dataclasses.replace(plan, spec=plan.spec.of_setting(setting), units=units, question=None)


def _write_manifest(plan: Plan, setting: Setting, folder: Path, content: Mapping[str, Any]) -> None:
    options = content.get("options")
    told = {} if options is None else {"options": {**options, "hyperparameters": list(setting.texts)}}
    write_manifest(folder, plan.spec, {**content, **told})


def _joined(plan: Plan, folder: Path) -> dict[str, Any]:
    """Write the table of all settings; return what the manifest says of them."""
    grid = plan.spec.settings.grid
    tables: list[pd.DataFrame] = []
    notes: dict[str, list[str]] = {}
    for setting in grid.settings:
        run = open_run(folder / setting.label, verify=False)
        tables.append(_with_values(run.metrics, grid, setting, str(plan.spec.model["name"])))
        for note in run.manifest["notes"]:
            notes.setdefault(note, []).append(setting.label)
    write_metrics(typed(pd.concat(tables, ignore_index=True), swept=grid.swept), folder)
    every = len(grid.settings)
    # What is said of one setting alone, and is no warning, stands in its own run.
    told = {note: of for note, of in notes.items() if len(of) == every or is_warning(note)}
    return {"notes": [note if len(of) == every else f"{note} ({'; '.join(of)})" for note, of in told.items()]}


def _with_values(table: pd.DataFrame, grid: Grid, setting: Setting, model: str) -> pd.DataFrame:
    """Return the table of one setting with a column for each hyperparameter that has several values."""
    told = table.assign(model=model)
    for place, name in enumerate(grid.swept, start=1):
        told.insert(place, name, setting.values[name])
    return told
