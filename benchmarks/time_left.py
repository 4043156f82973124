"""How well a run tells its time left, and what skipping leaves of its sweeps.

    uv run python benchmarks/time_left.py [--every 10] [--record FILE] [-- options of pcbench run]

Runs `pcbench run` with the options given (by default none: the digits' suites, four minutes on two free cores), reads
its progress.json every ten seconds, and prints a row each time: the seconds since the start, the time left as it was
told, the true one, and how many times one is the other. The last line is the worst factor after the first minute, while
at least half a minute was left: 2.0 is the most that the project accepts. The time left is that until the run's end,
pages included.

Then, for each attack, the share of pairs of image and budget that were attacked: the source of the usual shares in
`pcbench.harness.costs`, for the run of `pcbench run` without options.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from pcbench.results.directory import PROGRESS, open_run

FIRST_MINUTE, LAST_HALF_MINUTE = 60.0, 30.0
Row = tuple[float, float, float]
"""Seconds since the start, the time left as it was told, and the true one."""


def record(folder: Path, options: Sequence[str], every: float) -> list[Row]:
    """Run pcbench into a folder and return what it told on the way."""
    code = "from pcbench.cli.main import main; main()"
    began = time.time()
    command = [sys.executable, "-c", code, "run", *options, "--out", str(folder)]
    process = subprocess.Popen(command)  # noqa: S603 - our own interpreter and our own code
    told: list[tuple[float, float]] = []
    while process.poll() is None:
        time.sleep(every)
        told += _told(folder, began)
    if process.returncode:
        sys.exit(process.returncode)
    whole = time.time() - began
    return [(passed, left, whole - passed) for passed, left in dict(told).items()]


def _told(folder: Path, began: float) -> Iterator[tuple[float, float]]:
    """Yield when the last report was written, and the time left in it."""
    try:
        content = json.loads((folder.with_name(f"{folder.name}.partial") / PROGRESS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return
    if content["seconds_left"] is not None:
        yield content["written"] - began, content["seconds_left"]


def factor(told: float, true: float) -> float:
    """Return how many times the larger of two durations is the smaller."""
    return max(told, true) / max(min(told, true), 1e-9)


def worst(rows: Sequence[Row]) -> float | None:
    """Return the worst factor after the first minute; None for a run that was too short."""
    counted = [factor(told, true) for passed, told, true in rows if passed >= FIRST_MINUTE and true >= LAST_HALF_MINUTE]
    return max(counted, default=None)


def print_shares(folder: Path) -> None:
    """Print the share of pairs that each attack of a run attacked."""
    run = open_run(folder)
    for suite in (one.name for one in run.spec.suites if one.kind == "attacks"):
        rows = run.outcomes(suite)
        attacked = rows[(rows["kind"] == "attack") & (rows["epsilon"] > 0) & (rows["name"] != "worst_case")]
        for name, share in attacked.groupby("name")["attacked"].mean().items():
            print(f"share attacked {suite} {name} {float(share):.3f}")


def main() -> None:
    """Record a run, print the record, and the worst factor."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--every", type=float, default=10.0, help="seconds between two rows")
    parser.add_argument("--record", type=Path, help="also write the rows to this CSV file")
    parser.add_argument("run", nargs="*", help="options of pcbench run, after --")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "run"
        rows = record(folder, options.run, options.every)
        for passed, told, true in rows:
            print(f"{passed:7.0f} s  told {told:7.0f} s  true {true:7.0f} s  factor {factor(told, true):5.2f}")
        found = worst(rows)
        print("the run was too short" if found is None else f"worst factor after a minute {found:.2f}")
        print_shares(folder)
    if options.record is not None:
        with options.record.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(("seconds", "told", "true"))
            writer.writerows([f"{value:.1f}" for value in row] for row in rows)


if __name__ == "__main__":
    main()
