"""The one exception tree of pcbench.

Every error a user can meet is a `PcbenchError`. Its message is one line, in the user's words, with the remedy;
`exit_code` is the exit code of the command line: 2 for wrong use, 1 for a run that failed.
"""

from __future__ import annotations

import difflib
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from pcbench.escaping import one_line

_NEARLY_AS_CLOSE = 0.75
"""A name is suggested beside the nearest one if it is at least this share as alike."""

_LONGEST = 500
"""How much of another library's message, or of a path, is repeated in one of ours, in letters."""


_MOST, _BEGINNING, _END = 2000, 1200, 400
"""How many letters a message may have, and how many are told of a longer one, which repeats what a file holds."""
_DAMAGE: tuple[type[Exception], ...] = (
    *(OSError, EOFError, ArithmeticError, AttributeError, LookupError, NotImplementedError, RecursionError),
    *(TypeError, ValueError),
)
"""What parsers raise about content that is not as it should be."""


class PcbenchError(Exception):
    """The root of all errors that pcbench raises on purpose.

    What to do: read the message, which ends with the remedy; in Python, catch this class to catch all of them.
    """

    exit_code = 1

    def __str__(self) -> str:
        # A name in it may come from a stranger's file, and hold line breaks or what controls a terminal.
        line = one_line(super().__str__())
        return line if len(line) <= _MOST else f"{line[:_BEGINNING]} … {line[-_END:]}"


class UsageError(PcbenchError):
    """The request is wrong or impossible; the computation did not start.

    What to do: change the option or argument that the message names.
    """

    exit_code = 2


class UnknownNameError(UsageError):
    """A name that no registry or catalogue knows; the message suggests the nearest known ones.

    What to do: take a suggested name, or one of `pcbench list`.

    Args:
        kind: What was looked for, such as ``"suite"``.
        name: What the user wrote.
        known: All names that exist.
    """

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        self.kind, self.name, self.known = kind, name, sorted(known)
        super().__init__(f"{kind} {name!r} does not exist; {self._remedy()}")

    def _remedy(self) -> str:
        close = difflib.get_close_matches(self.name, self.known, n=3, cutoff=0.5)
        if close:
            # A name that is much further away than the nearest one is not what was meant.
            best = _likeness(self.name, close[0])
            close = [one for one in close if _likeness(self.name, one) >= _NEARLY_AS_CLOSE * best]
            return f"did you mean {' or '.join(repr(match) for match in close)}?"
        return f"known: {', '.join(self.known) or 'none'}"


class DefinitionError(UsageError):
    """A definition file (TOML) that is missing, damaged, or holds an unknown key or a wrong value.

    What to do: change the key that the message names, in the file that it names.
    """

    def __init__(self, path: Path | str, problem: str) -> None:
        self.path = Path(path)
        super().__init__(f"{path!s:.{_LONGEST}}: {problem}")


class ConfigurationError(UsageError):
    """A predictive network that cannot be built as configured; the message names the PCoder and the fix.

    What to do: change the configuration, and try it with `pcbench predify`, which trains and measures nothing.
    """


class DataError(UsageError):
    """Images, labels or results that are missing, damaged, or do not belong to the model.

    What to do: give the folder or file that the message asks for, or make the damaged one again.
    """


class DamagedImageError(DataError):
    """An image file that is cut short, damaged or none at all.

    What to do: get the file again, or leave it out with `--skip-damaged`; the results name what was left out.
    """


class WeightsError(UsageError):
    """Weights that are missing, damaged, or made for another network.

    What to do: look with `pcbench show FILE` at what the file holds, and give the file of this network.
    """


class MissingExtraError(UsageError):
    """A library that pcbench can use is not installed.

    What to do: install the extra that the message names.

    Args:
        library: The library's name as users know it.
        extra: The extra of pcbench that installs it.
    """

    def __init__(self, library: str, extra: str) -> None:
        super().__init__(f"{library} is not installed; install it with: pip install 'pcbench[{extra}]'")


class LibraryError(UsageError):
    """A library that is installed cannot be loaded on this machine.

    What to do: run `pcbench doctor`, which says what is missing or collides.
    """


class RunError(PcbenchError):
    """A run that started and could not be finished.

    What to do: mend what the message names; the same command continues from what is done.
    """


class WriteError(RunError):
    """A file or folder could not be made, replaced or removed; an earlier version of it is unchanged.

    What to do: make room on the disk, or give another folder with `--out`; then the same command continues.
    """


class HeldError(UsageError):
    """Another process works on the same run.

    What to do: wait for it (`pcbench status` shows how far it is), stop it, or give another folder with `--out`.
    """


class DivergenceError(RunError):
    """The representations of a network grow without bound over its timesteps.

    What to do: lower α (`pc`), use fewer timesteps, or train the predictors longer.
    """


@contextmanager
def damage_refused(
    path: Path | str, what: str, remedy: str, *more: type[Exception], kind: type[PcbenchError] = DataError
) -> Generator[None]:
    """Turn what a parser raises about a file's content into one of our errors.

    Args:
        path: The file.
        what: What is wrong with it, in words: "cannot be read as Parquet".
        remedy: What the user can do.
        more: Exceptions of the parser's own.
        kind: Which of our errors.
    """
    try:
        yield
    except DataError as error:  # what a limit refuses
        raise error if isinstance(error, kind) else kind(str(error)) from error
    except (*_DAMAGE, *more) as error:
        raise kind(f"{path}: {what} ({_why(error)}); {remedy}") from error


def _why(error: Exception) -> str:
    """Return what a parser says: of what does not fit a schema, the first value that does not."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    problems: Any = getattr(error, "errors", None)
    if not callable(problems):
        return named(error)
    first: Any = cast("Any", problems())[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}".removeprefix(": ")


def _likeness(name: str, other: str) -> float:
    """Return how alike two names are, from 0 to 1."""
    return difflib.SequenceMatcher(None, other, name).ratio()


def named(error: BaseException) -> str:
    """Return an exception's type and message in one line, and not all of it where it is long."""
    text = f"{type(error).__name__}: {' '.join(str(error).split())}".rstrip(": ")
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def first_line(error: BaseException) -> str:
    """Return the first line of an exception's message, or its type where it does not have one."""
    return next(iter(str(error).splitlines()), "") or type(error).__name__
