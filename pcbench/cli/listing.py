"""Tables of what can be named: models, suites, attacks, corruptions, data."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from rich.table import Table

from pcbench.catalog import (
    BARE_SUITES,
    SUITE_FILE,
    SUITE_KINDS,
    catalog_folder,
    definition_names,
    read_toml,
    suite_names,
)
from pcbench.plugins import PluginGroup, plugins

ListedRow = tuple[str, ...]


def listing(kind: PluginGroup) -> Table:
    """Return the table of one kind; what other packages register stands below pcbench's own."""
    columns, rows = _LISTINGS[kind]
    table = Table(title=kind, title_justify="left")
    for column in columns:
        table.add_column(column, overflow="fold", no_wrap=column == columns[0])
    own: set[str] = set()
    for row in rows():
        table.add_row(*row)
        if kind not in BARE_SUITES or row[1] in BARE_SUITES[kind]:
            own.add(row[0].partition(":")[0])
    for plugin in plugins(kind).values():
        hidden = plugin.name in own
        told = f"NOT USED {plugin.told}: pcbench's own has this name" if hidden else plugin.told
        table.add_row(plugin.name, *[""] * (len(columns) - 2), told)
    return table


def forms_listing() -> Table:
    """Return the table of all ways to name a model."""
    from pcbench.models.naming import MODEL_FORMS

    table = Table(title="how a model is named", title_justify="left")
    for column in ("form", "what", "weights"):
        table.add_column(column, overflow="fold")
    for form in MODEL_FORMS:
        table.add_row(form.form, *(text.replace("`", "") for text in (form.what, form.weights)))
    return table


def _models() -> Iterator[ListedRow]:
    from pcbench.models import zoo_listing

    yield from zoo_listing()


def _suites() -> Iterator[ListedRow]:
    for kind in SUITE_KINDS:
        for name in suite_names(kind):
            folder = catalog_folder(kind) / name
            header = read_toml(folder / SUITE_FILE)
            yield name, kind, str(len(definition_names(folder))), str(header.get("title", ""))


def _definitions(kind: Any, describe: Callable[[dict[str, Any]], str]) -> Iterator[ListedRow]:
    for suite in suite_names(kind):
        folder = catalog_folder(kind) / suite
        for name in definition_names(folder):
            yield name, suite, describe(read_toml(folder / f"{name}.toml"))


def _attacks() -> Iterator[ListedRow]:
    yield from _definitions("attacks", lambda table: f"{table.get('library', '')} {table.get('attack', '')}".strip())


def _corruptions() -> Iterator[ListedRow]:
    yield from _definitions("corruptions", lambda table: str(table.get("family", "")))


def _data() -> Iterator[ListedRow]:
    from pcbench.data.names import source_names

    yield from source_names().items()


_LISTINGS: dict[PluginGroup, tuple[tuple[str, ...], Callable[[], Iterator[ListedRow]]]] = {
    "models": (("model", "data", "weights", "what"), _models),
    "suites": (("suite", "kind", "definitions", "what"), _suites),
    "attacks": (("attack", "suite", "library"), _attacks),
    "corruptions": (("corruption", "suite", "family"), _corruptions),
    "data": (("data", "what"), _data),
}

LISTED_KINDS = tuple(_LISTINGS)
"""What can be listed."""
