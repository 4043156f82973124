"""`pcbench run`: measure a network under corruptions and attacks, timestep by timestep."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

_MODEL = "Model and images"
_ATTACK = "Attacks"
_CORRUPTION = "Corruptions"
_RUN = "The run"


def run_command(
    model: Annotated[
        str, typer.Option("--model", "-m", help="A zoo name or module:function.", rich_help_panel=_MODEL)
    ] = "pdigits",
    suite: Annotated[
        list[str] | None,
        typer.Option("--suite", "-s", help="A suite's name or folder; may be repeated.", rich_help_panel=_MODEL),
    ] = None,
    data: Annotated[
        str | None, typer.Option("--data", help="digits, imagenet:PATH, parquet:PATH, …", rich_help_panel=_MODEL)
    ] = None,
    images: Annotated[
        int | None, typer.Option("--images", help="Only this many images, named in the tables.", rich_help_panel=_MODEL)
    ] = None,
    leave_out: Annotated[
        str | None,
        typer.Option("--leave-out", help="N or N:SEED: not the images pcbench tune chose by.", rich_help_panel=_MODEL),
    ] = None,
    timesteps: Annotated[
        int | None, typer.Option("--timesteps", "-T", help="Updates T; 0..T are scored.", rich_help_panel=_MODEL)
    ] = None,
    backbone_weights: Annotated[
        Path | None, typer.Option("--backbone-weights", help="Safetensors of the backbone.", rich_help_panel=_MODEL)
    ] = None,
    weights: Annotated[
        Path | None, typer.Option("--weights", help="Safetensors of the predictors.", rich_help_panel=_MODEL)
    ] = None,
    random_predictors: Annotated[
        int | None,
        typer.Option("--random-predictors", help="Seed for untrained predictors.", rich_help_panel=_MODEL),
    ] = None,
    ablation: Annotated[
        str | None, typer.Option("--ablation", help="no-feedback (λ=0) or no-error (α=0).", rich_help_panel=_MODEL)
    ] = None,
    epsilons: Annotated[
        str | None, typer.Option("--epsilons", help='Budgets, such as "1/255,8/255".', rich_help_panel=_ATTACK)
    ] = None,
    gradient: Annotated[
        str, typer.Option("--gradient", help="exact or stop-error.", rich_help_panel=_ATTACK)
    ] = "exact",
    plain_sweep: Annotated[
        bool, typer.Option("--plain-sweep", help="Attack every image at every ε.", rich_help_panel=_ATTACK)
    ] = False,
    bracketing: Annotated[
        bool,
        typer.Option(
            "--bracketing/--no-bracketing",
            help="Skip budgets far out of reach, and spot-check a tenth of them.",
            rich_help_panel=_ATTACK,
        ),
    ] = True,
    checks: Annotated[
        bool | None,
        typer.Option(
            "--checks/--no-checks",
            help="Collect evidence on the gradients; by default on all of the data, not on a part.",
            rich_help_panel=_ATTACK,
        ),
    ] = None,
    save_adversarials: Annotated[
        bool, typer.Option("--save-adversarials", help="Keep adversarial images, lossless.", rich_help_panel=_ATTACK)
    ] = False,
    adversarials: Annotated[
        Path | None,
        typer.Option("--adversarials", help="A run's kept images, to score by this model.", rich_help_panel=_ATTACK),
    ] = None,
    backend: Annotated[str, typer.Option("--backend", help="fast or reference.", rich_help_panel=_CORRUPTION)] = "fast",
    corrupted: Annotated[
        Path | None, typer.Option("--corrupted", help="Published corrupted files.", rich_help_panel=_CORRUPTION)
    ] = None,
    jpeg_quality: Annotated[
        int | None, typer.Option("--jpeg-quality", help="Recompress as published (85).", rich_help_panel=_CORRUPTION)
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Seed of all randomness.", rich_help_panel=_RUN)] = 0,
    batch_size: Annotated[
        int | None, typer.Option("--batch-size", help="Images in one pass.", rich_help_panel=_RUN)
    ] = None,
    device: Annotated[str, typer.Option("--device", help="auto, cpu, cuda.", rich_help_panel=_RUN)] = "auto",
    precision: Annotated[
        str, typer.Option("--precision", help="float32, tf32 or bfloat16.", rich_help_panel=_RUN)
    ] = "float32",
    compiled: Annotated[bool, typer.Option("--compile", help="Use torch.compile.", rich_help_panel=_RUN)] = False,
    recompute: Annotated[
        bool, typer.Option("--recompute", help="Attacks with less memory, more time.", rich_help_panel=_RUN)
    ] = False,
    out: Annotated[Path | None, typer.Option("--out", help="The run's folder.", rich_help_panel=_RUN)] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Compute anew; discards unfinished work.", rich_help_panel=_RUN)
    ] = False,
    workers: Annotated[int, typer.Option("--workers", help="Processes that share the work.", rich_help_panel=_RUN)] = 1,
    threads: Annotated[
        int, typer.Option("--threads", help="CPU threads of each worker; in the key.", rich_help_panel=_RUN)
    ] = 2,
    block_size: Annotated[
        int | None,
        typer.Option("--block-size", help="Images in one unit of work, a multiple of the batch.", rich_help_panel=_RUN),
    ] = None,
    mixed_machines: Annotated[
        bool,
        typer.Option("--mixed-machines", help="Go on with another kind of machine's work.", rich_help_panel=_RUN),
    ] = False,
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="Finish without what cannot be computed.", rich_help_panel=_RUN)
    ] = False,
    model_version: Annotated[
        str | None,
        typer.Option("--model-version", help="Your name for a model of unreadable source.", rich_help_panel=_MODEL),
    ] = None,
) -> None:
    """Measure how robust a network is at every timestep.

    Without options: the pdigits network on scikit-learn's handwritten digits, corrupted and attacked.
    """
    options: dict[str, Any] = dict(locals())
    options["suites"] = tuple(options.pop("suite") or ())
    options["gradient"] = gradient.replace("-", "_")

    from pcbench.harness.request import request_from
    from pcbench.harness.start import start

    options["epsilons"] = _epsilons(epsilons)
    _log_progress()
    finished = start(request_from(options))

    from pcbench.cli.run_table import print_summary

    print_summary(finished)


def _log_progress() -> None:
    """Without a terminal, write our own progress (and no other library's) as lines with the time."""
    logger = logging.getLogger("pcbench")
    if not sys.stderr.isatty() and not logger.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", datefmt="%H:%M:%S"))
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)


def _epsilons(text: str | None) -> tuple[float, ...] | None:
    if text is None:
        return None
    from pcbench.attacks.definitions import read_epsilons

    return read_epsilons([part.strip() for part in text.split(",")], "l2")
