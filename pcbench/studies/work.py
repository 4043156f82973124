"""What a step of a study does: each is what one command of pcbench does, and is found again where it is done."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from pcbench import files
from pcbench.models.loading import load
from pcbench.models.zoo import zoo_entry, zoo_names
from pcbench.network.configuration import NetworkConfiguration, read_configuration
from pcbench.network.controls import Control
from pcbench.network.update import Hyperparameters
from pcbench.options import resolved
from pcbench.studies.arms import PAPER_WEIGHTS
from pcbench.studies.steps import Step
from pcbench.studies.timing import write_times
from pcbench.studies.tunings import found_for_all
from pcbench.training.conditions import CLEAN
from pcbench.training.found import Tried, feedforward_point, ranked
from pcbench.training.hyperparameters import write_configuration
from pcbench.training.job import train_model
from pcbench.training.options import TrainOptions, TuneOptions
from pcbench.training.tuning import tune_model
from pcbench.training.tuning_task import begin_tuning, levels_for_tuning
from pcbench.training.validation import evaluate

_THREADS = 2
"""The same on any machine: a sum over other threads has other last bits. Runs have their own number."""


def do_step(step: Step, out: Path) -> None:
    """Do one step of a study; what it leaves lies at the step's name in the study's folder.

    Raises:
        PcbenchError: As the command of that kind; the same study goes on from there.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(_THREADS)
    try:
        _DOERS[step.kind](step, out)
    finally:
        torch.set_num_threads(threads)


def _train(step: Step, out: Path) -> None:
    del out
    train_model(resolved(TrainOptions, {**step.options, "allow_poor": True}))


def _find_levels(step: Step, out: Path) -> None:
    levels = levels_for_tuning(resolved(TuneOptions, step.options))
    path = out / step.name
    files.make_folder(path.parent)
    files.write(path, json.dumps({"noise": levels}) + "\n")


def _tune(step: Step, out: Path) -> None:
    del out
    tune_model(resolved(TuneOptions, _with_levels(step.options)))


def _with_levels(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a tuning with the levels of noise themselves, where they lie in a file."""
    noise = options.get("noise")
    return {**options, "noise": found_for_all(noise)} if isinstance(noise, Path) else dict(options)


def _run(step: Step, out: Path) -> None:
    from pcbench.harness.start import run  # a study of which nothing is measured does not wait for it

    del out
    run(**step.options)


def _configure(step: Step, out: Path) -> None:
    """Write what an arm begins with: the model's own configuration with the paper's weights, or with a control."""
    own = _own_configuration(step.options["model"])
    table, weights = own.table, own.hyperparameters
    if step.options.get("paper"):
        table = table.model_copy(update={"gradient_scaling": True})
        above, last = PAPER_WEIGHTS[1], len(own.hyperparameters) - 1
        weights = tuple(
            Hyperparameters(PAPER_WEIGHTS[0], above if n < last else 0.0, PAPER_WEIGHTS[2]) for n in range(last + 1)
        )
    control = step.options.get("control")
    if control is not None:
        table = table.model_copy(update={"control": Control(**control)})
    path = out / step.name
    files.make_folder(path.parent)
    write_configuration(path, table, weights, [f"The arm {step.arm} of a study."])


def _own_configuration(model: str) -> NetworkConfiguration:
    if model in zoo_names():
        path = zoo_entry(model).configuration_path
        if path is not None:
            return read_configuration(path)
    network = load(model, random_predictors=0).predictive_network("a study")
    return network.configuration


def _blur(step: Step, out: Path) -> None:
    """Choose the width of a blur before the plain network, by the objective and on the images of the network's tuning.

    Of equal accuracies the one of lower cross-entropy is chosen.
    """
    options = _with_levels(step.options)
    widths = options.pop("widths")
    task = begin_tuning(resolved(TuneOptions, options), None)
    plain = feedforward_point(len(task.network.predictors))
    once = replace(task.validation, timesteps=1)  # the plain network answers the same at every t
    clean = replace(once, conditions=(CLEAN,))
    curve: list[dict[str, Any]] = []
    tried: dict[float, Tried] = {}
    for width in widths:
        network = task.network.controlled(Control(kind="input-blur", width=width))
        tried[width] = Tried(plain, evaluate(network, once, plain))
        on_clean = evaluate(network, clean, plain)
        curve.append({"width": width, "objective": tried[width].score.value, "clean": on_clean.value})
    best = ranked(tried.values())[0]
    chosen = next(width for width, one in tried.items() if one is best)
    table = task.network.controlled(Control(kind="input-blur", width=chosen)).configuration.table
    said = [
        f"A Gaussian blur of {chosen:g} px before the plain network, of {', '.join(f'{one:g}' for one in widths)}.",
        f"Reached {best.score.value:.4f} on {len(task.validation.source)} images.",
    ]
    path = out / step.name
    write_configuration(path, table, plain, said, task.hashes)
    record = {
        "objective": best.score.value,
        "conditions": task.validation.titles,
        "width": chosen,
        "curve": curve,
        "score": asdict(best.score),
        "image_hashes": dict(zip(task.validation.source.ids, task.hashes, strict=True)),
    }
    files.write(path.with_suffix(".tuning.json"), json.dumps({"result": record}, indent=1) + "\n")


def _time(step: Step, out: Path) -> None:
    write_times(out / step.name, step.options["data"], step.options["arms"])


_DOERS: Mapping[str, Callable[[Step, Path], None]] = {
    "train": _train,
    "levels": _find_levels,
    "configure": _configure,
    "tune": _tune,
    "blur": _blur,
    "time": _time,
    "run": _run,
}
