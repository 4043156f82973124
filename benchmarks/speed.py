"""Run the benchmarks of speed, and write their ratios into docs/explanation/speed.md.

    uv run python benchmarks/speed.py [--published FOLDER] [BENCHMARK …]

Without names it runs all that need nothing else; with FOLDER also those against the published class (`published.py`).
Let the machine do nothing else meanwhile. The page says on what machine, with which versions and on what day it was.
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import re
import subprocess
import sys
from pathlib import Path

import torch

BENCHMARKS = ("unroll", "first_call", "gradients", "attacks")
PAGE = Path(__file__).parents[1] / "docs" / "explanation" / "speed.md"
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
_RATIO = re.compile(r"^ratio (?P<name>.+) (?P<value>\d+(\.\d+)?)$")


def main() -> None:
    """Run them, one after another, and write the page's table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("benchmarks", nargs="*", help=f"some of {', '.join(BENCHMARKS)}")
    parser.add_argument("--published", type=Path, help="the folder with the published class")
    options = parser.parse_args()
    rows: list[tuple[str, str, str]] = []
    for name in options.benchmarks or [one for one in BENCHMARKS if _path(one).is_file()]:
        extra = ["--published", str(options.published)] if options.published and name == "first_call" else []
        rows += _ratios(name, extra)
    if options.published:
        rows += _ratios("published", [str(options.published)])
    write_table(PAGE, rows)


def _path(name: str) -> Path:
    return Path(__file__).with_name(f"{name}.py")


def _ratios(name: str, arguments: list[str]) -> list[tuple[str, str, str]]:
    """Run a benchmark, show what it prints, and return the ratios in it with what stands below them."""
    command = [sys.executable, str(_path(name)), *arguments]
    print(f"{name} …", flush=True)
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)  # noqa: S603  # of this folder
    print(done.stdout, flush=True)
    return ratios_in(name, done.stdout)


def ratios_in(benchmark: str, printed: str) -> list[tuple[str, str, str]]:
    """Return (what, ratio, details) of each line `ratio NAME VALUE`; details are the indented line below it."""
    lines = printed.splitlines()
    rows: list[tuple[str, str, str]] = []
    for line, below in zip(lines, [*lines[1:], ""], strict=True):
        if found := _RATIO.match(line):
            details = below.strip() if below.startswith("    ") else ""
            rows.append((f"`{benchmark}`: {found['name']}", found["value"], details))
    return rows


def write_table(page: Path, rows: list[tuple[str, str, str]]) -> None:
    """Put the table between the page's two marks."""
    text = page.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    after = rest.partition(END)[2]
    table = "\n".join(f"| {what} | {value} | {details} |" for what, value, details in rows)
    page.write_text(
        f"{before}{BEGIN}\n\n{machine()}\n\n| what | ratio | seconds |\n|---|---|---|\n{table}\n\n{END}{after}",
        encoding="utf-8",
        newline="\n",
    )


def machine() -> str:
    """Return today's date, the machine and the versions, for a page."""
    day = datetime.datetime.now(tz=datetime.UTC).date().isoformat()
    return (
        f"{day}; {_processor()}, {os.cpu_count()} cores, {platform.system()}; Python {platform.python_version()}, "
        f"PyTorch {torch.__version__}."
    )


def _processor() -> str:
    listing = Path("/proc/cpuinfo")
    if listing.is_file():
        for line in listing.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.machine()


if __name__ == "__main__":
    main()
