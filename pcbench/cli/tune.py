"""`pcbench tune`: choose β, λ and α of every PCoder on validation images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def tune_command(
    model: Annotated[str, typer.Option("--model", "-m", help="A zoo name or module:function.")] = "pdigits",
    data: Annotated[str | None, typer.Option("--data", help="Validation images; the model's own where absent.")] = None,
    method: Annotated[str, typer.Option("--method", help="search (Optuna) or gradient.")] = "search",
    rounds: Annotated[int, typer.Option("--rounds", help="Trials of the search, steps of the descent.")] = 24,
    timesteps: Annotated[int | None, typer.Option("--timesteps", "-T", help="The answers at T count.")] = None,
    images: Annotated[int, typer.Option("--images", help="Validation part of data without a validation split.")] = 1000,
    backbone_weights: Annotated[
        Path | None, typer.Option("--backbone-weights", help="Safetensors of the backbone.")
    ] = None,
    weights: Annotated[Path | None, typer.Option("--weights", help="Safetensors of the predictors.")] = None,
    seed: Annotated[int, typer.Option("--seed", help="Seed of noise, proposals and validation images.")] = 0,
    out: Annotated[Path | None, typer.Option("--out", help="The configuration file that is written.")] = None,
) -> None:
    """Tune a network's hyperparameters for clean and noisy accuracy, never on images that results are reported on."""
    from typing import cast

    from rich.console import Console
    from rich.progress import Progress

    from pcbench.errors import UsageError
    from pcbench.models.zoo import default_data
    from pcbench.training.tuning import Method, TuningRequest, tune

    data = data or default_data(model)
    if data is None:
        raise UsageError(f"{model}: say with --data on which images to tune")
    file = out or Path("results") / "runs" / f"tune-{model.replace(':', '-')}.toml"
    request = TuningRequest(
        model,
        data,
        file,
        cast("Method", method),
        rounds,
        timesteps,
        images=images,
        backbone_weights=backbone_weights,
        weights=weights,
        seed=seed,
    )
    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task(f"tuning {model}", total=rounds)
        tuned = tune(request, lambda done, total, _: progress.update(task, completed=done, total=total))
    typer.echo(f"accuracy at T {tuned.score.value:.4f} (t = 0: {tuned.score.start:.4f}); wrote {file}")
