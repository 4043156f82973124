"""`pcbench doctor`: what pcbench finds on this machine, and what to do about what is wrong."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from pcbench.doctor.finding import Finding


def doctor_command(
    as_json: Annotated[bool, typer.Option("--json", help="Print what was found as JSON, for a bug report.")] = False,
) -> None:
    """Look at versions, devices, threads, folders and libraries that collide; exit code 1 if anything is wrong."""
    from pcbench.doctor.examination import findings

    found = findings()
    if as_json:
        typer.echo(json.dumps([dataclasses.asdict(one) for one in found], indent=1, ensure_ascii=False))
    else:
        _print(found)
    if any(one.state == "wrong" for one in found):
        raise typer.Exit(1)


def _print(found: Sequence[Finding]) -> None:
    from rich.table import Table

    from pcbench.terminal import Terminal, labelled

    console = Terminal()
    for topic in dict.fromkeys(one.topic for one in found):
        table = Table(title=topic, title_justify="left", show_header=False)
        for _ in range(3):
            table.add_column(overflow="fold")
        for one in found:
            if one.topic == topic:
                table.add_row(one.name, one.found, one.state)
        console.print(table)
    wrong = [one for one in found if one.state == "wrong"]
    for one in found:
        if one.remedy is not None:
            console.print(labelled(f"{one.state}:", f"{one.name}: {one.found}"), soft_wrap=True)
            console.print(labelled("  do this:", one.remedy), soft_wrap=True)
    things = "thing is" if len(wrong) == 1 else "things are"
    console.print(f"{len(wrong)} {things} wrong" if wrong else "nothing is wrong")
