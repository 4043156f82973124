"""`pcbench list`: what can be named on the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from pcbench.arguments import a_word
from pcbench.cli.arguments import AsJson
from pcbench.cli.completion import complete_kind
from pcbench.cli.saying import say_json

if TYPE_CHECKING:
    from rich.table import Table


def list_command(
    what: Annotated[
        str | None,
        typer.Argument(
            help="What to list; everything if not given.",
            metavar="models|suites|attacks|corruptions|data",
            autocompletion=complete_kind,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the models, suites, attacks, corruptions and data that can be named."""
    from pcbench.cli.listing import LISTED_KINDS, forms_listing, listing
    from pcbench.terminal import Terminal

    if what is not None:
        a_word("list", what, LISTED_KINDS)
    tables = {kind: listing(kind) for kind in LISTED_KINDS if what in (None, kind)}
    if as_json:
        say_json({kind: _records(table) for kind, table in tables.items()})
        return
    console = Terminal()
    for table in tables.values():
        console.print(table)
    if what == "models":
        from pcbench.models.zoo import WEIGHTS_GIVEN

        for line in WEIGHTS_GIVEN:
            console.print(line, soft_wrap=True)
        console.print(forms_listing())


def _records(table: Table) -> list[dict[str, str]]:
    """Return the rows of a table, each with the table's headings as keys."""
    names = [str(column.header) for column in table.columns]
    return [
        dict(zip(names, map(str, cells), strict=True))
        for cells in zip(*(one.cells for one in table.columns), strict=True)
    ]
