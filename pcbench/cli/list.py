"""`pcbench list`: what can be named on the command line."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer


class What(StrEnum):
    """The kinds of things that have names."""

    models = "models"
    suites = "suites"
    attacks = "attacks"
    corruptions = "corruptions"
    data = "data"


def list_command(
    what: Annotated[What | None, typer.Argument(help="What to list; everything if not given.")] = None,
) -> None:
    """List the models, suites, attacks, corruptions and data that can be named."""
    from rich.console import Console

    from pcbench.cli.listing import listing

    console = Console()
    for kind in [what] if what else list(What):
        console.print(listing(kind.value))
