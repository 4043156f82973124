"""`pcbench freeze RUN`: make the small file that later runs are checked against."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pcbench.cli.saying import say


def freeze_command(
    run: Annotated[Path, typer.Argument(help="The folder of a finished run.", metavar="RUN")],
    out: Annotated[
        Path | None, typer.Option("--out", help="The file; results/<model>-<suites>.npz if not given.")
    ] = None,
) -> None:
    """Freeze a run's answers as a reference for `pcbench check`."""
    from pcbench.comparison.reference import freeze, write_reference
    from pcbench.names import file_name
    from pcbench.results.directory import open_run

    opened = open_run(run)
    names = [str(opened.spec.model["name"]), *(suite.name for suite in opened.spec.suites)]
    path = out or Path("results") / f"{file_name('-'.join(names))}.npz"
    write_reference(freeze(opened), path)
    say(f"wrote {path} ({path.stat().st_size / 1024:.0f} KiB); check a later run with:")
    say(f"  pcbench check RUN --against {path}")
