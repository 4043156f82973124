"""Lines for standard output, as they are: programs read them, too."""

from __future__ import annotations

import logging

import typer

from pcbench.escaping import one_line, printable


def say(*lines: str, error: bool = False) -> None:
    """Print lines of any length, with their control characters as numbers.

    Args:
        *lines: Each without a line break.
        error: Print to standard error.
    """
    for line in lines:
        typer.echo(printable(line), err=error)


class LogLine(logging.Formatter):
    """Formats a message of the log as one line."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  # the name is the library's
        """Return the line."""
        return one_line(super().formatMessage(record))
