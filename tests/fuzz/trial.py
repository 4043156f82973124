"""One input tried on one reader: how it ends, what memory and time it takes, and what it writes."""

from __future__ import annotations

import contextlib
import io
import os
import re
import shutil
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Literal

from fuzz import mutations

from pcbench.errors import PcbenchError
from pcbench.escaping import one_line

SECONDS, BYTES = 10.0, 10**9
"""What an input may take at most."""
LONGEST = 2000
"""How many characters an error may have."""
_WRONG: dict[str, mutations.Mutation] = {
    ".json": mutations.json_wrong,
    ".toml": mutations.toml_wrong,
    ".csv": mutations.csv_wrong,
    ".parquet": mutations.parquet_wrong,
    ".npz": mutations.npz_wrong,
    ".npy": mutations.npy_wrong,
    ".safetensors": mutations.safetensors_wrong,
}
"""By a file's ending, what makes one thing in it wrong."""


Reading = Callable[[Path], object]


@dataclass(frozen=True)
class Reader:
    """Something that reads files of other people."""

    name: str
    """What the table calls it."""
    prepare: Callable[[Path], object]
    """Makes a folder with valid files."""
    targets: str
    """A pattern: one of the files that it matches is made wrong."""
    read: Reading
    """Reads the folder."""
    seal: Callable[[Path, Path], object] | None = None
    """Lets a checksum that stands elsewhere in the folder agree with the file that was made wrong."""
    weight: float = 1.0
    """How many inputs it gets, relative to the others."""
    wrong: mutations.Mutation | None = None
    """Makes one thing wrong in a file whose ending does not say how."""


@dataclass(frozen=True)
class Trial:
    """What became of an input."""

    number: int
    """Which input."""
    ended: Literal["result", "refusal", "escape"]
    """In what it ended."""
    told: str
    """The message, or what escaped and where."""
    seconds: float
    """CPU time that it took."""
    memory: int
    """By how many bytes the memory in use grew at most."""


def make_input(reader: Reader, folder: Path, choice: Random) -> Path:
    """Make one file of a folder wrong; return it."""
    found = sorted(path for path in folder.glob(reader.targets) if path.is_file())
    target = choice.choice(found)
    content = target.read_bytes()
    wrong = reader.wrong or _WRONG.get(target.suffix)
    if wrong is None or choice.random() < 0.45:
        others = [path for path in found if path.suffix == target.suffix]
        spliced = choice.random() < 0.15
        made = (
            mutations.spliced(content, choice.choice(others).read_bytes(), choice)
            if spliced
            else mutations.changed_bytes(content, choice)
        )
    else:
        made = wrong(content, choice)
    target.write_bytes(made)
    return target


def choice_of(reader: Reader, number: int, seed: int) -> Random:
    """Return where all that an input is made of is drawn from."""
    return Random(f"{reader.name} {seed} {number}")  # noqa: S311 - not for secrets


def try_one(reader: Reader, template: Path, place: Path, number: int, seed: int) -> Trial:
    """Make an input and read it.

    Args:
        reader: What reads it.
        template: The folder of valid files.
        place: An empty folder; the input lies in a folder of it.
        number: Which input.
        seed: Of all inputs.
    """
    folder = place / template.name
    shutil.copytree(template, folder)
    target = make_input(reader, folder, choice_of(reader, number, seed))
    if reader.seal is not None:
        reader.seal(folder, target)
    _forget_peak()
    before, began = _memory("VmRSS"), time.process_time()
    with _writes() as written:
        ended, told = _ending(lambda: reader.read(folder), target)
    seconds, memory = time.process_time() - began, max(_memory("VmHWM") - before, 0)
    outside = [path for path in written if not Path(path).is_relative_to(place)]
    if outside:
        ended, told = "escape", f"wrote {outside[0]!r}, outside of its folder"
    elif memory > BYTES:
        ended, told = "escape", f"took {memory / 1e9:.1f} GB ({told})"
    elif seconds > SECONDS:
        ended, told = "escape", f"took {seconds:.0f} s ({told})"
    shutil.rmtree(folder)
    return Trial(number, ended, told.replace(str(place), "…"), seconds, memory)


def _ending(ask: Callable[[], object], target: Path) -> tuple[Literal["result", "refusal", "escape"], str]:
    """Return how reading ends."""
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            warnings.simplefilter("ignore")
            ask()
    except PcbenchError as error:
        fault = fault_of(str(error), target)
        return ("refusal", str(error)) if fault is None else ("escape", f"message {fault}: {str(error)[:600]!r}")
    except Exception as error:  # noqa: BLE001 - what escapes is what is looked for
        last = traceback.extract_tb(error.__traceback__)
        ours = [frame for frame in last if "/pcbench/" in frame.filename] or last
        where = f"{Path(ours[-1].filename).name}:{ours[-1].name}:{ours[-1].lineno}"
        return "escape", f"{type(error).__name__} in {where}: {str(error)[:200]!r}"
    return "result", ""


def fault_of(message: str, target: Path) -> str | None:
    """Return what is wrong with the message of one of our errors about a file; None where nothing is."""
    if not message.strip() or message != one_line(message):
        return "is empty, or not one line that can be printed"
    if len(message) > LONGEST:
        return f"has {len(message)} characters"
    if not any(name in message for name in (target.stem, *target.parent.parts[-3:])):
        return "does not name the file"
    return None


# --- Memory and writes -----------------------------------------------------------------------------------------------


def _forget_peak() -> None:
    """Let the peak of this process's memory count from now on, where the system can."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def _memory(field: str) -> int:
    """Return a field of this process's memory, in bytes; 0 where the system does not say."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return 0
    found = re.search(rf"^{field}:\s+(\d+) kB", status, re.MULTILINE)
    return int(found[1]) * 1024 if found else 0


class _Watch:
    """What Python makes, changes or removes while this process watches itself."""

    found: list[str] | None = None
    hooked = False


_CHANGES = ("os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.symlink", "os.truncate", "shutil.rmtree")


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if _Watch.found is None:
        return
    if event == "open" and isinstance(arguments[0], str | bytes | os.PathLike):
        if (arguments[2] or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            _Watch.found.append(_absolute(arguments[0]))
    elif event in _CHANGES:
        places = [one for one in arguments if isinstance(one, str | bytes | os.PathLike)]
        _Watch.found.extend(map(_absolute, places))


def _absolute(path: str | bytes | os.PathLike[str]) -> str:
    return str(Path(os.fsdecode(path)).absolute())  # the folder that it is relative to may change


@contextlib.contextmanager
def _writes() -> Iterator[list[str]]:
    """Collect the paths of all files and folders that Python makes, changes or removes."""
    if not _Watch.hooked:
        sys.addaudithook(_hook)
        _Watch.hooked = True
    found: list[str] = []
    compiled, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    _Watch.found = found
    try:
        yield found
    finally:
        _Watch.found, sys.dont_write_bytecode = None, compiled
        # What torch makes for itself when it is imported is no answer to an input.
        found[:] = [path for path in found if path != os.devnull and "torchinductor_" not in path]
