"""Lines for standard output, as they are: programs read them, too."""

from __future__ import annotations

import json
import logging
import math
import os
import sys
from collections.abc import Generator
from contextlib import ExitStack, contextmanager, redirect_stdout
from pathlib import Path
from typing import Any, TextIO

import typer

from pcbench.escaping import one_line, printable

_BARS = "TTY_COMPATIBLE"
"""The variable by which rich, which draws bars, is told that there is no terminal."""


def say(*lines: str, error: bool = False) -> None:
    """Print lines of any length, with their control characters as numbers.

    Args:
        *lines: Each without a line break.
        error: Print to standard error.
    """
    for line in lines:
        typer.echo(printable(line), err=error)


_kept: list[TextIO] = []
"""The standard output that `quietly` has put away."""


def say_json(form: Any) -> None:
    """Print a value as JSON, also where everything else is quiet.

    Args:
        form: Of JSON's kinds: numbers that are not finite are null, as JSON has none.
    """
    text = json.dumps(_plain_json(form), indent=1, ensure_ascii=False, allow_nan=False)
    typer.echo(text, file=_kept[-1] if _kept else None)


def _plain_json(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(name): _plain_json(one) for name, one in value.items()}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    if isinstance(value, list | tuple):
        return [_plain_json(one) for one in value]  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return str(value) if isinstance(value, os.PathLike) else value  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]


@contextmanager
def quietly(quiet: bool) -> Generator[None]:
    """Print errors and warnings alone while this lasts, and what `say_json` prints; no tables, bars or log lines.

    Args:
        quiet: False changes nothing.
    """
    if not quiet:
        yield
        return
    logger, bars = logging.getLogger("pcbench"), os.environ.get(_BARS)
    level = logger.level
    with ExitStack() as stack:
        stack.callback(logger.setLevel, level)
        stack.callback(_set_environment, _BARS, bars)
        logger.setLevel(max(level, logging.WARNING))
        os.environ[_BARS] = "0"
        _kept.append(sys.stdout)
        stack.callback(_kept.pop)
        stack.enter_context(redirect_stdout(stack.enter_context(Path(os.devnull).open("w", encoding="utf-8"))))
        yield


def _set_environment(name: str, value: str | None) -> None:
    if value is None:
        os.environ.pop(name, None)
    else:
        os.environ[name] = value


class LogLine(logging.Formatter):
    """Formats a message of the log as one line."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  # the name is the library's
        """Return the line."""
        return one_line(super().formatMessage(record))
