"""The baseline that the tables of a finished run make, and its file."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from pcbench.corruptions.definitions import Baseline
from pcbench.errors import DataError, UsageError
from pcbench.files import is_file, try_folder, write
from pcbench.results.directory import Run, alone
from pcbench.results.divisor import images_of
from pcbench.results.run_spec import SuiteSpec
from pcbench.results.schema import read_table

_IMAGES = "images.parquet"


@dataclasses.dataclass(frozen=True)
class MadeBaseline:
    """A baseline and the suite that it is for."""

    suite: str
    """The suite's name."""
    baseline: Baseline
    """Its errors and the images they are of."""


def baseline_of(run: Run, suite: str | None = None, timestep: int | None = None) -> MadeBaseline:
    """Take a baseline from the tables of a finished run.

    Args:
        run: The run.
        suite: One of its suites of corruptions; it may be left out where there is only one.
        timestep: The errors at which timestep; None means the first, the feedforward network.

    Raises:
        UsageError: The run has no such suite or timestep, or its images are not corrupted ones.
        DataError: Results are missing, or the network makes no error under a corruption.
    """
    chosen = _chosen(alone(run), suite)
    metrics = run.metrics
    rows = metrics[(metrics["suite"] == chosen.name) & (metrics["metric"] == "error")]
    if not (rows["kind"] == "corruption").any():
        raise UsageError(
            f"{run.folder}: {chosen.name} changes the network's input, not images, so it does not have a baseline"
        )
    _refuse_incomplete(run, chosen)
    timesteps = sorted({int(t) for t in rows["timestep"]})
    at = timesteps[0] if timestep is None else timestep
    if at not in timesteps:
        known = " to ".join(dict.fromkeys((str(timesteps[0]), str(timesteps[-1]))))
        raise UsageError(f"{run.folder}: does not have t = {at}; it has t = {known}")
    rows = rows[rows["timestep"] == at]
    network = str(run.spec.model["name"]) + (f" at t = {at}" if len(timesteps) > 1 else "")
    images = images_of(chosen, run.spec, read_table(run.folder / _IMAGES, "images"))
    day = str(run.manifest.get("started", ""))[:10] or "an unknown day"
    which = f"{images.count} images of {images.name}, {day}, run {run.key}"
    how = "corrupted files from disk" if images.corrupted else f"corrupted on the fly, seed {run.spec.settings.seed}"
    return MadeBaseline(
        chosen.name,
        Baseline(
            name=f"{network}, {which}",
            source=f"Top-1 errors of {network} under {chosen.name} version {chosen.version} on {which}; {how}; "
            "made by pcbench baseline",
            images=images,
            clean_error=float(rows[rows["kind"] == "clean"]["value"].iloc[0]),
            errors=_errors(rows[rows["kind"] == "corruption"], network),
        ),
    )


def write_baseline(made: MadeBaseline, path: Path) -> Path:
    """Write a baseline's file.

    Raises:
        UsageError: Files cannot be written there.
        WriteError: The file could not be written.
    """
    if not path.name or path.is_dir():
        raise UsageError(f"{path} is a folder; name a file with `out`")
    try_folder(path.parent, "give another with `out`")
    return write(path, baseline_text(made.baseline))


def baseline_text(baseline: Baseline) -> str:
    """Return the file of a baseline; numbers are written in full, so that they are read as they were."""
    images = {} if baseline.images is None else baseline.images.model_dump(exclude_none=True)
    lines = [
        *_lines({"name": baseline.name, "source": baseline.source, "clean_error": baseline.clean_error}),
        "",
        "[images]",
        *_lines(images),
        "",
        "[errors]",
        *_lines({name: list(errors or ()) for name, errors in baseline.errors.items()}),
    ]
    return "\n".join(lines) + "\n"


def _lines(table: Mapping[str, object]) -> list[str]:
    # TOML spells these values as JSON does, but for one control character; a name may hold any letter.
    texts = {name: json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f") for name, value in table.items()}
    return [f"{name} = {text.encode(errors='replace').decode()}" for name, text in texts.items()]


def _chosen(run: Run, suite: str | None) -> SuiteSpec:
    found = [one for one in run.spec.suites if one.kind == "corruptions" and suite in (None, one.name)]
    if len(found) == 1:
        return found[0]
    known = ", ".join(one.name for one in run.spec.suites if one.kind == "corruptions")
    if not known:
        raise UsageError(f"{run.folder}: has no suite of corruptions, and only corruptions have a baseline")
    if suite is None:
        raise UsageError(f"{run.folder}: has several suites of corruptions; choose one with `suite`: {known}")
    raise UsageError(f"{run.folder}: has no suite of corruptions {suite!r}; it has {known}")


def _refuse_incomplete(run: Run, suite: SuiteSpec) -> None:
    if not is_file(run.folder / _IMAGES):
        raise DataError(f"{run.folder}: was made by an earlier version, which kept no list of its images; run it again")
    if any(entry.get("suite") == suite.name for entry in run.missing):
        raise DataError(f"{run.folder}: some results of {suite.name} are missing; the command of the run computes them")


def _errors(rows: pd.DataFrame, network: str) -> dict[str, tuple[float, ...] | None]:
    errors: dict[str, tuple[float, ...] | None] = {}
    for name in dict.fromkeys(str(name) for name in rows["name"]):
        part = rows[rows["name"] == name].sort_values("severity")
        errors[name] = tuple(float(value) for value in part["value"])
    faultless = [name for name, found in errors.items() if math.fsum(found or ()) == 0]
    if faultless:
        raise DataError(
            f"{network} makes no error under {', '.join(faultless)}: corruption errors would be divided by zero; "
            "use more images, or a weaker network"
        )
    return errors
