"""`pcbench runs [DIR]`: the finished runs below a folder, the newest first."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pcbench.cli.arguments import AsJson
from pcbench.cli.saying import say, say_json

if TYPE_CHECKING:
    from pcbench.cli.json_forms import ListedRun
    from pcbench.results.directory import Run

_RUNS = Path("results") / "runs"
_UNITS = (("d", 86_400), ("h", 3_600), ("min", 60))


def runs_command(
    folder: Annotated[
        Path, typer.Argument(help="The folder below which they lie.", metavar="DIR", show_default=str(_RUNS))
    ] = _RUNS,
    as_json: AsJson = False,
) -> None:
    """List the finished runs below a folder: key, model, suites, main numbers, age and size."""
    from pcbench.errors import UsageError

    if not folder.is_dir() and folder != _RUNS:
        raise UsageError(f"{folder} is not a folder: give one below which runs lie")
    found = sorted(_listed_runs(folder), key=lambda one: one["started"] or "", reverse=True)
    if as_json:
        say_json({"runs": found})
    elif found:
        _print_runs(found)
    else:
        say(f"no finished run lies below {folder}; pcbench run makes one, and pcbench status shows those under way")


def _listed_runs(folder: Path) -> Iterator[ListedRun]:
    """Yield what is listed of each run; a run of a setting is part of its run."""
    from pcbench.errors import DataError
    from pcbench.results.directory import MANIFEST, open_run

    places = {path.parent for path in folder.rglob(MANIFEST)}
    for place in sorted(place for place in places if places.isdisjoint(place.parents)):
        try:
            run = open_run(place, verify=False)
            numbers = _numbers_of(run)
        except DataError as error:
            say(f"pcbench: {error}", error=True)
            continue
        size = sum(one.stat().st_size for one in place.rglob("*") if one.is_file())
        yield {
            "key": run.key,
            "model": str(run.spec.model["name"]),
            "suites": [suite.name for suite in run.spec.suites],
            "headline": numbers,
            "started": run.manifest.get("started"),
            "bytes": size,
            "folder": str(place),
        }


def _numbers_of(run: Run) -> list[str]:
    """Return the main number of each suite at the first and the last timestep, in words.

    Under corruption this is the mean accuracy, under attacks the robust accuracy under the last one of the table.
    """
    from pcbench.cli.run_table import attack_columns
    from pcbench.percent import percent

    if run.spec.settings.grid.swept:
        return [f"{len(run.spec.settings.grid.labels)} settings of {', '.join(run.spec.settings.grid.swept)}"]
    metrics = run.metrics
    found: list[str] = []
    for suite in run.spec.suites:
        rows = metrics[metrics["suite"] == suite.name]
        columns = attack_columns(rows)
        if suite.kind == "corruptions":
            pooled = rows[(rows["kind"] == "summary") & rows["severity"].isna() & (rows["metric"] == "accuracy")]
            columns |= {"corrupted": pooled.set_index("timestep")["value"]} if len(pooled) else {}
        shown = {name: series.dropna() for name, series in columns.items() if series.notna().any()}
        if not shown:
            continue
        name, series = list(shown.items())[-1]
        first, last = (percent(float(series[t])) for t in (series.index.min(), series.index.max()))
        change = first if series.index.min() == series.index.max() else f"{first} → {last}"
        found.append(f"{name} {change} %")
    return found


def _print_runs(found: list[ListedRun]) -> None:
    from rich.table import Table

    from pcbench.percent import shown_bytes
    from pcbench.terminal import Terminal

    table = Table()
    for heading in ("key", "model", "suites", "t = 0 → last t"):
        table.add_column(heading, overflow="fold")
    for heading in ("age", "size"):
        table.add_column(heading, justify="right", no_wrap=True)
    for one in found:
        words = (one["key"], one["model"], "\n".join(one["suites"]), "\n".join(one["headline"]))
        table.add_row(*words, age_of(one["started"]), shown_bytes(one["bytes"]))
    Terminal().print(table)
    say("pcbench open FOLDER shows a page:", *(f"  {one['folder']}" for one in found))


def age_of(started: str | None) -> str:
    """Return how long ago something was, in one unit; empty where it is not known."""
    try:
        then = datetime.fromisoformat(started or "")
    except ValueError:
        return ""
    then = then if then.tzinfo else then.replace(tzinfo=UTC)
    seconds = max((datetime.now(UTC) - then).total_seconds(), 0)
    return next((f"{seconds // size:.0f} {unit}" for unit, size in _UNITS if seconds >= size), f"{seconds:.0f} s")
