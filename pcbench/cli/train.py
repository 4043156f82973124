"""`pcbench train`: learn feedback weights without labels, and the project's own small networks from the start."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

_WHAT = "What is trained"
_HOW = "How (the model's defaults where absent)"
_WHERE = "Where"


def train_command(
    model: Annotated[
        str, typer.Option("--model", "-m", help="A zoo name or module:function.", rich_help_panel=_WHAT)
    ] = "pdigits",
    data: Annotated[
        str | None,
        typer.Option(
            "--data", help="Training images: digits, imagefolder:PATH, parquet:PATH, …", rich_help_panel=_WHAT
        ),
    ] = None,
    images: Annotated[
        int | None, typer.Option("--images", help="Only this many training images.", rich_help_panel=_WHAT)
    ] = None,
    backbone_weights: Annotated[
        Path | None, typer.Option("--backbone-weights", help="Safetensors of the backbone.", rich_help_panel=_WHAT)
    ] = None,
    epochs: Annotated[
        int | None, typer.Option("--epochs", help="Passes over the images.", rich_help_panel=_HOW)
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option("--batch-size", help="Images in a step, over all processes.", rich_help_panel=_HOW)
    ] = None,
    optimizer: Annotated[
        str | None, typer.Option("--optimizer", help="sgd, rmsprop or adam.", rich_help_panel=_HOW)
    ] = None,
    learning_rate: Annotated[
        float | None, typer.Option("--learning-rate", help="Of the first step.", rich_help_panel=_HOW)
    ] = None,
    weight_decay: Annotated[float | None, typer.Option("--weight-decay", help="L2.", rich_help_panel=_HOW)] = None,
    schedule: Annotated[
        str | None, typer.Option("--schedule", help="constant or cosine.", rich_help_panel=_HOW)
    ] = None,
    trials: Annotated[
        int, typer.Option("--trials", help="Hyperparameters to try (pdigits only); 0: none.", rich_help_panel=_HOW)
    ] = 16,
    seed: Annotated[int, typer.Option("--seed", help="Seed of all randomness.", rich_help_panel=_HOW)] = 0,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder; a stopped training goes on from it.", rich_help_panel=_WHERE)
    ] = None,
    processes: Annotated[
        int, typer.Option("--processes", help="Processes that share the work; one a GPU.", rich_help_panel=_WHERE)
    ] = 1,
    workers: Annotated[
        int, typer.Option("--workers", help="Processes that decode images.", rich_help_panel=_WHERE)
    ] = 0,
    device: Annotated[str, typer.Option("--device", help="auto, cpu, cuda.", rich_help_panel=_WHERE)] = "cpu",
) -> None:
    """Train a model's feedback weights by reconstruction, without labels.

    The project's own networks for digits are trained from the start: backbone, feedback weights, hyperparameters.
    """
    names = ("epochs", "batch_size", "optimizer", "learning_rate", "weight_decay", "schedule")
    given: dict[str, Any] = dict(locals())
    changes = {name: given[name] for name in names if given[name] is not None}

    from pcbench.errors import UsageError
    from pcbench.models.zoo import default_data, zoo_entry
    from pcbench.training.job import TrainingRequest, train
    from pcbench.training.watching import Bars

    if ":" not in model:
        zoo_entry(model)  # an unknown name is refused before anything else is asked for
    data = data or default_data(model)
    if data is None:
        raise UsageError(f"{model}: say with --data what to train on, such as imagefolder:PATH")
    folder = out or Path("results") / "runs" / f"train-{model.replace(':', '-')}-seed{seed}"
    request = TrainingRequest(
        model, data, folder, seed, changes, images, backbone_weights, trials, processes, device, workers
    )
    with Bars() as bars:
        trained = train(request, bars)
    typer.echo(f"wrote {trained.weights}, sha256 {trained.sha256}")
    if trained.configuration is not None:
        typer.echo(f"wrote {trained.configuration}")
