"""The folder of a run: written under another name until it is whole, checked when it is read.

    <folder>/manifest.json       the RunSpec as resolved, its key, versions, times, a hash of every file
    <folder>/outcomes/<suite>/   Parquet, one row an image x condition x timestep
    <folder>/representations/    likewise, where a suite measures the network's inner states
    <folder>/metrics.parquet     the tidy table of numbers, and the same as metrics.csv
    <folder>/report/             figures and the page

While a run is under way its folder is called `<folder>.partial`; a run that was stopped goes on from there.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from pydantic import ValidationError

from pcbench.errors import DataError, UsageError
from pcbench.results.run_spec import RunSpec
from pcbench.results.schema import REPRESENTATIONS, read_outcomes, read_representations

if TYPE_CHECKING:
    import pandas as pd

MANIFEST_VERSION = 1
MANIFEST = "manifest.json"
PROGRESS = "progress.json"
_SPEC = "run_spec.json"


@dataclasses.dataclass(frozen=True)
class Workspace:
    """The unfinished folder of a run.

    Attributes:
        final: The name that the folder gets when the run is whole.
        spec: What is being run.
    """

    final: Path
    spec: RunSpec

    @property
    def folder(self) -> Path:
        """The folder that is written to."""
        return partial_folder(self.final)

    def finish(self, manifest: Mapping[str, Any]) -> Run:
        """Write the manifest with a hash of every file, and give the folder its name."""
        for leftover in (PROGRESS, _SPEC):
            (self.folder / leftover).unlink(missing_ok=True)
        files = {path.relative_to(self.folder).as_posix(): file_hash(path) for path in _files(self.folder)}
        content = {
            "manifest_version": MANIFEST_VERSION,
            "key": self.spec.key(),
            "spec": self.spec.model_dump(mode="json"),
            **manifest,
            "files": files,
        }
        write_json(self.folder / MANIFEST, content)
        if self.final.exists():
            shutil.rmtree(self.final)
        self.folder.replace(self.final)
        return open_run(self.final)


def partial_folder(final: Path) -> Path:
    """Return what a run's folder is called while the run is under way."""
    return final.with_name(final.name + ".partial")


def begin(final: Path, spec: RunSpec, *, again: bool) -> Workspace:
    """Make, or take up again, the unfinished folder of a run.

    Args:
        final: The folder the run shall end in.
        spec: What is run. Work left over from a stopped run of the same key is kept.
        again: Compute anew even where work is left over or `final` holds a finished run.

    Raises:
        UsageError: The folder cannot be written, or `final` holds something else.
    """
    space = Workspace(final, spec)
    _refuse_foreign(final, spec, again)
    try:
        if space.folder.exists() and (again or _left_key(space.folder) != spec.key()):
            shutil.rmtree(space.folder)
        space.folder.mkdir(parents=True, exist_ok=True)
        (space.folder / _SPEC).write_text(spec.model_dump_json(indent=1), encoding="utf-8")
    except OSError as error:
        raise UsageError(
            f"the folder {space.folder} cannot be written ({error.strerror}); give another with --out"
        ) from error
    return space


def _refuse_foreign(final: Path, spec: RunSpec, again: bool) -> None:
    if not final.exists() or (final.is_dir() and not any(final.iterdir())):
        return
    if not (final / MANIFEST).is_file():
        raise UsageError(f"{final} exists and is no run of pcbench; give another folder with --out")
    if not again and open_run(final, verify=False).key != spec.key():
        raise UsageError(f"{final} holds another run; give another folder with --out, or --again to replace it")


def _left_key(folder: Path) -> str | None:
    try:
        return RunSpec.model_validate_json((folder / _SPEC).read_text(encoding="utf-8")).key()
    except (OSError, ValidationError):
        return None


@dataclasses.dataclass(frozen=True)
class Run:
    """A finished run.

    Attributes:
        folder: Where it lies.
        spec: What was run.
        manifest: The whole manifest: versions, times, notes, hashes of the files.
    """

    folder: Path
    spec: RunSpec
    manifest: dict[str, Any]

    @property
    def key(self) -> str:
        """The key of the run: it differs whenever anything that can change a number does."""
        return str(self.manifest["key"])

    @property
    def metrics(self) -> pd.DataFrame:
        """The tidy table of numbers, one a row (the columns are those of `metrics.csv`).

        Raises:
            DataError: The file is damaged or of an unknown version.
        """
        from pcbench.results.metrics_table import read_metrics  # pandas is slow to import

        return read_metrics(self.folder / "metrics.parquet")

    def outcome_files(self, suite: str | None = None) -> list[Path]:
        """Return the Parquet files with one row an image x condition x timestep, of one suite or of all."""
        return sorted((self.folder / "outcomes").glob(f"{suite or '*'}/*.parquet"))

    def outcomes(self, suite: str | None = None) -> pd.DataFrame:
        """Return one row an image x condition x timestep, of one suite or of all."""
        tables = [read_outcomes(path) for path in self.outcome_files(suite)]
        table: pd.DataFrame = pa.concat_tables(tables).unify_dictionaries().to_pandas()
        return table

    def representations(self) -> pd.DataFrame:
        """Return one row an image x noise x timestep x metric x PCoder; no rows where nothing measured them."""
        files = sorted((self.folder / "representations").glob("*/*.parquet"))
        tables = [read_representations(path) for path in files] or [REPRESENTATIONS.empty_table()]
        table: pd.DataFrame = pa.concat_tables(tables).unify_dictionaries().to_pandas()
        return table

    def __repr__(self) -> str:
        suites = ", ".join(suite.name for suite in self.spec.suites)
        return f"Run({self.spec.model['name']} on {suites}, key {self.key}, in {str(self.folder)!r})"


def open_run(folder: Path | str, *, verify: bool = True) -> Run:
    """Open a finished run.

    Args:
        folder: The run's folder.
        verify: Whether to compare every file with its hash in the manifest.

    Raises:
        UsageError: The folder holds no finished run.
        DataError: The manifest or one of the files is damaged or of an unknown version.
    """
    folder = Path(folder)
    if not (folder / MANIFEST).is_file():
        unfinished = folder.name.endswith(".partial") or partial_folder(folder).is_dir()
        state = "an unfinished run: start it again to go on" if unfinished else "no run of pcbench (no manifest.json)"
        raise UsageError(f"{folder} is {state}")
    try:
        manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        version = manifest["manifest_version"]
        if version != MANIFEST_VERSION:
            raise DataError(
                f"{folder}: a run of version {version}, this pcbench reads {MANIFEST_VERSION}; run it again"
            )
        spec = RunSpec.model_validate_json(json.dumps(manifest["spec"]))
        files: dict[str, str] = manifest["files"]
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{folder / MANIFEST}: damaged ({type(error).__name__}); run it anew with --again") from error
    if verify:
        for name, digest in files.items():
            if not (folder / name).is_file() or file_hash(folder / name) != digest:
                raise DataError(f"{folder / name}: missing or changed since the run; run it anew with --again")
    return Run(folder, spec, manifest)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON file that has its name only once it is whole."""
    unfinished = path.with_name(path.name + ".partial")
    unfinished.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    unfinished.replace(path)


def file_hash(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _files(folder: Path) -> list[Path]:
    found = [Path(root) / name for root, _, names in os.walk(folder) for name in names]
    return sorted(path for path in found if "report" not in path.relative_to(folder).parts)
