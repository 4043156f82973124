"""Where each fast form begins to be the faster one: measures the bounds in `pcbench/network/fast/table.py`.

    python benchmarks/choices.py                 # prints ratios, and the bound that they give beside today's
    python benchmarks/choices.py "input gradient" "timesteps"      # of some operations
    python benchmarks/choices.py --write         # also writes the bounds into the table

`ladders.py` says on what each row is measured. Its fast form and the form beyond the bound run in turns, with each
number of threads; a rung counts the smallest of its ratios, each a median over turns. The bound is the first rung from
which on the fast form is faster on all further ones, by the few percent that times are uncertain by (for a bound from
above: the last rung up to which it is). A changed bound changes numbers and the keys of runs: let the machine do
nothing else meanwhile. It takes less than five minutes.
"""

from __future__ import annotations

import argparse
import ast
import math
import re
import statistics
import subprocess
import sys
import textwrap
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from ladders import LADDERS, Ladder, Run
from speed import machine
from timing import Timed, in_turns, threads, timed

from pcbench.network.fast import choosing
from pcbench.network.fast.choosing import PLAIN
from pcbench.network.fast.table import ROWS, FastForm

TABLE = Path(choosing.__file__).with_name("table.py")
AT_LEAST = 1.03
"""From which ratio on a fast form counts as the faster one: times are uncertain by a few percent."""
SHORTEST = 0.02
"""Seconds that a timed piece of work takes at least: it is repeated as often as needed."""
_COMMENT = re.compile(r"(?:^# Measured by .*\n(?:#.*\n)*)?(?=^ROWS = )", re.MULTILINE)
_WIDTH = 120
Ratios = dict[int, list[float]]
Clock = Callable[[Timed], float]


def main() -> None:
    """Measure all rows, print what was found, and write it where that was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("operations", nargs="*", help="all where none is named")
    parser.add_argument("--write", action="store_true", help="write the bounds into the table")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--processor", action="store_true", help="compare processor seconds: for a busy machine")
    options = parser.parse_args()
    if options.write and options.operations:
        parser.error("--write measures all operations; name none")
    torch.manual_seed(0)
    found: list[Ratios] = []
    for row, ladder in zip(ROWS, LADDERS, strict=True):
        found.append({})
        if ladder.rungs and row.operation in (options.operations or [row.operation]):
            clock = _processor if options.processor else _wall
            found[-1] = _measured(ladder, options.threads, options.repeats, clock)
            _tell(row, ladder, found[-1])
    if options.write:
        text = written(TABLE.read_text(encoding="utf-8"), found, machine())
        TABLE.write_text(text, encoding="utf-8", newline="\n")


def _wall(one: Timed) -> float:
    return one.seconds


def _processor(one: Timed) -> float:
    return one.processor


def _tell(row: FastForm, ladder: Ladder, ratios: Ratios) -> None:
    found, today = measured_bound(row, ladder, ratios), side_of(row, ladder)[ladder.bound]
    says = "the same" if found == today else f"{found}, ANOTHER"
    print(f"{row.operation}, {row.form}: {ladder.bound} {today} today, measured {says}")
    for value, found in ratios.items():
        print(f"    {value}: " + " ".join(f"{ratio:.2f}" for ratio in found), flush=True)


def _measured(ladder: Ladder, counts: Sequence[int], repeats: int, clock: Clock) -> Ratios:
    """Return the ratios of each rung, for each of its works with each number of threads."""
    found: Ratios = {}
    for value, works in ladder.rungs.items():
        found[value] = []
        for sizes in works:
            run = ladder.make(*sizes)
            for count in counts:
                with threads(count):
                    found[value].append(_ratio(ladder, run, repeats, clock))
    return found


def _ratio(ladder: Ladder, run: Run, repeats: int, clock: Clock) -> float:
    """Return how many times as long the rival takes as the fast form: the median over turns."""

    def of(form: str, times: int) -> Run:
        def repeated() -> None:
            with _only(ladder.operation, form):
                for _ in range(times):
                    run()

        return repeated

    of(ladder.rival, 1)()
    of(ladder.form, 1)()
    times = math.ceil(SHORTEST / timed(of(ladder.form, 1)).seconds)
    found = in_turns({form: of(form, times) for form in (ladder.rival, ladder.form)}, repeats)
    both = zip(found[ladder.rival], found[ladder.form], strict=True)
    return statistics.median(clock(slow) / clock(fast) for slow, fast in both)


@contextmanager
def _only(operation: str, form: str) -> Generator[None]:
    """Use one form of an operation whatever its measures are; other operations stay as the table says."""
    forced = () if form == PLAIN else (FastForm(operation, form, dtypes=()),)
    choosing.ROWS = tuple(row for row in ROWS if row.operation != operation) + forced
    try:
        yield
    finally:
        choosing.ROWS = ROWS


def side_of(row: FastForm, ladder: Ladder) -> Mapping[str, int]:
    """Return the bounds of a row among which the measured one is: its least or its most values."""
    return row.least if ladder.bound in row.least else row.most


def measured_bound(row: FastForm, ladder: Ladder, ratios: Ratios) -> int | None:
    """Return the rung that ends the unbroken series of rungs at which the fast form is as fast; none without one."""
    bound = None
    # The fast form is the faster one far from its bound: from there on towards it.
    for value in sorted(ratios, reverse=ladder.bound in row.least):
        if min(ratios[value]) < AT_LEAST:
            break
        bound = value
    return bound


def written(text: str, found: Sequence[Ratios], when: str) -> str:
    """Return the table's text with the bounds that were found; all else stays as it is.

    Args:
        text: Of `pcbench/network/fast/table.py` as it is.
        found: The ratios of each row's rungs; none where nothing was measured, whose bounds stay.
        when: Date, machine and versions.

    Raises:
        SystemExit: A fast form is nowhere as fast as its rival.
    """
    bounds: list[int] = []
    for row, ladder, ratios in zip(ROWS, LADDERS, found, strict=True):
        bound = side_of(row, ladder).get(ladder.bound, 0)
        if ladder.follows:
            bound = bounds[-1] + 1
        elif ratios:
            bound = measured_bound(row, ladder, ratios)
        if bound is None:
            sys.exit(f"{row.operation}: {row.form} is faster at no rung of its ladder; the table stays as it is")
        bounds.append(bound)
    lines = text.encode().splitlines(keepends=True)
    for call, ladder, bound in reversed(list(zip(_calls(text), LADDERS, bounds, strict=True))):
        for place in _places(call, ladder.bound):
            if ast.literal_eval(place) != bound:
                line, start, end = place.lineno - 1, place.col_offset, place.end_col_offset
                lines[line] = lines[line][:start] + str(bound).encode() + lines[line][end:]
    return _formatted(_COMMENT.sub(lambda _: _comment(when), b"".join(lines).decode(), count=1))


def _calls(text: str) -> list[ast.expr]:
    """Return the rows as they are written."""
    for statement in ast.parse(text).body:
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "ROWS":
            return statement.value.elts
    raise ValueError("the table has no ROWS")


def _places(call: ast.Call, bound: str) -> list[ast.Constant]:
    """Return where a bound is written in a row; one place, or none where nothing is measured."""
    tables = [keyword.value for keyword in call.keywords if keyword.arg in {"least", "most"}]
    return [
        value
        for table in tables
        for key, value in zip(table.keys, table.values, strict=True)
        if ast.literal_eval(key) == bound
    ]


def _comment(when: str) -> str:
    lines = [f"Measured by `python benchmarks/choices.py --write` on {when} Of each row:"]
    for ladder in LADDERS:
        bound = f"{ladder.bound}; " if ladder.bound else ""
        lines.append(f"- {ladder.operation}, {ladder.form}: {bound}{ladder.works}")
    prefixes = (("# ", "#   " if line.startswith("-") else "# ") for line in lines)
    wrapped = (
        textwrap.wrap(line, _WIDTH, initial_indent=first, subsequent_indent=rest)
        for line, (first, rest) in zip(lines, prefixes, strict=True)
    )
    return "".join(f"{line}\n" for one in wrapped for line in one)


def _formatted(text: str) -> str:
    # The house's own settings, wherever pcbench is installed.
    settings = str(Path(__file__).resolve().parents[1] / "pyproject.toml")
    command = [sys.executable, "-m", "ruff", "format", "--config", settings, "--stdin-filename", str(TABLE), "-"]
    return subprocess.run(command, input=text.encode(), check=True, stdout=subprocess.PIPE).stdout.decode()  # noqa: S603  # the project's own formatter


if __name__ == "__main__":
    main()
