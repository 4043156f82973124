"""`pcbench predify CONFIG.toml --backbone SPEC`: try a configuration on a CNN and show the resulting network."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from pcbench.models.conversions import NetworkFacts


def predify_command(
    configuration: Annotated[
        Path | None, typer.Argument(help="The configuration, as Predify writes it.", metavar="CONFIG")
    ] = None,
    backbone: Annotated[
        str | None,
        typer.Option("--backbone", "-b", help="torchvision:NAME, timm:NAME, hf:OWNER/REPO, module:function."),
    ] = None,
    model: Annotated[str | None, typer.Option("--model", "-m", help="A model, for its backbone.")] = None,
    given: Annotated[
        Path | None, typer.Option("--configuration", help="The same as CONFIG; by default the zoo model's own.")
    ] = None,
    weights: Annotated[
        Path | None, typer.Option("--weights", help="Trained predictors, whose R² is shown.", metavar="FILE")
    ] = None,
) -> None:
    """Check that a configuration fits a CNN, and show its PCoders, without training."""
    from pcbench.models.conversions import inspect_network
    from pcbench.models.predictor_files import read_predictor_weights

    file, spec, command, shipped = _what(configuration or given, backbone, model)
    facts = inspect_network(file, spec)
    if weights is not None:
        read_predictor_weights(weights, len(facts.pcoders))
    _show(facts, command, weights, shipped)


def _what(configuration: Path | None, backbone: str | None, model: str | None) -> tuple[Path, str, str, Path | None]:
    """Return the configuration, the backbone, how a run names the network, and predictors that come with pcbench."""
    from pcbench.errors import UsageError
    from pcbench.models.entries import described_entry, full_name
    from pcbench.models.naming import CONVERTED

    if backbone is not None and model is not None:
        raise UsageError("name what gets the dynamics: either `backbone` or, for a model, `model`")
    if configuration is None and model is None:
        raise UsageError("name the configuration and what it is put on: pcbench predify CONFIG.toml --backbone SPEC")
    if model is None:
        model = full_name(str(configuration)) if backbone is None else f"{configuration}@{backbone}"
        configuration, backbone = Path(f"{model.partition(CONVERTED)[0]}.toml"), model.partition(CONVERTED)[2]
        return configuration, backbone, shlex.join(["--model", model]), None
    words = ["--model", model, *([] if configuration is None else ["--configuration", str(configuration)])]
    entry = described_entry(model, configuration)
    file = configuration if entry is None else entry.configuration_path
    if file is None:
        raise UsageError(f"{model} is feedforward, without a configuration: give one with `configuration`")
    known = (model, None) if entry is None else (entry.backbone, entry.weights_path)
    return file, known[0], shlex.join(words), known[1]


def _show(facts: NetworkFacts, command: str, weights: Path | None, shipped: Path | None) -> None:
    from rich.table import Table

    from pcbench.models.training_notes import TrainingNotes, training_notes
    from pcbench.terminal import Terminal

    learned = weights or shipped
    notes = TrainingNotes() if learned is None else training_notes(learned)
    reached = dict(enumerate(notes.r_squared, 1))
    table = Table(title=f"{facts.name} on {facts.backbone}, {facts.classes} classes", title_justify="left")
    for column in ("n", "module", "e_n", "predicts", "weights", "β", "λ", "α", "C", *(["R²"] if reached else [])):
        table.add_column(column, no_wrap=True)
    for pcoder in facts.pcoders:
        table.add_row(
            str(pcoder.number),
            pcoder.module,
            "x".join(map(str, pcoder.representation)),
            "x".join(map(str, pcoder.prediction)) + (f" ({pcoder.predicts})" if pcoder.predicts else ""),
            f"{pcoder.parameters:,}",
            *(f"{value:g}" for value in pcoder.hyperparameters),
            "" if pcoder.error_window is None else f"{pcoder.error_window:g}",
            *([f"{reached[pcoder.number]:.3f}"] if pcoder.number in reached else []),
        )
    console = Terminal()
    console.print(table)
    for pcoder in facts.pcoders:
        console.print(f"D_{pcoder.number} = {pcoder.predictor}")
    for sentence in notes.sentences:
        console.print(sentence, soft_wrap=True)
    given = " --random-predictors 0 (or --weights FILE)" if shipped is None else ""
    given = given if weights is None else f" --weights {shlex.quote(str(weights))}"
    console.print(f"run it with: pcbench run {command}{given}", soft_wrap=True)
