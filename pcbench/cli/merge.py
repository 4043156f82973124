"""`pcbench merge DIR…`: make the run of all its shards."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pcbench.cli.arguments import AsJson


def merge_command(
    folders: Annotated[
        list[Path] | None,
        typer.Argument(help="Folders of shards, or folders that hold such folders.", metavar="DIR…"),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="The run's folder; by default results/runs/MODEL-SUITES-KEY.")
    ] = None,
    mixed_machines: Annotated[
        bool, typer.Option("--mixed-machines", help="Merge parts of different kinds of CPU or GPU; the results say so.")
    ] = False,
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="Merge without the units that failed; tables say what is missing.")
    ] = False,
    allow_changed: Annotated[
        bool, typer.Option("--allow-changed", help="Merge shards whose files were changed; the run says so.")
    ] = False,
    again: Annotated[bool, typer.Option("--again", help="Merge again where the run is there already.")] = False,
    as_json: AsJson = False,
) -> None:
    """Make the run of all its shards: the one that a single process would have made, to the byte.

    No network and no image is loaded.
    """
    from pcbench.harness.shard_folders import find_shards

    find_shards(folders or [])  # a wrong folder need not wait for PyTorch
    from pcbench.cli.extract import print_extraction
    from pcbench.cli.run_table import print_summary
    from pcbench.harness.merge import merge
    from pcbench.results.extraction import Extraction

    made = merge(
        folders or [],
        out,
        mixed_machines=mixed_machines,
        allow_missing=allow_missing,
        allow_changed=allow_changed,
        again=again,
    )
    if isinstance(made, Extraction):
        print_extraction(made, as_json=as_json)
    else:
        print_summary(made, as_json=as_json)
