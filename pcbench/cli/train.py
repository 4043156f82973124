"""`pcbench train`: learn feedback weights without labels, and the project's own small networks from the start."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from pcbench.options import resolved
from pcbench.training.options import TrainOptions


def train_command(options: TrainOptions) -> None:
    """Train a model's feedback weights by reconstruction, without labels.

    The project's own networks for digits are trained from the start: backbone, feedback weights, hyperparameters.
    """
    from pcbench.training.job import TrainingRequest, train
    from pcbench.training.watching import Bars

    with Bars() as bars:
        trained = train(TrainingRequest(**_request(resolved(TrainOptions, options))), bars)
    typer.echo(f"wrote {trained.weights}, sha256 {trained.sha256}")
    if trained.configuration is not None:
        typer.echo(f"wrote {trained.configuration}")


def _request(values: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a request: the settings that replace the model's defaults together, and the folder."""
    from dataclasses import fields

    from pcbench.errors import UsageError
    from pcbench.models.zoo import default_data, zoo_entry
    from pcbench.training.settings import TrainingSettings

    model, out = values["model"], values.pop("out")
    if ":" not in model:
        zoo_entry(model)  # an unknown name is refused before anything else is asked for
    values["data"] = values["data"] or default_data(model)
    if values["data"] is None:
        raise UsageError(f"{model}: say what to train on: give data='imagefolder:PATH'")
    name = f"train-{model.replace(':', '-')}-seed{values['seed']}"
    settings = {field.name for field in fields(TrainingSettings)} - {"seed"}
    changes = {setting: values.pop(setting) for setting in settings & values.keys()}
    return {
        **values,
        "backbone_weights": None if values["backbone_weights"] is None else Path(values["backbone_weights"]),
        "folder": Path("results") / "runs" / name if out is None else Path(out),
        "changes": {setting: value for setting, value in changes.items() if value is not None},
    }
