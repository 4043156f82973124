"""Write the page."""

from __future__ import annotations

import base64
import hashlib
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
from pcbench.reports.page.content import PageContent, page_content
from pcbench.reports.page.glossary import used_words
from pcbench.results.directory import Run

_FOLDER = Path(__file__).parent
_WORDS_HERE = "<!-- words -->"
_SCRIPTS = ("numbers.js", "plots.js", "pointing.js", "page.js")


def write_page(runs: Sequence[Run], out: Path) -> Path:
    """Make one self-contained page of one or more runs, without any file beside it.

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
    try_folder(out.parent, "give another with `out`")
    return write_content(page_content(runs, folder=out.parent), out)


def write_content(content: PageContent, out: Path) -> Path:
    """Write a page.

    Everything is in the one file: data, script, style, pictures. Its content security policy forbids it to load any
    other file, and to run or apply any script or style but the two whose hashes it names.

    Args:
        content: What the page shows.
        out: The file to write; it has its name only once it is whole.

    Returns:
        `out`.

    Raises:
        WriteError: The file could not be written.
    """
    values = content.values
    data = {
        "timesteps": values["timesteps"],
        "figures": _drawn(values),
        "grids": _grids(values),
        "runs": [run["label"] for run in values["runs"]],
        "colours": values["colours"],
    }
    return write(out, _render("page.html", values, data))


def write_values(template: str, values: dict[str, Any], out: Path) -> Path:
    """Write a page that has no timestep to choose, as self-contained as that of a run.

    Args:
        template: Its name, such as ``"study.html"``.
        values: What the template shows, and `figures`, those of `pcbench.reports.page.study_figures` that it has.
        out: The file to write; it has its name only once it is whole.

    Returns:
        `out`.

    Raises:
        WriteError: The file could not be written.
    """
    figures = {one["id"]: one["drawn"] for one in values["figures"]}
    data = {"timesteps": [], "figures": figures, "grids": {}, "runs": [""], "colours": []}
    return write(out, _render(template, values, data))


def _render(template: str, content: dict[str, Any], data: dict[str, Any]) -> str:
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
    script = '"use strict";\n' + "".join((_FOLDER / name).read_text(encoding="utf-8") for name in _SCRIPTS)
    style = (_FOLDER / "page.css").read_text(encoding="utf-8")
    # Markup: files of this package, none with text of the user.
    page = environment.get_template(template).render(
        **content,
        data=data,
        script=Markup(script),  # noqa: S704
        script_hash=_hash(script),
        style=Markup(style),  # noqa: S704
        style_hash=_hash(style),
        words_here=Markup(_WORDS_HERE),  # noqa: S704
    )
    # Only now it is known which words the page uses. Escaped text cannot hold the mark.
    return page.replace(_WORDS_HERE, environment.get_template("words.html").render(words=used_words(page)))


def _drawn(content: dict[str, Any]) -> dict[str, Any]:
    """Return what the script draws, by the names that the template gives to figures."""
    return {
        f"{number}-{prefix}{at}": figure["drawn"]
        for number, suite in enumerate(content["suites"])
        for prefix, figures in (("change-", suite["changes"]), ("", suite["figures"]))
        for at, figure in enumerate(figures)
    }


def _grids(content: dict[str, Any]) -> dict[str, Any]:
    """Return what the script writes into tables, by the names that the template gives to them."""
    grids: dict[str, Any] = {}
    for number, suite in enumerate(content["suites"]):
        grids |= {f"{number}-{at}": grid["drawn"] for at, grid in enumerate(suite["severity_grids"])}
        grids |= {f"{number}-means-{one['run']}": one["means"] for one in suite["matrices"] if one["means"]}
    return grids


def _hash(text: str) -> str:
    """Return what a content security policy calls a script or a style of the page."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _literal(value: object) -> object:
    """Return what is put into the page for a value; the template escapes HTML in it afterwards."""
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _json(value: Any, **options: Any) -> str:
    """Return the JSON of a value whose texts are shown as in the rest of the page."""
    return json.dumps(_literally(value), separators=(",", ":"), ensure_ascii=False, **options)


def _literally(value: object) -> object:
    if isinstance(value, dict):
        return {_literal(name): _literally(one) for name, one in cast("dict[object, object]", value).items()}
    if isinstance(value, list | tuple):
        return [_literally(one) for one in cast("Sequence[object]", value)]
    if isinstance(value, float) and not math.isfinite(value):
        return None  # JSON has no such number
    return _literal(value)
