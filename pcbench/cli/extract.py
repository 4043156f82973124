"""`pcbench extract`: the values inside a network at every timestep, to files."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from pcbench.cli.arguments import AsJson
from pcbench.cli.run import log_progress
from pcbench.cli.saying import say, say_json
from pcbench.harness.extraction.options import ExtractOptions, extraction_from

if TYPE_CHECKING:
    from pcbench.cli.json_forms import ExtractionForm
    from pcbench.results.directory import Run
    from pcbench.results.run_spec import RunSpec


def extract_command(options: ExtractOptions, given: Collection[str], as_json: AsJson = False) -> None:
    """Write representations, errors or any module's outputs at every timestep to files.

    The images need no labels: imagefolder:PATH is also a folder that holds pictures alone.
    """
    request = extraction_from({name: options[name] for name in given})
    if request["dry_run"]:
        from pcbench.files import free_bytes, real_path
        from pcbench.harness.extraction.plan import make_extraction_plan, needed_bytes
        from pcbench.harness.start import DEFAULT_FOLDER
        from pcbench.percent import shown_bytes

        plan = make_extraction_plan(request)
        if as_json:
            say_json(_extraction_form(plan.spec, None, []))
            return
        _print_arrays(plan.spec)
        folder = real_path(DEFAULT_FOLDER if request["out"] is None else Path(request["out"]))
        needed, free = shown_bytes(needed_bytes(plan.spec)), shown_bytes(free_bytes(folder))
        say(f"Disk: {needed}, of {free} that are free in {folder}. Units: {len(plan.units)}.")
        return
    from pcbench.harness.start import start

    log_progress()
    finished = start(request)

    from pcbench.cli.run_table import print_shard
    from pcbench.results.shard import Shard

    if isinstance(finished, Shard):
        print_shard(finished, as_json=as_json)
        return
    print_extraction(finished, as_json=as_json)


def print_extraction(finished: Run, *, as_json: bool = False) -> None:
    """Print what a finished extraction holds, and where its folder is; or the same as JSON."""
    if as_json:
        say_json(_extraction_form(finished.spec, finished.folder, finished.manifest["notes"]))
        return
    _print_arrays(finished.spec)
    for note in finished.manifest["notes"]:
        say(str(note))
    say(f"{'found' if finished.found else 'wrote'} {finished.folder}")


def _extraction_form(spec: RunSpec, folder: Path | None, notes: Iterable[object]) -> ExtractionForm:
    from pcbench.results.extraction import array_bytes, array_shape, written

    return {
        "key": spec.key(),
        "model": str(spec.model["name"]),
        "folder": None if folder is None else str(folder),
        "arrays": [
            {
                "name": array.name,
                "module": array.module,
                "shape": list(array_shape(spec, array)),
                "bytes": array_bytes(spec, array),
            }
            for array in written(spec).arrays
        ],
        "notes": [str(note) for note in notes],
    }


def _print_arrays(spec: RunSpec) -> None:
    """Print a table of the arrays with their shapes and sizes."""
    from rich.table import Table

    from pcbench.percent import shown_bytes
    from pcbench.results.extraction import array_bytes, array_shape, written
    from pcbench.terminal import Terminal

    extraction = written(spec)
    part = " (a SUBSET of the images)" if extraction.subset else ""
    table = Table(title=f"{spec.model['name']} on {extraction.images} images{part}, key {spec.key()}")
    for column in ("array", "module"):
        table.add_column(column)
    for column in ("images x timesteps x …", "size"):
        table.add_column(column, justify="right")
    for array in extraction.arrays:
        shape, size = array_shape(spec, array), array_bytes(spec, array)
        table.add_row(array.name, array.module or "", " x ".join(map(str, shape)), shown_bytes(size))
    Terminal().print(table)
