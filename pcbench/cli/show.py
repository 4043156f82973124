"""`pcbench show`: a finished run's numbers again, or the configuration that repeats it; or what weights hold."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pcbench.cli.arguments import AllowChanged, AsJson
from pcbench.cli.saying import say, say_json

if TYPE_CHECKING:
    from pcbench.cli.json_forms import WeightsForm
    from pcbench.models.weights_summary import WeightsSummary

_SHOWN = 6
"""How many keys are shown of a file that holds no predictors."""


def show_command(
    run: Annotated[
        Path, typer.Argument(help="The folder of a finished run, or a file or folder of weights.", metavar="RUN")
    ],
    config: Annotated[bool, typer.Option("--config", help="Print the TOML that repeats the run.")] = False,
    allow_changed: AllowChanged = False,
    as_json: AsJson = False,
) -> None:
    """Print a finished run's table, or with --config the configuration file that repeats it; or what weights hold."""
    import dataclasses

    from pcbench.results.directory import open_run

    if not config and _print_weights(run, as_json=as_json):
        return

    found = open_run(run, allow_changed=allow_changed)
    if config:
        from pcbench.harness.configuration import configuration

        say(*configuration(found).removesuffix("\n").split("\n"))
        return

    from pcbench.cli.run_table import print_summary

    print_summary(dataclasses.replace(found, found=True), as_json=as_json)


def _print_weights(path: Path, *, as_json: bool) -> bool:
    """Print what a file or folder of weights holds; return False where the path is something else."""
    if (path / "manifest.json").exists() or not (path.exists() or "@" in path.name):
        return False  # before PyTorch is imported
    from rich.table import Table

    from pcbench.models.training_notes import training_notes
    from pcbench.models.weights_summary import looks_like_weights, summarise_weights
    from pcbench.terminal import Terminal

    if not looks_like_weights(path):
        return False
    found = summarise_weights(path)
    notes = training_notes(path)
    reached = dict(enumerate(notes.r_squared, 1))
    if as_json:
        say_json(_weights_form(found, reached))
        return True
    epoch = "" if found.epoch is None else f", epoch {found.epoch}"
    table = Table(title=f"{path.name}: weights of {len(found.predictors)} predictors{epoch}", title_justify="left")
    for column in ("PCoder", "file", "tensors", "numbers", "C", *(["R²"] if reached else [])):
        table.add_column(column)
    for held in found.predictors:
        shapes = ", ".join(f"{name} {'x'.join(map(str, shape))}" for name, shape in held.shapes.items())
        scale = "" if held.scale is None else f"{held.scale:.6g}"
        value = [f"{reached[held.number]:.3f}"] if held.number in reached else []
        table.add_row(str(held.number), held.file, shapes, f"{held.parameters:,}", scale, *value)
    console = Terminal()
    console.print(table)
    for sentence in notes.sentences:
        console.print(sentence, soft_wrap=True)
    if found.backbone:
        console.print(f"and {found.backbone} tensors of a backbone")
    if found.others:
        console.print(f"{len(found.others)} tensors of no predictor: {', '.join(found.others[:_SHOWN])}")
    if found.epochs:
        console.print(f"complete epochs: {', '.join(map(str, found.epochs))}; FOLDER@EPOCH takes another")
    return True


def _weights_form(found: WeightsSummary, reached: Mapping[int, float]) -> WeightsForm:
    return {
        "path": str(found.path),
        "predictors": [
            {
                "pcoder": held.number,
                "file": held.file,
                "tensors": {name: list(shape) for name, shape in held.shapes.items()},
                "parameters": held.parameters,
                "scale": held.scale,
                "r_squared": reached.get(held.number),
            }
            for held in found.predictors
        ],
        "backbone": found.backbone,
        "others": list(found.others),
        "epochs": list(found.epochs),
    }
