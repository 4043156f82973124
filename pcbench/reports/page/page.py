"""Write the page."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import jinja2
from markupsafe import Markup

from pcbench.errors import UsageError
from pcbench.escaping import printable
from pcbench.files import try_folder, write
from pcbench.percent import decimal, percent
from pcbench.reports.page.content import page_content
from pcbench.results.directory import Run

_FOLDER = Path(__file__).parent


def write_page(runs: Sequence[Run], out: Path) -> Path:
    """Make one self-contained page of one or more runs.

    Everything is in the one file: data, script, style, pictures. Its content security policy
    forbids it to load any other file.

    Args:
        runs: Finished runs.
        out: The file to write; it has its name only once it is whole.

    Returns:
        `out`.

    Raises:
        UsageError: No run is given, or files cannot be written there.
        DataError: A table of a run is damaged.
        WriteError: The file could not be written after all.
    """
    if not runs:
        raise UsageError("a page needs at least one run; give the folder of a finished run")
    page = _render(page_content(list(runs)))
    try_folder(out.parent, "give another with `out`")
    return write(out, page)


def _render(content: dict[str, object]) -> str:
    from plotly.offline import get_plotlyjs  # slow to import

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_literal,
    )
    environment.policies["json.dumps_function"] = _json
    environment.filters["percent"] = percent
    environment.filters["decimal"] = decimal
    # Markup: three files of this package and of plotly's, none with text of the user.
    return environment.get_template("page.html").render(
        **content,
        plotly=Markup(get_plotlyjs()),  # noqa: S704
        script=Markup((_FOLDER / "page.js").read_text(encoding="utf-8")),  # noqa: S704
        style=Markup((_FOLDER / "page.css").read_text(encoding="utf-8")),  # noqa: S704
    )


def _literal(value: object) -> object:
    """Return what is put into the page for a value; the template escapes HTML in it afterwards."""
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _json(value: Any, **options: Any) -> str:
    """Return the JSON of a value whose texts are shown as in the rest of the page."""
    return json.dumps(_literally(value), **options)


def _literally(value: object) -> object:
    if isinstance(value, dict):
        return {_literal(name): _literally(one) for name, one in cast("dict[object, object]", value).items()}
    if isinstance(value, list | tuple):
        return [_literally(one) for one in cast("Sequence[object]", value)]
    if isinstance(value, float) and not math.isfinite(value):
        return None  # JSON has no such number
    return _literal(value)
