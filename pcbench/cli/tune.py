"""`pcbench tune`: choose β, λ and α of every PCoder on validation images."""

from __future__ import annotations

from pathlib import Path

import typer

from pcbench.options import resolved
from pcbench.training.options import TuneOptions


def tune_command(options: TuneOptions) -> None:
    """Tune a network's hyperparameters for clean and noisy accuracy, never on images that results are reported on."""
    from rich.console import Console
    from rich.progress import Progress

    from pcbench.errors import UsageError
    from pcbench.models.zoo import default_data
    from pcbench.training.tuning import TuningRequest, tune

    values = resolved(TuneOptions, options)
    model, out = values["model"], values["out"]
    values["data"] = values["data"] or default_data(model)
    if values["data"] is None:
        raise UsageError(f"{model}: say on which images to tune: give data='imagefolder:PATH'")
    values["out"] = Path("results") / "runs" / f"tune-{model.replace(':', '-')}.toml" if out is None else Path(out)
    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task(f"tuning {model}", total=values["rounds"])
        tuned = tune(TuningRequest(**values), lambda done, total, _: progress.update(task, completed=done, total=total))
    typer.echo(f"accuracy at T {tuned.score.value:.4f} (t = 0: {tuned.score.start:.4f}); wrote {values['out']}")
