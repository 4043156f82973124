"""`pcbench predify CONFIG.toml --backbone SPEC`: try a configuration on a CNN and show the resulting network."""

from __future__ import annotations

import dataclasses
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pcbench.cli.arguments import AsJson
from pcbench.cli.completion import complete_model
from pcbench.cli.saying import say, say_json
from pcbench.harness.known_names import refuse_unknown_names
from pcbench.models.naming import refuse_unknown_model

_OWN = "own"
_IMAGES = {"digits": "digits", "cifar10": "torchvision:CIFAR10", "imagenet": "imagenet:PATH"}
"""Where images are, by what a network's classes are."""
_IMAGES_OF = {10: "digits", 100: "torchvision:CIFAR100", 1000: "imagenet:PATH"}
"""The same by their number, where no more is known."""

if TYPE_CHECKING:
    from pcbench.models.conversions import NetworkFacts


def predify_command(
    configuration: Annotated[
        Path | None, typer.Argument(help="The configuration, as Predify writes it.", metavar="CONFIG")
    ] = None,
    backbone: Annotated[
        str | None,
        typer.Option(
            *("--backbone", "-b"),
            help="torchvision:NAME, timm:NAME, hf:OWNER/REPO, module:function.",
            autocompletion=complete_model,
        ),
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="A model, for its backbone.", autocompletion=complete_model)
    ] = None,
    given: Annotated[
        Path | None, typer.Option("--configuration", help="The same as CONFIG; by default the zoo model's own.")
    ] = None,
    weights: Annotated[
        Path | None, typer.Option("--weights", help="Trained predictors, whose R² is shown.", metavar="FILE")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check that a configuration fits a CNN, and show its PCoders, without training.

    With a backbone alone: print a configuration to start from.
    """
    refuse_unknown_names({"model": model, "configuration": configuration or given, "weights": weights})
    if backbone is not None:
        refuse_unknown_model(backbone)
    from pcbench.models.conversions import inspect_network
    from pcbench.models.predictor_files import read_predictor_weights

    if backbone is not None and model is None and configuration is None and given is None:
        _start(backbone, as_json=as_json)
        return
    file, spec, named, shipped, data = _what(configuration or given, backbone, model)
    facts = inspect_network(file, spec)
    images = _data_words(data, facts.classes)
    command = f"pcbench run {named}{_run_words(weights, shipped)}{images}"
    if weights is not None:
        read_predictor_weights(weights, len(facts.pcoders))
    if as_json:
        say_json({**dataclasses.asdict(facts), "command": command})
        return
    _show(facts, weights or shipped)
    if (weights or shipped) is None:
        say("its predictors are random until they are trained:", f"pcbench train {named}{images}")
    say("run it, with the folder of your images for PATH:" if "PATH" in command else "run it with:", command)


def _start(backbone: str, *, as_json: bool) -> None:
    from pcbench.models.conversions import starting_configuration

    text = starting_configuration(backbone)
    if as_json:
        say_json({"configuration": text})
        return
    say(*text.splitlines())
    say("a configuration to start from; once it is in a file: pcbench predify FILE.toml", error=True)


def _what(
    configuration: Path | None, backbone: str | None, model: str | None
) -> tuple[Path, str, str, Path | None, str | None]:
    """Return the configuration, the backbone, how a run names the network, and what comes with pcbench of it.

    These are its predictors, and the images that it is measured on by itself, or what its classes are.
    """
    from pcbench.errors import UsageError
    from pcbench.models.entries import described_entry, full_name
    from pcbench.models.naming import CONVERTED

    if backbone is not None and model is not None:
        raise UsageError("name what gets the dynamics: either `backbone` or, for a model, `model`")
    if configuration is None and model is None:
        raise UsageError(
            "name the configuration and what it is put on: pcbench predify CONFIG.toml --backbone SPEC; without one, "
            "pcbench predify --backbone SPEC prints a configuration to start from"
        )
    if model is None:
        model = full_name(str(configuration)) if backbone is None else f"{configuration}@{backbone}"
        configuration, backbone = Path(f"{model.partition(CONVERTED)[0]}.toml"), model.partition(CONVERTED)[2]
        return configuration, backbone, shlex.join(["--model", model]), None, None
    words = ["--model", model, *([] if configuration is None else ["--configuration", str(configuration)])]
    entry = described_entry(model, configuration)
    file = configuration if entry is None else entry.configuration_path
    if file is None:
        raise UsageError(f"{model} is feedforward, without a configuration: give one with `configuration`")
    if entry is None:
        return file, model, shlex.join(words), None, None
    named = entry.class_names if isinstance(entry.class_names, str) else None  # names of a model's own say no source
    data = _OWN if entry.data is not None else named
    return file, entry.backbone, shlex.join(words), entry.weights_path, data


def _run_words(weights: Path | None, shipped: Path | None) -> str:
    """Return the words by which a run takes the predictors: random ones where there are no others."""
    if weights is not None:
        return f" --weights {shlex.quote(str(weights))}"
    return " --random-predictors 0" if shipped is None else ""


def _data_words(data: str | None, classes: int) -> str:
    """Return the words by which a run has images of a network's classes: those that can be had, if any."""
    if data == _OWN:
        return ""
    known = _IMAGES_OF.get(classes, "imagefolder:PATH") if data is None else _IMAGES.get(data, "imagefolder:PATH")
    return f" --data {known}"


def _show(facts: NetworkFacts, learned: Path | None) -> None:
    from rich.table import Table

    from pcbench.models.training_notes import TrainingNotes, training_notes
    from pcbench.terminal import Terminal

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
