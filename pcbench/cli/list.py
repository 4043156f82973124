"""`pcbench list`: what can be named on the command line."""

from __future__ import annotations

from typing import Annotated

import typer

from pcbench.arguments import a_word

_KINDS = ("models", "suites", "attacks", "corruptions", "data")


def list_command(
    what: Annotated[
        str | None, typer.Argument(help="What to list; everything if not given.", metavar="|".join(_KINDS))
    ] = None,
) -> None:
    """List the models, suites, attacks, corruptions and data that can be named."""
    from pcbench.cli.listing import listing
    from pcbench.terminal import Terminal

    if what is not None:
        a_word("list", what, _KINDS)
    console = Terminal()
    for kind in [what] if what else _KINDS:
        console.print(listing(kind))
