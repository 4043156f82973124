"""`pcbench baseline`: measure the errors by which a suite's corruption errors are divided."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pcbench.cli.saying import say
from pcbench.escaping import printable


def baseline_command(
    suite: Annotated[str, typer.Option("--suite", "-s", help="A suite of corruptions: name or folder.")],
    model: Annotated[str, typer.Option("--model", "-m", help="A zoo name or module:function.")],
    data: Annotated[str | None, typer.Option("--data", help="Images; by default the model's own.")] = None,
    out: Annotated[Path | None, typer.Option("--out", help="The file; by default baseline.toml of the suite.")] = None,
) -> None:
    """Measure a network under a suite of corruptions and write the suite's baseline.toml."""
    from pcbench.terminal import bar
    from pcbench.training.baseline import write_baseline

    with bar() as progress:
        task = progress.add_task(printable(f"{model} under {suite}"), total=None)
        path = write_baseline(
            suite, model, data, out=out, report=lambda done, total: progress.update(task, completed=done, total=total)
        )
    say(f"wrote {path}")
