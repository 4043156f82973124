"""The folder of a finished run: what lies in it, and how it is read and checked.

    <folder>/manifest.json       the RunSpec as resolved, its key, versions, times, a hash of every file
    <folder>/locations.toml      where files were and on which host, not published and not needed to read the run
    <folder>/images.parquet      the images of the run, with a hash of each
    <folder>/outcomes/<suite>/   Parquet, one row per image x condition x timestep
    <folder>/representations/    likewise, where a suite measures the network's inner states
    <folder>/checks/             what the verdicts on the attacks' gradients were made of, and `checks.json` beside it
    <folder>/metrics.parquet     the tidy table of numbers, and the same as metrics.csv
    <folder>/report/             figures and the page, with a list of them in `.report.json`
    <folder>/<setting>/          where hyperparameters have several values: the run of each setting, such as
                                 `feedback=0.1`; metrics, report, manifest and images alone lie above them

While a run is under way its parts lie in `<folder>.partial` (`pcbench.results.workspace`).
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import json
import os
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa

from pcbench import files
from pcbench.arguments import public
from pcbench.errors import DataError, UsageError
from pcbench.escaping import printable
from pcbench.files import MARKER, UNFINISHED
from pcbench.limits.text import read_json
from pcbench.results.integrity import CHANGED, changed_sentence, changes, refuse_links_out, sealed
from pcbench.results.manifest import fault
from pcbench.results.run_spec import RunSpec, read_spec
from pcbench.results.schema import joined, read_outcomes, read_table

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

MANIFEST_VERSION = 2
READ_MANIFESTS = (1, MANIFEST_VERSION)
MANIFEST = "manifest.json"
SHARD_MANIFEST = "shard.json"
EXTRACTION_MANIFEST = "extraction.json"
MANIFESTS = (MANIFEST, SHARD_MANIFEST, EXTRACTION_MANIFEST)
"""The manifest of a finished folder has a name of its own for each kind, so that none is taken for another."""
PROGRESS = "progress.json"
FAILURE = "failure.json"
"""Why the work in an unfinished folder ended the last time, where that was an error."""
LOCATIONS = "locations.toml"
"""Where the run was made and where its files were; it is not published, so no manifest lists it."""
PAGE = "index.html"
"""The page of a report."""
REPORT = "report"
"""The folder of a run's own report."""
_WARNING = re.compile(r"[A-Z]{4,}\b")
_REPORT_LIST = ".report.json"
_FIGURE_ENDINGS = (".svg", ".pdf", ".png")


@functools.lru_cache(maxsize=2)  # a page asks for the table of the same run a dozen times
def _metrics(path: Path, swept: tuple[str, ...], state: tuple[int, ...]) -> pd.DataFrame:
    """Read a table of metrics, which is the same while its file is in the same state."""
    from pcbench.results.metrics_table import read_metrics  # pandas is slow to import

    del state
    return read_metrics(path, swept)


@dataclasses.dataclass(frozen=True)
class Run:
    """A finished run."""

    folder: Path
    """Where it lies."""
    spec: RunSpec
    """What was run."""
    manifest: dict[str, Any]
    """The whole manifest: versions, times, notes, hashes of the files."""
    found: bool = False
    """Whether it had been computed before, and was found again."""

    @property
    def key(self) -> str:
        """The key of the run: it differs whenever anything that can change a number does."""
        return str(self.manifest["key"])

    @property
    def missing(self) -> list[dict[str, Any]]:
        """What could not be computed: one entry per condition and block of images, with the reason."""
        return list(self.manifest.get("missing", []))

    @property
    def metrics(self) -> pd.DataFrame:
        """The tidy table of numbers, one per row (the columns are those of `metrics.csv`).

        Where a run has several settings of hyperparameters, each that has several values is a column after the model.

        Raises:
            DataError: The file is damaged or of an unknown version.
        """
        path = self.folder / "metrics.parquet"
        read = path.stat() if path.is_file() else None
        state = (read.st_mtime_ns, read.st_size, read.st_ino) if read is not None else ()
        return _metrics(path, self.spec.settings.grid.swept, state).copy(deep=False)  # changing it changes no other

    @property
    def setting_runs(self) -> list[Run]:
        """The run of each setting of hyperparameters, where there are several; they lie in its folder."""
        return [open_run(self.folder / label, verify=False) for label in self.spec.settings.grid.labels]

    def outcome_files(self, suite: str | None = None) -> list[Path]:
        """Return the Parquet files with one row per image x condition x timestep, of one suite or of all."""
        return sorted((self.folder / "outcomes").glob(f"{suite or '*'}/*.parquet"))

    def outcomes(self, suite: str | None = None) -> pd.DataFrame:
        """Return one row per image x condition x timestep, of one suite or of all."""
        if self.spec.settings.grid.swept:
            return self._of_settings(lambda run: run.outcomes(suite))
        tables = [read_outcomes(path) for path in self.outcome_files(suite)]
        table: pd.DataFrame = pa.concat_tables(tables).unify_dictionaries().to_pandas()
        return table

    def representations(self) -> pd.DataFrame:
        """Return one row per image x noise x timestep x metric x PCoder; no rows where nothing measured them."""
        if self.spec.settings.grid.swept:
            return self._of_settings(lambda run: run.representations())
        paths = sorted((self.folder / "representations").glob("*/*.parquet"))
        tables = [read_table(path, "representations") for path in paths]
        table: pd.DataFrame = joined(tables, "representations").to_pandas()
        return table

    @property
    def figures(self) -> list[str]:
        """The names of the run's figures, for `plot`."""
        return list(_drawing("figures").figure_names(self))

    def plot(self, name: str, *, width: Literal["column", "page"] | None = None) -> Figure:
        """Draw one figure, to go on with in matplotlib; see `pcbench.figure`.

        Args:
            name: One of `figures`, such as ``"success-by-timestep"``; the suite's name stands before it where several
                have it.
            width: 85 mm, or 175 mm; what the panels need, if not given.

        Raises:
            UnknownNameError: The run does not have this figure; the nearest is named.
        """
        found: Figure = _drawing("api").figure(self, name, width=width)
        return found

    def _repr_html_(self) -> str:
        """Return what a notebook shows."""
        return str(_drawing("notebook").run_html(self))

    def _of_settings(self, read: Callable[[Run], pd.DataFrame]) -> pd.DataFrame:
        """Return the tables of all settings as one, which begins with a column for each swept hyperparameter."""
        import pandas as pd  # slow to import

        grid = self.spec.settings.grid
        tables: list[pd.DataFrame] = []
        for setting, run in zip(grid.settings, self.setting_runs, strict=True):
            table = read(run)
            for place, name in enumerate(grid.swept):
                table.insert(place, name, setting.values[name])
            tables.append(table)
        return pd.concat(tables, ignore_index=True)

    def __repr__(self) -> str:
        suites = ", ".join(suite.name for suite in self.spec.suites)
        return f"Run({printable(str(self.spec.model['name']))} on {suites}, key {self.key}, in {str(self.folder)!r})"


def _drawing(module: str) -> Any:
    """Return what draws a run. It is made of runs and stands above them, so it is found by name when it is asked for.

    Args:
        module: Its name in `pcbench.reports`.
    """
    return importlib.import_module(f"pcbench.reports.{module}")


def incomplete_suites(missing: Iterable[Mapping[str, Any]]) -> set[str]:
    """Return the suites whose outcomes are not all there.

    Args:
        missing: What could not be computed, as `Run.missing`.
    """
    return {str(entry.get("suite")) for entry in missing if entry.get("work") in ("scores", "attacks", "saved")}


def partial_folder(final: Path) -> Path:
    """Return what a run's folder is called while the run is under way."""
    named = final if final.name else final.absolute()  # "." and "" name the folder that one is in
    return named.with_name(named.name + UNFINISHED) if named.name else named / UNFINISHED


def write_manifest(folder: Path, spec: RunSpec, content: Mapping[str, Any], name: str = MANIFEST) -> None:
    """Write the manifest of a folder whose other files are all there, with a hash of each of them.

    Args:
        folder: The folder.
        spec: What was run.
        content: What the manifest holds besides.
        name: The manifest's own name, which says what kind of folder it is.
    """
    hashes = {path.relative_to(folder).as_posix(): files.file_sha256(path) for path in _listed(folder)}
    table = {
        "manifest_version": MANIFEST_VERSION,
        "key": spec.key(),
        "spec": spec.model_dump(mode="json"),
        **content,
        "files": hashes,
    }
    write_json(folder / name, sealed(table))


@public()
def open_run(folder: Path | str, *, verify: bool = True, allow_changed: bool = False) -> Run:
    """Open a finished run.

    Args:
        folder: The run's folder.
        verify: Whether to compare every file with its hash in the manifest.
        allow_changed: Read on where files were changed, which a note of the run then says.

    Returns:
        The run: `.metrics` is a pandas DataFrame, `.outcomes(suite)` has one row an image, condition and timestep.

    Raises:
        UsageError: The folder holds no finished run.
        DataError: The manifest or one of the files is damaged, changed or of an unknown version, or a link leads out
            of the folder.
    """
    folder = Path(folder)
    if not files.is_file(folder / MANIFEST):
        unfinished = folder.name.endswith(UNFINISHED) or files.is_folder(partial_folder(folder))
        state = (
            "an unfinished run: start it again to continue"
            if unfinished
            else "not a run of pcbench (without manifest.json)"
        )
        if files.is_file(folder / EXTRACTION_MANIFEST):
            state = "an extraction, which holds no measurements: read its files with numpy or h5py"
        raise UsageError(f"{folder} is {state}")
    if not allow_changed:
        return Run(folder, *read_manifest(folder, verify=verify))
    spec, manifest = read_manifest(folder, verify=False)
    refuse_links_out(folder)
    found = changes(folder, manifest, MANIFEST)
    notes = [*manifest.get("notes", []), *([changed_sentence(found)] if found else [])]
    return Run(folder, spec, {**manifest, "notes": notes})


def is_warning(note: str) -> bool:
    """Return whether a run's note is a warning: it begins with a word in capitals, such as DIVERGING or MISSING."""
    return _WARNING.match(note) is not None


def changed_notes(run: Run) -> list[str]:
    """Return the notes that mark a run whose files were changed."""
    return [note for note in run.manifest.get("notes", []) if note.startswith(CHANGED)]


def read_manifest(folder: Path, name: str = MANIFEST, *, verify: bool = True) -> tuple[RunSpec, dict[str, Any]]:
    """Read the manifest of a finished folder.

    Args:
        folder: The folder.
        name: The manifest's name.
        verify: Whether to compare every file with its hash in the manifest.

    Returns:
        What was run, and the whole manifest.

    Raises:
        DataError: The manifest or one of the files is damaged or of an unknown version.
    """
    try:
        manifest: dict[str, Any] = read_json(folder / name)
        version = manifest["manifest_version"]
        if version not in READ_MANIFESTS:
            raise DataError(
                f"{folder}: a run of version {version}, this pcbench reads {MANIFEST_VERSION}; run it again"
            )
        reason = fault(manifest)
        if reason is not None:
            raise DataError(f"{folder / name}: damaged ({reason}); run it again with again=True")
        spec = read_spec(manifest["spec"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(f"{folder / name}: damaged ({type(error).__name__}); run it again with again=True") from error
    if verify:
        refuse_links_out(folder)
        found = changes(folder, manifest, name)
        if found:
            raise DataError(f"{folder}: {found[0]} since the run; run it again with again=True{_ways_on(name)}")
    return spec, manifest


def _ways_on(manifest: str) -> str:
    """Return how a changed folder can be read all the same, where it can."""
    return ", or read on with allow_changed=True, which marks what is made of it" if manifest == MANIFEST else ""


def foreign_files(run: Run) -> list[str]:
    """Return the files in a run's folder that pcbench did not make."""
    known = {*run.manifest["files"], *MANIFESTS, MARKER}
    labels = run.spec.settings.grid.labels
    reports = tuple(f"{label}/{REPORT}/" for label in labels)
    found = (path.relative_to(run.folder).as_posix() for path in _listed(run.folder))
    return [
        *(name for name in found if name not in known and not name.startswith(reports)),
        *_foreign_in_report(run.folder),
        *(f"{label}/{name}" for label in labels for name in _foreign_in_report(run.folder / label)),
    ]


def alone(run: Run) -> Run:
    """Return a run that has one setting of hyperparameters.

    Raises:
        UsageError: It has several; the folder of one is named.
    """
    labels = run.spec.settings.grid.labels
    if labels:
        raise UsageError(
            f"{run.folder} holds {len(labels)} settings of hyperparameters, each a run of its own: give one of them, "
            f"such as {run.folder / labels[0]}"
        )
    return run


def _foreign_in_report(folder: Path) -> list[str]:
    """Return what pcbench did not put into a report; the manifest does not list it, because it can be made again."""
    report = folder / REPORT
    paths = [path for path in report.rglob("*") if path.is_file() and not path.name.startswith(files.TRIAL)]
    found = {path.relative_to(report).as_posix() for path in paths}
    listed = _listed_in_report(report)
    if not listed:
        # An earlier pcbench made no list. A figure is there in every format, so a picture of somebody else's is alone.
        stems = {name.rpartition(".")[0] for name in found}
        whole = (stem for stem in stems if found.issuperset(f"{stem}{kind}" for kind in _FIGURE_ENDINGS))
        listed = [f"{stem}{kind}" for stem in whole for kind in _FIGURE_ENDINGS]
    known = {PAGE, _REPORT_LIST, *listed}
    known |= {name + UNFINISHED for name in known}  # left by a process that was killed
    return sorted((report / name).relative_to(folder).as_posix() for name in found - known)


def list_report(report: Path, names: Iterable[str]) -> None:
    """Note which files a report will have, before it is written: what is not listed is somebody else's.

    Args:
        report: Its folder.
        names: The files' names in it, with ``/`` between folders.
    """
    there = (
        name for end in ("", UNFINISHED) for name in _listed_in_report(report) if (report / (name + end)).is_file()
    )
    write_json(report / _REPORT_LIST, {"made_by": "pcbench", "files": sorted({*there, *names})})


def _listed_in_report(report: Path) -> list[str]:
    try:
        content: Any = read_json(report / _REPORT_LIST)
        return [str(name) for name in content["files"]]
    except (DataError, OSError, ValueError, KeyError, TypeError):
        return []


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON file, whole or not at all."""
    files.write(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def _listed(folder: Path) -> list[Path]:
    """Return the files that a manifest lists: neither the report, which can be made again, nor unpublished files."""
    found = [Path(root) / name for root, _, names in os.walk(folder) for name in names]
    return sorted(path for path in found if path.relative_to(folder).parts[0] not in (REPORT, MARKER, LOCATIONS))
