"""What a start costs before anything is computed: the help, a list, a wrong name, and imports beside PyTorch's.

    uv run python benchmarks/start_up.py [--turns 7]

Each is a process of its own, of which the processor seconds count, user and system. They take turns, after one turn
that is not counted: Python keeps compiled files in it, unless PYTHONDONTWRITEBYTECODE forbids it. The smallest of the
turns is the one that other processes disturbed least.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys

COMMAND_LINE = "from pcbench.cli.entry import run_command_line; run_command_line()"
TORCH = "import torch"
STARTS: dict[str, tuple[str, ...]] = {
    TORCH: (TORCH,),
    "import pcbench; pcbench.run": ("import pcbench; pcbench.run",),
    "import pcbench.harness.run": ("import pcbench.harness.run",),
    "imports of a worker": ("import pcbench.harness.run, pcbench.harness.work.scores, pcbench.harness.work.attacks",),
    "import typer": ("import typer, typer.rich_utils",),
    "pcbench --help": (COMMAND_LINE, "--help"),
    "pcbench --version": (COMMAND_LINE, "--version"),
    "pcbench list": (COMMAND_LINE, "list"),
    "pcbench run --help": (COMMAND_LINE, "run", "--help"),
    "pcbench run --model pdigit": (COMMAND_LINE, "run", "--model", "pdigit"),
}
"""What is started by Python, with the words that follow."""


def main() -> None:
    """Take turns, and print the processor seconds of each, and the ratios of the imports to PyTorch's."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--turns", type=int, default=7)
    turns = parser.parse_args().turns
    found: dict[str, list[float]] = {name: [] for name in STARTS}
    for _ in range(turns + 1):
        for name, words in STARTS.items():
            found[name].append(processor_seconds([sys.executable, "-c", *words]))
    counted = {name: seconds[1:] for name, seconds in found.items()}
    for name, seconds in counted.items():
        print(f"{name}: {min(seconds):.3f} s of processors (median {statistics.median(seconds):.3f}, {turns} turns)")
        if name.startswith("import") and name not in (TORCH, "import typer"):
            print(f"    {min(seconds) / min(counted[TORCH]):.2f} times `{TORCH}`")


def processor_seconds(command: list[str]) -> float:
    """Run a process to its end and return its processor seconds, user and system."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # noqa: S603  # of ours
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    main()
