"""Lines for standard output, as they are: programs read them, too."""

from __future__ import annotations

import typer

from pcbench.escaping import printable


def say(*lines: str, error: bool = False) -> None:
    """Print lines of any length, with their control characters as numbers.

    Args:
        *lines: Each without a line break.
        error: Print to standard error.
    """
    for line in lines:
        typer.echo(printable(line), err=error)
