"""`pcbench tune`: choose β, λ and α of every PCoder on validation images."""

from __future__ import annotations

import typer

from pcbench.training.options import TuneOptions, file_of


def tune_command(options: TuneOptions) -> None:
    """Tune a network's hyperparameters for clean and noisy accuracy, never on images that results are reported on."""
    from rich.console import Console
    from rich.progress import Progress

    from pcbench.training.tuning import tune

    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task(f"tuning {options['model']}", total=options["rounds"])
        tuned = tune(options, lambda done, total, _: progress.update(task, completed=done, total=total))
    typer.echo(f"accuracy at T {tuned.score.value:.4f} (t = 0: {tuned.score.start:.4f}); wrote {file_of(options)}")
