"""What the networks of the paper cost at full size (224 px) under each kind of suite: time and memory alone.

    PCBENCH_TEST_DATA=FOLDER uv run python benchmarks/full_size_networks.py [--models pvgg16 …] [--commands noise …]
        [--images 4] [--attacked 2]

Each command is an ordinary `pcbench run` in a process of its own, with one worker: noise, manifold and imagenet-c at
severity 3 on four images, PGD with five steps at one ε against t = 0 and t = 2 on two. Images are those of
FOLDER/imagenette/val-500.parquet. Where a library publishes a backbone's weights, random ones stand for them, drawn
from a seed; predictors are random too. So no accuracy of these runs means anything, and none is kept. Time does not
depend on the values of weights as long as representations stay in the range of numbers: for this the statistics of
batch normalisation are those of eight images of noise, since with PyTorch's own EfficientNetB0 shrinks them to 1e-13.

PGD is targeted: an untargeted attack leaves out the images that are wrong when they are clean, which are all of them
here. A targeted one attacks them all and takes the same steps.

Passes are those of `pcbench plan`, where one with a gradient counts as three. Milliseconds of a pass (one image through
one timestep) are of processor time, without that of `start`: one image, t = 0 alone. Two files are written after each
command, `full-size.csv` and `README.md`; rows of other networks and commands that stand in them stay.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import io
import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
MODELS = ("pvgg16", "pefficientnet_b0")
TIMESTEPS, SEED = 4, 0
START = "start"
COMMANDS = ("noise", "pgd", "manifold", "imagenet-c")
PASSES_PER_GRADIENT = 3
ENTRY = "import sys; sys.argv[0] = 'pcbench'; from pcbench.cli.entry import run_command_line; run_command_line()"
PGD = """
title = "PGD, 5 steps, targeted"
library = "foolbox"
attack = "LinfProjectedGradientDescentAttack"
norm = "linf"
epsilons = ["4/255"]
steps = 5
relative_step_size = 0.5
random_start = true
targeted = true
target_offset = 500
source = "this benchmark"
"""


@dataclass(frozen=True)
class Measured:
    """One row of the table: what a command did, and what it took."""

    model: str
    command: str
    images: int
    timesteps: int
    """T; 0 to T are answered."""
    forward_passes: int
    """Of one image through one timestep, those without a gradient."""
    gradient_passes: int
    seconds: float
    cpu_seconds: float
    peak_memory_mb: int
    cpu_ms_per_pass: float | None
    """Without what `start` takes; a pass with a gradient counts as three."""
    threads: int
    machine: str
    versions: str


def main() -> None:
    """Measure every command of every network, and write the table."""
    options = _options()
    images = _images_file()
    if options.prepare is not None:
        _prepare(options.prepare, options, images)
        return
    options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=options.scratch) as scratch:
        for model in options.models:
            folder = Path(scratch) / f"model-{options.models.index(model)}"
            for row in measure(model, folder, options, images):
                print(row, flush=True)
                write_tables(options.out, row)


def measure(model: str, folder: Path, options: argparse.Namespace, images: Path) -> Iterator[Measured]:
    """Yield what each command takes, `start` first.

    Args:
        model: The network.
        folder: Receives weights, suite and runs.
        options: Those of the command line.
        images: The Parquet file.
    """
    passes = _prepared(model, folder, options)
    started = None
    for name, given in commands(model, folder, options, images).items():
        run = folder / "runs" / name
        words = ["run", *given, "--out", str(run)]
        if started is None:
            # The first process of all reads libraries from the disk and compiles them.
            run_measured(words, run)
            words.append("--again")
        seconds, cpu_seconds, memory = run_measured(words, run)
        started = cpu_seconds if started is None else started
        forward, gradients = passes[name]
        manifest = json.loads((run / "manifest.json").read_text(encoding="utf-8"))
        work = forward + PASSES_PER_GRADIENT * gradients
        yield Measured(
            model,
            name,
            images=int(given[given.index("--images") + 1]),
            timesteps=int(given[given.index("--timesteps") + 1]),
            forward_passes=forward,
            gradient_passes=gradients,
            seconds=round(seconds, 1),
            cpu_seconds=round(cpu_seconds, 1),
            peak_memory_mb=round(memory),
            cpu_ms_per_pass=None if name == START else round(1000 * (cpu_seconds - started) / work, 1),
            threads=options.threads,
            machine=", ".join(manifest["machines"]),
            versions=", ".join(f"{name} {version}" for name, version in manifest["spec"]["versions"].items()),
        )


def commands(model: str, folder: Path, options: argparse.Namespace, images: Path) -> dict[str, list[str]]:
    """Return the options of each `pcbench run`, `start` first.

    Args:
        model: The network.
        folder: Holds `backbone.safetensors`, where the network's weights are drawn, and the suite of PGD.
        options: Those of the command line.
        images: The Parquet file.
    """
    weights = folder / "backbone.safetensors"
    network = ["--model", model, "--random-predictors", str(SEED), "--threads", str(options.threads)]
    network += ["--backbone-weights", str(weights)] if weights.is_file() else []
    common = [*network, "--data", f"parquet:{images}", "--workers", "1", "--no-report"]
    unrolled = [*common, "--timesteps", str(TIMESTEPS)]
    corrupted = [*unrolled, "--images", str(options.images), "--severities", "3", "--suite"]
    attacked = [*unrolled, "--images", str(options.attacked), "--attacked-timesteps", "0,2", "--no-checks", "--suite"]
    found = {
        START: [*common, "--timesteps", "0", "--images", "1", "--severities", "3", "--suite", "gaussian-noise"],
        "noise": [*corrupted, "gaussian-noise"],
        "pgd": [*attacked, str(folder / "attacks" / "pgd-five-steps")],
        "manifold": [*corrupted, "manifold"],
        "imagenet-c": [*corrupted, "imagenet-c"],
    }
    return {name: given for name, given in found.items() if name in (START, *options.commands)}


def run_measured(given: list[str], out: Path) -> tuple[float, float, float]:
    """Run pcbench in a process of its own; return its seconds, its processor seconds and its peak memory in MB.

    This process stays small, since a new process counts as its own peak what the one was that started it.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    log = out.with_suffix(".log")
    command = [sys.executable, "-c", ENTRY, "--no-cache", *given]
    with log.open("wb") as stream:
        start = time.perf_counter()
        process = subprocess.Popen(command, stdout=stream, stderr=subprocess.STDOUT)  # noqa: S603  # pcbench itself
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        said = log.read_text(encoding="utf-8", errors="replace")
        raise SystemExit(f"pcbench {shlex.join(given)} ended with {process.returncode}:\n{said[-2000:]}")
    # On macOS in bytes.
    unit = 1e6 if sys.platform == "darwin" else 1e3
    return seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / unit


def write_tables(folder: Path, row: Measured) -> None:
    """Put a row into the table for programs and that for readers; a row of the same network and command goes.

    Args:
        folder: Holds or receives `full-size.csv` and `README.md`.
        row: What was measured.
    """
    path, names = folder / "full-size.csv", [field.name for field in fields(Measured)]
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    if path.is_file():
        with path.open(newline="", encoding="utf-8") as stream:
            rows = {(one["model"], one["command"]): one for one in csv.DictReader(stream)}
    rows[row.model, row.command] = {name: "" if value is None else str(value) for name, value in asdict(row).items()}
    with path.open("w", newline="", encoding="utf-8") as stream:
        table = csv.DictWriter(stream, names, lineterminator="\n")
        table.writeheader()
        table.writerows(rows.values())
    shown = [name for name in names if name not in ("machine", "versions")]
    lines = ["| " + " | ".join(one[name] for name in shown) + " |" for one in rows.values()]
    made_with: dict[str, set[str]] = defaultdict(set)
    for one in rows.values():
        made_with[one["machine"]].update(one["versions"].split(", "))
    made_with_lines = [f"- {machine}; {', '.join(sorted(versions))}" for machine, versions in made_with.items()]
    text = PAGE.format(rows="\n".join(lines), made_with="\n".join(made_with_lines))
    (folder / "README.md").write_text(text, encoding="utf-8", newline="\n")


PAGE = """# Time and memory of the networks at full size: no finding about robustness

Backbone and predictors have random weights from a seed, since the published ones could not be had where this was made.
So accuracies of these runs mean nothing, and none is published. What each command took, at 224 px on images of
Imagenette, with one worker and without a cache of kernels:

| network | command | images | T | passes | gradients | seconds | CPU seconds | MB at most | CPU ms a pass | threads |
|---|---|---|---|---|---|---|---|---|---|---|
{rows}

- A command is one `pcbench run --no-report` in a process of its own, from its start to its end. `start` is one image at
  t = 0, the second time that it is run.
- noise (σ = 0.75 on the normalised image), manifold and imagenet-c are at severity 3. pgd has five steps, ε = 4/255,
  against t = 0 and t = 2, without checks; it is targeted, since an untargeted attack leaves out images that are wrong
  from the start.
- A pass takes one image through one timestep. They are counted by `pcbench plan`, those for examples and for growth
  among them. CPU milliseconds a pass are without the CPU seconds of `start`; a pass with a gradient counts as three.
  They are those of the whole command: reading and corrupting the images are in them.
- Four images are meant, and two for pgd; where there are fewer, they were cut for want of time.
- Other programs may have run on the same machine: the CPU seconds say more than the seconds.

Kind of processor, and versions:

{made_with}

Made by `PCBENCH_TEST_DATA=FOLDER python benchmarks/full_size_networks.py`; `full-size.csv` has the same numbers.
"""


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=list(MODELS))
    parser.add_argument("--commands", nargs="+", choices=COMMANDS, default=list(COMMANDS))
    parser.add_argument("--images", type=int, default=4)
    parser.add_argument("--attacked", type=int, default=2, help="images that PGD attacks")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=ROOT / "results" / "full-size")
    parser.add_argument("--scratch", type=Path, help="a folder on a disk with room for weights and runs, 600 MB")
    parser.add_argument("--prepare", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def _images_file() -> Path:
    folder = os.environ.get("PCBENCH_TEST_DATA")
    path = Path(folder or "missing") / "imagenette" / "val-500.parquet"
    if folder is None or not path.is_file():
        where = "is not set" if folder is None else "has no imagenette/val-500.parquet"
        print(f"PCBENCH_TEST_DATA {where}: set it to the folder of images and weights for tests", file=sys.stderr)
        raise SystemExit(2)
    return path


def _prepared(model: str, folder: Path, options: argparse.Namespace) -> dict[str, tuple[int, int]]:
    """Let another process draw weights and write the suite; return each command's passes, without and with gradient."""
    words = ["--images", str(options.images), "--attacked", str(options.attacked), "--threads", str(options.threads)]
    words += ["--models", model, "--prepare", str(folder), "--commands", *options.commands]
    command = [sys.executable, __file__, *words]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)  # noqa: S603  # this program
    return {name: (int(counts[0]), int(counts[1])) for name, counts in json.loads(done.stdout).items()}


def _prepare(folder: Path, options: argparse.Namespace, images: Path) -> None:
    suite = folder / "attacks" / "pgd-five-steps"
    suite.mkdir(parents=True)
    (suite / "suite.toml").write_text('version = "1"\ntitle = "PGD, five steps"\nsource = "this benchmark"\n')
    (suite / "pgd.toml").write_text(PGD)
    (model,) = options.models
    _draw_weights(model, folder / "backbone.safetensors")
    given = commands(model, folder, options, images)
    print(json.dumps({name: _planned(words) for name, words in given.items()}))


def _draw_weights(model: str, path: Path) -> None:
    """Write random weights of a network of the zoo; another network has its own."""
    import torch
    from safetensors.torch import save_file

    from pcbench.models.backbones import open_backbone
    from pcbench.models.zoo import zoo_entry, zoo_names

    if model not in zoo_names():
        return
    backbone = open_backbone(zoo_entry(model).backbone).eval()
    normalisations = [module for module in backbone.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    if normalisations:
        for module in normalisations:
            module.train().momentum = None
        torch.manual_seed(SEED)
        with torch.no_grad():
            backbone(torch.randn(8, 3, 224, 224))
    save_file({name: value.contiguous() for name, value in backbone.state_dict().items()}, path)


def _planned(given: list[str]) -> tuple[float, float]:
    from pcbench.cli.main import main as command_line

    with contextlib.redirect_stdout(io.StringIO()) as printed, contextlib.suppress(SystemExit):
        command_line(["plan", *given, "--json"])
    found = json.loads(printed.getvalue())
    return found["forward_passes"], found["gradient_passes"]


if __name__ == "__main__":
    main()
