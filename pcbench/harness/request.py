"""What a user asks for: the one declaration of a run's options, shared by the command line, Python and files."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias, cast

from annotated_types import Ge, Le
from typing_extensions import TypedDict

from pcbench.arguments import LARGEST_SEED, MOST_DRAWS, MOST_PIXELS, MOST_PROCESSES, MOST_TIMESTEPS, shown
from pcbench.data.names import PLACE as SOURCE_PLACE
from pcbench.errors import UsageError
from pcbench.harness.engines.ray_cluster import cluster_address
from pcbench.network.gradient import GRADIENTS, Gradient
from pcbench.network.grid import GivenHyperparameters, texts_of
from pcbench.options import MODEL_PLACE, Option, resolved

if TYPE_CHECKING:
    from torch import nn

    from pcbench.harness.told_results import OnResult

    Model: TypeAlias = str | nn.Module
else:
    Model = object  # PyTorch takes seconds to import
    OnResult = object

_MODEL = "Model and images"
_ATTACK = "Attacks"
_CORRUPTION = "Corruptions"
_RUN = "The run"
_GRADIENTS = f"{' or '.join(GRADIENTS)}.".replace("_", "-")
# Where a value names a file or folder.
_ANY = "(?P<place>.+)"
_FILE = r"(?P<place>.+\.toml)"
TUNED = "tuned"
"""The value of `leave_out` by which the images that a configuration names are left out."""


def one_or_several(value: object) -> tuple[object, ...]:
    """Return a tuple of what may be given alone."""
    return tuple(cast("list[object]", value)) if isinstance(value, list | tuple) else (value,)


def a_function(value: object) -> object:
    """Return what `on_result` is given.

    Raises:
        UsageError: It cannot be called.
    """
    if value is not None and not callable(value):
        raise UsageError(f"`on_result` is a function of one value (got {shown(value)})")
    return value


class RunOptions(TypedDict, total=False):
    """The options of a run: any part of them is given, and once they are resolved all have a value."""

    model: Annotated[
        Model,
        Option(
            "A model: pdigits, timm:NAME, …",
            _MODEL,
            "pdigits",
            flags=("--model", "-m"),
            place=MODEL_PLACE,
            spec="model",
        ),
    ]
    """In Python also a `torch.nn.Module` that gives logits (batch, classes) or (T + 1, batch, classes) for images in
    [0,1]."""
    suites: Annotated[
        Sequence[str],
        Option(
            "A suite's name or folder; may be repeated.", _MODEL, (), flags=("--suite", "-s"), place=_ANY, spec="suites"
        ),
    ]
    """Where none is given, those that are made for the model's own data set."""
    data: Annotated[object, Option("digits, imagenet:PATH, parquet:PATH, …", _MODEL, place=SOURCE_PLACE, spec="data")]
    """In Python also an object with images and labels. Where none is given, the model's own data set."""
    images: Annotated[int | None, Ge(1), Option("Only this many images, named in the tables.", _MODEL, spec="suites")]
    """They are chosen by a fixed permutation. Where none is given, all, or as many as the suite states."""
    leave_out: Annotated[
        str | None, Option("tuned, or N or N:SEED: leave out pcbench tune's images.", _MODEL, spec="data")
    ]
    """The rest is measured, and called a subset. `tuned`: those whose hashes the configuration holds."""
    allow_tuned_images: Annotated[
        bool, Option("Measure images that the model was tuned on; the tables are marked.", _MODEL, default=False)
    ]
    """They are refused otherwise: numbers on them are too good."""
    resize: Annotated[
        Annotated[int, Ge(1), Le(MOST_PIXELS)] | bool,
        Option("Resize the short side to so many pixels, or --no-resize.", _MODEL, default=True, spec="data"),
    ]
    """By default as the model states. Predify's scripts resize to 224 where its paper says 256. Without resizing, the
    square that the model takes is cut from images as they are."""
    crop: Annotated[
        int | None,
        Ge(1),
        Le(MOST_PIXELS),
        Option("Side of the square that is cut from the middle.", _MODEL, spec="data"),
    ]
    """Where none is given, as the model states."""
    skip_damaged: Annotated[bool, Option("Leave out damaged image files, listed.", _MODEL, default=False, spec="data")]
    """All images are read before some are chosen."""
    timesteps: Annotated[
        int | None,
        Ge(0),
        Le(MOST_TIMESTEPS),
        Option("Updates T; 0..T are scored.", _MODEL, flags=("--timesteps", "-T"), spec="settings"),
    ]
    """Where none is given, the model's own."""
    backbone_weights: Annotated[Path | str | None, Option("Safetensors of the backbone.", _MODEL, spec="model")]
    configuration: Annotated[
        Path | str | None, Option("A configuration file in place of the model's own.", _MODEL, spec="model")
    ]
    """As `pcbench tune` writes it. Backbone, weights, mean, std and classes stay the model's."""
    weights: Annotated[Path | str | None, Option("Safetensors of the predictors.", _MODEL, spec="model")]
    random_predictors: Annotated[
        int | None, Ge(-LARGEST_SEED), Le(LARGEST_SEED), Option("Seed for untrained predictors.", _MODEL, spec="model")
    ]
    """The null control, marked in the results."""
    ablation: Annotated[str | None, Option("no-feedback (λ=0) or no-error (α=0).", _MODEL, spec="model")]
    hyperparameters: Annotated[
        GivenHyperparameters | None,
        Option(
            "β, λ, α: feedback=0.1; several values make one table.",
            _MODEL,
            flags=("--set",),
            form=texts_of,
            spec="settings",
        ),
    ]
    """NAME=VALUE or NAME=VALUE,VALUE,…: feedforward (ffm), feedback (fbm), error_weight (erm); pcoder2.feedback is one
    PCoder's. May be repeated; every combination of values is measured. In Python also a mapping, or one a PCoder."""
    stochastic: Annotated[
        int | None, Ge(1), Le(MOST_DRAWS), Option("Draws of a random network, averaged.", _MODEL, spec="settings")
    ]
    """The mean probability of the draws is measured, and attacked by expectation over other draws. A network that
    draws random numbers is refused without it."""
    model_version: Annotated[str | None, Option("Your name for a model without readable source.", _MODEL, spec="model")]
    attacks: Annotated[
        Sequence[object],
        Option(
            "An attack by itself: pgd, l2/pgd, FILE.toml, module:function; may be repeated.",
            _ATTACK,
            (),
            flags=("--attack",),
            place=_FILE,
            form=one_or_several,
            spec="suites",
        ),
    ]
    """In Python also an attack object of foolbox or torchattacks, a function (model, images, labels, epsilon) ->
    images, or what `own_attack` returns. They are the suite `given-attacks`; one worker measures them."""
    epsilons: Annotated[
        Sequence[float | str] | None, Option('Budgets, such as "1/255,8/255".', _ATTACK, spec="settings")
    ]
    """They replace the suite's, in units of the pixel range [0,1]."""
    attacked_timesteps: Annotated[
        Sequence[int] | None, Option("Attack these t alone; all t are scored.", _ATTACK, spec="settings")
    ]
    """Where none is given, every t is attacked by itself, and scored by itself. Images made against one of these are
    scored at every t, so that `robust_accuracy_any` is of all of them. Attacks on all t at once are as ever."""
    gradient: Annotated[Gradient, Option(_GRADIENTS, _ATTACK, "exact", spec="settings")]
    """How attacks differentiate the error term."""
    plain_sweep: Annotated[bool, Option("Attack every image at every ε.", _ATTACK, default=False, spec="settings")]
    """The success at exactly ε is reported."""
    bracketing: Annotated[
        bool,
        Option(
            "Skip budgets far out of reach, and spot-check a tenth of them.", _ATTACK, default=True, spec="settings"
        ),
    ]
    checks: Annotated[
        bool | None,
        Option(
            "Full checks of gradients (default: on all of the data, else a cheap form), or none.",
            _ATTACK,
            spec="settings",
        ),
    ]
    save_adversarials: Annotated[
        bool, Option("Keep adversarial images without loss.", _ATTACK, default=False, spec="settings")
    ]
    adversarials: Annotated[
        Path | str | None, Option("A run's kept images, to score by this model.", _ATTACK, spec="suites")
    ]
    """They replace suites and data."""
    corruptions: Annotated[
        Sequence[object],
        Option(
            "A corruption by itself: fog, FILE.toml, module:function; may be repeated.",
            _CORRUPTION,
            (),
            flags=("--corruption",),
            place=_FILE,
            form=one_or_several,
            spec="suites",
        ),
    ]
    """In Python also a function (images, severity, generator) -> images, or what `own_corruption` returns. They are the
    suite `given-corruptions`; one worker measures them."""
    severities: Annotated[
        Sequence[int] | None, Option("These severities alone, such as 1,3.", _CORRUPTION, spec="settings")
    ]
    """Of a noise, the numbers of its levels, from 1. With fewer than all there is no CE or mCE, only the mean accuracy
    over these."""
    backend: Annotated[
        Literal["fast", "reference"],
        Option("fast or reference.", _CORRUPTION, "fast", spec="settings.corruption_backend"),
    ]
    """Which code makes the corruptions."""
    corrupted: Annotated[Path | str | None, Option("Published corrupted files.", _CORRUPTION, spec="data")]
    """They are read, and no images are corrupted."""
    baseline: Annotated[Path | str | None, Option("A file of pcbench baseline, for CE and mCE.", _CORRUPTION)]
    """It is of a run of the same suite on the same images, and replaces the suite's own."""
    jpeg_quality: Annotated[
        int | None, Ge(1), Le(100), Option("Recompress as JPEG; published: 85.", _CORRUPTION, spec="settings")
    ]
    seed: Annotated[int, Ge(0), Le(LARGEST_SEED), Option("Seed of all randomness.", _RUN, 0, spec="settings")]
    batch_size: Annotated[int | None, Ge(1), Option("Images in one pass.", _RUN, spec="settings")]
    """Where none is given, 128 up to 64 px, else 32."""
    device: Annotated[str, Option("auto, cpu, cuda.", _RUN, "auto", spec="settings")]
    """Or cuda:1; auto takes a GPU where there is one."""
    precision: Annotated[str, Option("float32, tf32 or bfloat16.", _RUN, "float32", spec="settings")]
    compiled: Annotated[bool, Option("Use torch.compile.", _RUN, default=False, flags=("--compile",), spec="settings")]
    recompute: Annotated[bool, Option("Attacks with less memory, more time.", _RUN, default=False, spec="settings")]
    """The graphs of attacks are built one timestep at a time."""
    out: Annotated[Path | str | None, Option("The run's folder.", _RUN, repeats=False)]
    """Where none is given, results/runs/MODEL-SUITES-KEY."""
    spec: Annotated[Path | str | None, Option("A saved plan, which decides what is run.", _RUN, repeats=False)]
    """`pcbench plan` writes one with `--save-spec`. Paths and the device are still given here."""
    shard: Annotated[str | None, Option("A share of the work: 3/40, or auto/40 in a job array.", _RUN, repeats=False)]
    """It ends in the folder `shard-003-of-040` of `out`; `pcbench merge` makes the run of all."""
    again: Annotated[bool, Option("Compute again; discards unfinished work.", _RUN, default=False, repeats=False)]
    workers: Annotated[
        Annotated[int, Ge(1), Le(MOST_PROCESSES)] | Literal["auto"],
        Option("Processes that share the work: auto, or a number.", _RUN, "auto"),
    ]
    """auto: as many as cores by threads and the memory allow, one a GPU, one for an object of Python."""
    engine: Annotated[
        Literal["local", "ray"],
        Option("local, or ray for the nodes of a cluster.", _RUN, "local", repeats=False),
    ]
    """It changes no number."""
    ray_address: Annotated[str | None, Option("HOST:PORT of the head, auto or local.", _RUN, repeats=False)]
    """auto: the cluster that this machine is a node of; local: one that is started here for the run. Where none is
    given, RAY_ADDRESS, or local."""
    cpus_per_worker: Annotated[
        int | None, Ge(1), Le(MOST_PROCESSES), Option("CPUs that Ray keeps for a worker.", _RUN, repeats=False)
    ]
    """Where none is given, as many as threads."""
    gpus_per_worker: Annotated[
        float | None, Ge(0), Le(MOST_PROCESSES), Option("GPUs that Ray keeps for a worker.", _RUN, repeats=False)
    ]
    """A worker uses one; 0.5 lets two share one. Where none is given, 1 if the device is one."""
    threads: Annotated[
        int | None,
        Ge(1),
        Le(MOST_PROCESSES),
        Option("CPU threads of each worker (part of the key).", _RUN, spec="settings"),
    ]
    """They can change the last bits of a number. Where none is given, 1 for images of at most 64 pixels a side on a
    CPU, and 2 for larger ones, on other devices, and for objects of Python, which one worker has to itself."""
    block_size: Annotated[
        int | None, Ge(1), Option("Images in one unit of work, a multiple of the batch.", _RUN, spec="settings")
    ]
    """Where none is given, the smallest multiple of at least 512."""
    mixed_machines: Annotated[bool, Option("Continue work of another kind of machine.", _RUN, default=False)]
    allow_missing: Annotated[bool, Option("Finish without what cannot be computed.", _RUN, default=False)]
    """Tables say what is missing."""
    report: Annotated[bool, Option("Make the page and its figures.", _RUN, default=True, repeats=False)]
    """`pcbench report` makes them later."""
    figures: Annotated[
        Literal["page", "all"], Option("Figures that become files: the page's, or all.", _RUN, "page", repeats=False)
    ]
    """`pcbench figure` draws any one."""
    dry_run: Annotated[
        bool, Option("Print what pcbench plan prints, and compute nothing.", _RUN, default=False, repeats=False)
    ]
    """In Python this is `pcbench.plan`."""
    on_result: Annotated[
        OnResult | None,
        Option(
            "Called with each finished condition, and with the run.",
            _RUN,
            repeats=False,
            in_shell=False,
            form=a_function,
        ),
    ]
    """A function of one value, a `Result` (docs/how_to/python.md). It is called in the process of `run`, and changes no
    number; an exception in it is a warning."""
    progress: Annotated[bool, Option("Show progress.", _RUN, default=True, repeats=False, in_shell=False)]


def request_from(options: Mapping[str, Any]) -> RunOptions:
    """Return the values of all options of a run: those that are given, checked, and the defaults of the others.

    Raises:
        UnknownNameError: There is no such option; the message suggests the nearest one.
        DataError: The saved plan is missing or damaged.
        UsageError: A value is not one that a run can have, or two exclude each other.
    """
    values = resolved(RunOptions, options)
    if values["spec"] is not None:
        from pcbench.harness.saved_options import with_saved  # it knows these options

        values = with_saved(values, given=options)
    leave_out, block, batch = values["leave_out"], values["block_size"], values["batch_size"]
    if leave_out is not None and not re.fullmatch(rf"[1-9]\d*(:\d+)?|{TUNED}", leave_out):
        raise UsageError(
            f"`leave_out` is {TUNED}, or how many images, or that and tune's seed: 1000:0 (got {leave_out!r})"
        )
    if block is not None and batch is not None and block % batch:
        raise UsageError(f"`block_size` is a multiple of `batch_size`, so that batches fit (got {block} and {batch})")
    for name in ("severities", "attacked_timesteps"):
        values[name] = _each_once(name, values[name])
    _check_engine(values)
    if values["on_result"] is not None and values["shard"] is not None:
        raise UsageError("a shard finishes no condition: give `on_result` to a whole run")
    if values["shard"] is not None and (values["attacks"] or values["corruptions"]):
        raise UsageError("a shard measures suites: put the files of `attacks` and `corruptions` into a suite's folder")
    return values


def _each_once(name: str, numbers: Sequence[int] | None) -> tuple[int, ...] | None:
    """Return whole numbers in ascending order: in which they are given changes nothing.

    Raises:
        UsageError: There is none, or one twice.
    """
    if numbers is None:
        return None
    if not numbers or len(set(numbers)) < len(numbers):
        raise UsageError(f"`{name}` names at least one number, and each once (got {shown(tuple(numbers))})")
    return tuple(sorted(numbers))


def _check_engine(values: RunOptions) -> None:
    for name in ("ray_address", "cpus_per_worker", "gpus_per_worker"):
        if values["engine"] != "ray" and values[name] is not None:
            raise UsageError(f"`{name}` is for Ray: give engine='ray' as well")
    if values["engine"] == "ray":
        cluster_address(values["ray_address"])
