"""`pcbench open RUN`: show a run's page in the browser."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from pcbench.cli.saying import say

_DISPLAYS = ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")


def open_command(
    run: Annotated[Path, typer.Argument(help="The folder of a finished run, or a page.", metavar="RUN")],
) -> None:
    """Open a run's page in the browser; without a display, print where it is."""
    import webbrowser

    page = _page_at(run)
    # Without a display Python would start a browser of the terminal, if there is one.
    seen = sys.platform in ("darwin", "win32") or any(os.environ.get(name) for name in _DISPLAYS)
    if seen and webbrowser.open(page.resolve().as_uri()):
        say(f"opened {page}")
    else:
        say(f"no browser can be opened here; the page is {page.resolve()}")


def page_of(folder: Path) -> Path | None:
    """Return the page of a finished run's folder; None where none was made."""
    page = folder / "report" / "index.html"
    return page if page.is_file() else None


def _page_at(place: Path) -> Path:
    """Return a page, which is given itself, or by the folder of its run.

    Raises:
        UsageError: There is none.
    """
    from pcbench.errors import UsageError
    from pcbench.results.directory import open_run

    if place.suffix == ".html" and place.is_file():
        return place
    page = page_of(open_run(place, verify=False).folder)
    if page is None:
        raise UsageError(f"{place} has no page: pcbench report {place} makes it")
    return page
