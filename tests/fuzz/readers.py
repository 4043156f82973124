"""Try files that are nearly right on every reader, and print a table: `python tests/fuzz/readers.py --inputs 20000`.

Inputs are read by child processes, so that one that kills its process or never ends is counted like the others. An
input is known by its reader, its number and the seed: `--reader "manifest of a run" --number 17` reads it alone.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import select
import shutil
import signal
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import pandas as pd  # noqa: F401 - imported before the children begin
import scipy.stats  # noqa: F401

sys.path[:0] = [str(Path(__file__).resolve().parents[1]), str(Path(__file__).resolve().parents[2])]

from fuzz.all_readers import READERS  # noqa: E402 - the tests' folder is known only now
from fuzz.trial import BYTES, SECONDS, Reader, Trial, try_one  # noqa: E402
from fuzz.unfinished import try_damage  # noqa: E402

_BATCH = 200
_WALL_SECONDS = 60.0
"""How long one input may take on a busy machine before its process is ended."""


@dataclass
class Row:
    """What became of all inputs of a reader."""

    name: str
    trials: list[Trial] = field(default_factory=list[Trial])

    def count(self, ended: str) -> int:
        """Return how many ended so."""
        return sum(trial.ended == ended for trial in self.trials)

    @property
    def line(self) -> list[str]:
        """The row of the table."""
        counts = [len(self.trials), *(self.count(ended) for ended in ("result", "refusal", "escape"))]
        slowest = max((trial.seconds for trial in self.trials), default=0.0)
        memory = max((trial.memory for trial in self.trials), default=0)
        return [self.name, *map(str, counts), f"{slowest:.2f}", f"{memory / 1e6:.0f}"]


def in_child(work: Callable[[], None]) -> int:
    """Do something in a child process; return its number."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        except BaseException:  # noqa: BLE001 - a child must never go on as its parent
            traceback.print_exc()
        finally:
            os._exit(code)
    return child


def _trials(reader: Reader, template: Path, place: Path, numbers: Sequence[int], seed: int) -> Iterator[Trial]:
    """Yield what became of some inputs; a process that ends or does not answer costs one of them."""
    left = list(numbers)
    while left:
        reading, writing = os.pipe()

        def work(todo: Sequence[int] = tuple(left), out: int = writing) -> None:
            _limit()
            for number in todo:
                os.write(out, json.dumps(asdict(try_one(reader, template, place, number, seed))).encode() + b"\n")

        child = in_child(work)
        os.close(writing)
        with os.fdopen(reading, "rb", buffering=0) as stream:
            for line in _lines(stream.fileno()):
                yield Trial(**json.loads(line))
                del left[0]
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        if left:
            shutil.rmtree(place / template.name, ignore_errors=True)
            yield Trial(left.pop(0), "escape", f"its process ended or did not answer (status {status})", 0.0, 0)


def _lines(handle: int) -> Iterator[bytes]:
    held = b""
    while select.select([handle], [], [], _WALL_SECONDS)[0]:
        some = os.read(handle, 1 << 16)
        if not some:
            return
        *lines, held = (held + some).split(b"\n")
        yield from lines


def _limit() -> None:
    """Let no input take much more memory than it may: it gets an error instead, which escapes."""
    import resource

    size = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + 2 * BYTES, resource.RLIM_INFINITY))


def try_reader(reader: Reader, folder: Path, numbers: Sequence[int], seed: int) -> Row:
    """Try some inputs of one reader."""
    template, place = folder / "template" / "given", folder / "place"
    template.parent.mkdir(parents=True)
    place.mkdir()
    # In a child as well: threads that it begins would not be there after a fork.
    _, status = os.waitpid(in_child(lambda: _prepare(reader, template, place)), 0)
    assert status == 0, f"{reader.name}: its valid files could not be made or read"
    row = Row(reader.name)
    for start in range(0, len(numbers), _BATCH):
        row.trials += _trials(reader, template, place, numbers[start : start + _BATCH], seed)
    return row


def _prepare(reader: Reader, template: Path, place: Path) -> None:
    """Make the valid files, and read them once: what is refused before it is made wrong tests nothing."""
    reader.prepare(template)
    shutil.copytree(template, place / template.name)
    with Path(os.devnull).open("w", encoding="utf-8") as nothing, contextlib.redirect_stdout(nothing):
        reader.read(place / template.name)
    shutil.rmtree(place / template.name)


def print_table(rows: Sequence[Row]) -> None:
    """Print one line a reader, and one of all."""
    whole = Row("all", [trial for row in rows for trial in row.trials])
    head = ["reader", "inputs", "results", "refusals", "escapes", "slowest (s)", "peak (MB)"]
    table = [head, *(row.line for row in rows), whole.line]
    widths = [max(len(line[column]) for line in table) for column in range(len(head))]
    for line in table:
        words = [word.rjust(width) for word, width in zip(line[1:], widths[1:], strict=True)]
        print("  ".join([line[0].ljust(widths[0]), *words]))
    print(f"\nescapes of more than {BYTES / 1e9:.0f} GB or {SECONDS:.0f} s are counted too")


def print_escapes(rows: Sequence[Row]) -> None:
    """Print each kind of escape once, with the number of an input that shows it."""
    for row in rows:
        kinds = Counter(trial.told.partition(": ")[0] for trial in row.trials if trial.ended == "escape")
        for kind, count in kinds.most_common():
            example = next(trial for trial in row.trials if trial.told.partition(": ")[0] == kind)
            print(f"{row.name}: {count} times, such as number {example.number}: {example.told}")


def main() -> int:
    """Try the inputs that are asked for; return 1 if one escaped."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=2000, help="how many in all")
    parser.add_argument("--runs", type=int, default=0, help="how many damaged folders of runs and shards")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--reader", help="only the readers whose names match this expression")
    parser.add_argument("--number", type=int, help="only this input of each")
    asked = parser.parse_args()
    chosen = [one for one in READERS if re.search(asked.reader or "", one.name)]
    weight = sum(one.weight for one in chosen)
    rows: list[Row] = []
    for reader in chosen:
        count = -int(-asked.inputs * reader.weight // weight)
        numbers = range(count) if asked.number is None else [asked.number]
        with tempfile.TemporaryDirectory() as folder:
            rows.append(try_reader(reader, Path(folder).resolve(), numbers, asked.seed))
        print("  ".join(rows[-1].line), file=sys.stderr, flush=True)
    print_table(rows)
    print_escapes(rows)
    if asked.number is not None:
        print(*(f"{row.name}: {trial}" for row in rows for trial in row.trials), sep="\n")
    return int(any(row.count("escape") for row in rows)) | (_try_runs(asked.runs, asked.seed) if asked.runs else 0)


def _try_runs(count: int, seed: int) -> int:
    """Damage folders of runs and shards, and print in what the same calls end."""
    with tempfile.TemporaryDirectory() as folder:
        ended, faults = try_damage(Path(folder).resolve(), count, seed)
    print(f"damaged folders of runs and shards: {', '.join(f'{many} {what}' for what, many in ended.items())}")
    print(*faults, sep="\n")
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main())
