"""`pcbench baseline RUN`: make of a run's errors the baseline by which others' corruption errors are divided."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from pcbench.cli.saying import say


def baseline_command(
    run: Annotated[Path, typer.Argument(help="The folder of a finished run.", metavar="RUN")],
    suite: Annotated[str | None, typer.Option("--suite", "-s", help="Its suite, where it has several.")] = None,
    timestep: Annotated[int | None, typer.Option("--timestep", help="By default the first, t = 0.")] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="The file; results/baseline-MODEL-SUITE-KEY.toml if not given.")
    ] = None,
) -> None:
    """Make a baseline, for CE and mCE, from the tables of a run; it is for results on the same images."""
    from pcbench.names import file_name
    from pcbench.results.baselines import baseline_of, write_baseline
    from pcbench.results.directory import open_run

    opened = open_run(run)
    made = baseline_of(opened, suite, timestep)
    named = "-".join(["baseline", str(opened.spec.model["name"]), made.suite, opened.key])
    path = write_baseline(made, out or Path("results") / f"{file_name(named)}.toml")
    say(f"wrote {path}: {made.baseline.name}")
    say("it divides corruption errors on the same images:")
    say(f"  pcbench run --suite {shlex.quote(made.suite)} --baseline {shlex.quote(str(path))}")
