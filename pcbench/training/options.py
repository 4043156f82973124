"""The declarations of the options of a training and a tuning, and what an option means where it is not given."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from annotated_types import Ge, Le
from typing_extensions import TypedDict

from pcbench.arguments import LARGEST_SEED, MOST_PIXELS, MOST_PROCESSES, MOST_TIMESTEPS, a_word
from pcbench.catalog import suite_folder
from pcbench.data.names import PLACE as SOURCE_PLACE
from pcbench.errors import UsageError
from pcbench.options import MODEL_PLACE, Option, with_places

_WHAT = "What is trained"
_HOW = "How (by default as the model states)"
_SEEDS = "Seeds of their own (by default that of --seed)"
_WHERE = "Where"
_RUNS = Path("results") / "runs"

DEVICES = ("auto", "cpu", "cuda", "mps")
"""What a training computes on; its processes share the GPUs."""

OBJECTIVES = ("noise", "clean")
"""What is tuned for, besides ``suite:NAME``."""
OF_SUITE = "suite:"
"""What stands before the name of a suite that is tuned for."""

LARGEST_TRAINING_SEED = 2**32 - 1
"""Optuna takes seeds of 32 bits."""
_Seed = Annotated[int, Ge(0), Le(LARGEST_TRAINING_SEED)]


class TrainOptions(TypedDict, total=False):
    """The options of `pcbench train`: any part of them is given, and once they are resolved all have a value."""

    model: Annotated[
        str, Option("A model: pdigits, timm:NAME, …", _WHAT, "pdigits", flags=("--model", "-m"), place=MODEL_PLACE)
    ]
    data: Annotated[
        str | None, Option("Training images: digits, imagefolder:PATH, parquet:PATH, …", _WHAT, place=SOURCE_PLACE)
    ]
    images: Annotated[int | None, Ge(1), Option("Only this many training images.", _WHAT)]
    resize: Annotated[
        Annotated[int, Ge(1), Le(MOST_PIXELS)] | bool,
        Option("Resize the short side to so many pixels, or --no-resize.", _WHAT, default=True),
    ]
    """By default as the model states; Predify's scripts resize to 224."""
    crop: Annotated[
        int | None, Ge(1), Le(MOST_PIXELS), Option("Side of the square that is cut from the middle.", _WHAT)
    ]
    backbone_weights: Annotated[Path | str | None, Option("Safetensors of the backbone.", _WHAT)]
    configuration: Annotated[Path | str | None, Option("A configuration file in place of the model's own.", _WHAT)]
    weights: Annotated[
        Path | str | None,
        Option("Predictors to start from, in any layout; FOLDER@EPOCH takes another epoch than the newest.", _WHAT),
    ]
    """Without it they start from random ones. A backbone in the file is the network's, and stays as it is."""
    method: Annotated[
        Literal["ridge", "descent", "reference"] | None,
        Option(
            "ridge solves predictors, and goes on by steps where they are not linear; descent takes steps alone; "
            "reference is the recipe of the paper's scripts.",
            _HOW,
        ),
    ]
    held_out: Annotated[
        int | None,
        Ge(1),
        Option("Images that R² is measured on and nothing learns from; by default a tenth, 1000 at most.", _HOW),
    ]
    epochs: Annotated[
        int | None, Ge(1), Option("Passes over the images; more than a finished training did: it goes on.", _HOW)
    ]
    batch_size: Annotated[int | None, Ge(1), Option("Images in a step, over all processes.", _HOW)]
    optimizer: Annotated[str | None, Option("sgd, rmsprop or adam.", _HOW)]
    learning_rate: Annotated[float | None, Option("Learning rate of the first step.", _HOW)]
    weight_decay: Annotated[float | None, Option("L2.", _HOW)]
    schedule: Annotated[str | None, Option("constant or cosine.", _HOW)]
    noise: Annotated[
        Sequence[float | str] | None,
        Option("Gaussian noise on e_0, as standard deviations; each image draws one in each epoch.", _HOW),
    ]
    noise_target: Annotated[
        Literal["noisy", "clean"] | None,
        Option(
            "What predictors reconstruct where there is noise: the noisy layer below (default), or the clean one.", _HOW
        ),
    ]
    shuffle: Annotated[
        Literal["rows", "columns"] | None,
        Option("Put rows or columns of each image into an order of its own, as a control.", _HOW),
    ]
    seed: Annotated[int, Le(LARGEST_TRAINING_SEED), Option("Seed of all randomness.", _HOW, 0)]
    images_seed: Annotated[_Seed | None, Option("Of which images are trained on and which held out.", _SEEDS)]
    initialisation_seed: Annotated[_Seed | None, Option("Of the random weights at the start.", _SEEDS)]
    order_seed: Annotated[_Seed | None, Option("Of the order of the images, and of dropout.", _SEEDS)]
    noise_seed: Annotated[_Seed | None, Option("Of noise and shuffling.", _SEEDS)]
    allow_poor: Annotated[
        bool,
        Option("End well even if a predictor is worse than each channel's mean.", _WHERE, default=False, repeats=False),
    ]
    """On the command line; in Python a warning says so."""
    out: Annotated[Path | str | None, Option("The training's folder; a stopped one resumes.", _WHERE, repeats=False)]
    processes: Annotated[
        int, Ge(1), Le(MOST_PROCESSES), Option("Processes that share the work; one per GPU.", _WHERE, 1, repeats=False)
    ]
    workers: Annotated[
        int, Ge(0), Le(MOST_PROCESSES), Option("Processes that decode images.", _WHERE, 0, repeats=False)
    ]
    device: Annotated[str, Option("auto, cpu, cuda.", _WHERE, "cpu", repeats=False)]


class TuneOptions(TypedDict, total=False):
    """The options of `pcbench tune`, as those of a training."""

    model: Annotated[
        str, Option("A model: pdigits, timm:NAME, …", default="pdigits", flags=("--model", "-m"), place=MODEL_PLACE)
    ]
    data: Annotated[
        str | None,
        Option("Labelled images, best of a training set; by default the model's own.", place=SOURCE_PLACE),
    ]
    """Those that the predictors were not fitted on are taken, where the file of the predictors says which these are."""
    objective: Annotated[str, Option("What is tuned for: noise, clean or suite:NAME.", default="noise")]
    noise: Annotated[
        Sequence[float | str] | None,
        Option("Standard deviations of the noise on e_0, such as 0.1,0.3; 0 adds clean images."),
    ]
    """By default those of a fixed ladder at which t = 0 is right on 20 to 90 % of the images, four at most."""
    method: Annotated[Literal["gradient", "search"] | None, Option("gradient or search (Optuna).")]
    """By default the gradient where the network has one, else the search."""
    rounds: Annotated[int | None, Ge(1), Option("Steps of the descent (60 by default), or trials of the search (24).")]
    batch_size: Annotated[
        int, Ge(1), Option("Pairs of an image and a condition in a step of the gradient.", default=64)
    ]
    effects: Annotated[bool, Option("Tune again without each term, to see what it does.", default=True)]
    loss: Annotated[
        Literal["last", "mean"] | None,
        Option("What the gradient lowers: the cross-entropy at T (last, the default), or its mean over t = 0..T."),
    ]
    learn: Annotated[
        Sequence[str] | None,
        Option("What the gradient moves: feedforward, feedback, error_weight; by default all. Repeat it."),
    ]
    without: Annotated[
        Literal["feedback", "error_weight"] | None,
        Option("A control: feedback (λ = 0) or error-weight (α = 0) stays 0, and the rest is tuned."),
    ]
    learning_rate: Annotated[float | None, Option("Of the gradient method; 0.1 by default.")]
    timesteps: Annotated[
        int | None, Ge(0), Le(MOST_TIMESTEPS), Option("T; the accuracy there decides.", flags=("--timesteps", "-T"))
    ]
    images: Annotated[int, Ge(1), Option("How many images of data without a validation split.", default=1000)]
    resize: Annotated[
        Annotated[int, Ge(1), Le(MOST_PIXELS)] | bool,
        Option("Resize the short side to so many pixels, or --no-resize.", default=True),
    ]
    """By default as the model states; Predify's scripts resize to 224."""
    crop: Annotated[int | None, Ge(1), Le(MOST_PIXELS), Option("Side of the square that is cut from the middle.")]
    backbone_weights: Annotated[Path | str | None, Option("Safetensors of the backbone.")]
    configuration: Annotated[Path | str | None, Option("A configuration file in place of the model's own.")]
    weights: Annotated[Path | str | None, Option("Predictors, in any layout.")]
    random_predictors: Annotated[
        int | None, Ge(-LARGEST_SEED), Le(LARGEST_SEED), Option("Seed for untrained predictors, as a control.")
    ]
    seed: Annotated[
        int, Ge(0), Le(LARGEST_TRAINING_SEED), Option("Seed of noise, proposals and validation images.", default=0)
    ]
    out: Annotated[Path | str | None, Option("The configuration file that is written.", repeats=False)]


def data_of(options: TrainOptions | TuneOptions) -> str:
    """Return the data source that is asked for, or else the model's own.

    Raises:
        UnknownNameError: There is no such model.
        UsageError: The model has no data of its own.
    """
    from pcbench.models.zoo import default_data, named_elsewhere, zoo_entry  # slow, and not needed for `--help`

    model = options["model"]
    if not named_elsewhere(model):
        zoo_entry(model)  # an unknown name is refused before anything else is asked for
    found = options["data"] or default_data(model)
    if found is None:
        raise UsageError(f"{model}: say which images are used: give data='imagefolder:PATH'")
    return found


def refuse_unknown_objective(options: TuneOptions) -> None:
    """Refuse what nothing can be tuned for.

    Raises:
        UnknownNameError: There is no such objective, or suite.
    """
    objective = options["objective"]
    if objective.startswith(OF_SUITE):
        suite_folder(objective.removeprefix(OF_SUITE))
    else:
        a_word("objective", objective, (*OBJECTIVES, f"{OF_SUITE}NAME"))


def model_name(options: TrainOptions | TuneOptions) -> str:
    """Return what the trained model is called: a configuration without its folder."""
    named = with_places(TrainOptions, {"model": options["model"]}, lambda place: Path(place).name)
    return str(named["model"])


def file_stem(options: TrainOptions | TuneOptions) -> str:
    """Return what the names of a training's files begin with."""
    return re.sub("[:/]", "-", model_name(options))


def folder_of(options: TrainOptions) -> Path:
    """Return the folder that receives a training."""
    name = f"train-{file_stem(options)}-seed{options['seed']}"
    return _RUNS / name if options["out"] is None else Path(options["out"])


def weights_of_training(options: TrainOptions) -> Path:
    """Return the file that receives a training's weights."""
    return folder_of(options) / f"{file_stem(options)}.safetensors"


def file_of(options: TuneOptions) -> Path:
    """Return the configuration file that a tuning writes."""
    return _RUNS / f"tune-{file_stem(options)}.toml" if options["out"] is None else Path(options["out"])
