"""`pcbench show RUN`: a finished run's numbers again, or the configuration that repeats it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pcbench.cli.arguments import AllowChanged
from pcbench.cli.saying import say


def show_command(
    run: Annotated[Path, typer.Argument(help="The folder of a finished run.", metavar="RUN")],
    config: Annotated[bool, typer.Option("--config", help="Print the TOML that repeats the run.")] = False,
    allow_changed: AllowChanged = False,
) -> None:
    """Print a finished run's table, or with --config the configuration file that repeats it."""
    import dataclasses

    from pcbench.results.directory import open_run

    found = open_run(run, allow_changed=allow_changed)
    if config:
        from pcbench.harness.configuration import configuration

        say(*configuration(found).removesuffix("\n").split("\n"))
        return

    from pcbench.cli.run_table import print_summary

    print_summary(dataclasses.replace(found, found=True))
