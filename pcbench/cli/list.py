"""`pcbench list`: what can be named on the command line."""

from __future__ import annotations

from typing import Annotated

import typer

from pcbench.arguments import a_word


def list_command(
    what: Annotated[
        str | None,
        typer.Argument(help="What to list; everything if not given.", metavar="models|suites|attacks|corruptions|data"),
    ] = None,
) -> None:
    """List the models, suites, attacks, corruptions and data that can be named."""
    from pcbench.cli.listing import LISTED_KINDS, forms_listing, listing
    from pcbench.terminal import Terminal

    if what is not None:
        a_word("list", what, LISTED_KINDS)
    console = Terminal()
    for kind in LISTED_KINDS:
        if what in (None, kind):
            console.print(listing(kind))
    if what == "models":
        from pcbench.models.zoo import WEIGHTS_GIVEN

        for line in WEIGHTS_GIVEN:
            console.print(line, soft_wrap=True)
        console.print(forms_listing())
