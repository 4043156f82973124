"""The short table that a run ends with: one line per timestep."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Iterator
from functools import partial

import pandas as pd
from rich.table import Table

from pcbench.cli.json_forms import AnswerForm, RunForm, ShardForm, ShownNumber
from pcbench.cli.open import page_of
from pcbench.cli.saying import say_json
from pcbench.cli.settings_table import print_settings, setting_numbers
from pcbench.comparison.answer import Answer, answers, subject_of
from pcbench.comparison.sentences import leading, run_sentences
from pcbench.comparison.verdicts import verdicts_of
from pcbench.metrics.attack_rows import ANY_ATTACKED
from pcbench.metrics.marks import marks_title, noise_notes
from pcbench.metrics.representations import CORRELATION_DISTANCE, pcoders_of
from pcbench.metrics.shown import level_symbol, own_timestep, shown_epsilon, shown_levels
from pcbench.names import words
from pcbench.norms import epsilon_text
from pcbench.percent import decimal, percent
from pcbench.results.conditions import CORRUPTED
from pcbench.results.directory import Run
from pcbench.results.divisor import Divisor, divisors_in
from pcbench.results.metrics_table import split_baseline
from pcbench.results.run_spec import SuiteSpec
from pcbench.results.shard import Shard
from pcbench.results.verdicts import Verdicts
from pcbench.terminal import Terminal, labelled

_NORMALISED = {"mCE": "mean_corruption_error", "mean normalised error": "mean_normalised_error"}
_PLAIN_MEAN = "mean error"
_MEANS = (*_NORMALISED, _PLAIN_MEAN)
_WIDEST = 8
"""The columns besides t that a table has at most where timesteps are its rows."""


def print_summary(run: Run, console: Terminal | None = None, *, as_json: bool = False) -> None:
    """Print one short table a suite, and where the run's folder and page are; or the same as JSON."""
    from pcbench.cli.main import with_flags  # it imports the verbs, and these import this

    if as_json:
        say_json(run_form(run))
        return
    console = console or Terminal()
    if run.spec.settings.grid.swept:
        print_settings(run, console)
    else:
        _print_suites(run, console)
    for note in run.manifest.get("notes", []):
        console.print(labelled("note:", with_flags(note)))
    _print_end(run, console)


def _print_suites(run: Run, console: Terminal) -> None:
    verdicts = verdicts_of(run)
    for suite, rows, columns, footnote in _shown_suites(run):
        corrupted = suite.kind == "corruptions"
        mean = next((name for name in columns if name.rstrip("*") in _MEANS), None)
        what = f"accuracy by severity, and {mean.rstrip('*')}" if mean else "accuracy"
        what = what if corrupted else f"robust accuracy ({_verdict(verdicts, suite.name, rows)})"
        kept = run.manifest.get("kept", {}).get(suite.name, suite.images)
        images = _images(suite.name, kept, suite.subset)
        title = f"{run.spec.model['name']} on {images}: {what}, in %{marks_title(rows)}"
        print_table(console, title, columns, percent)
        _print_distances(console, rows)
        if corrupted:
            for line in noise_notes(rows, run.manifest.get("classes")):
                console.print(line, soft_wrap=True)
        if footnote is not None:
            console.print(f"* {footnote}", soft_wrap=True)
    for text in _told(run):
        console.print(f"- {text}")


def _shown_suites(run: Run) -> Iterator[tuple[SuiteSpec, pd.DataFrame, dict[str, pd.Series], str | None]]:
    """Yield each suite of a run, its rows of metrics, the columns of its table by timestep, and the footnote."""
    metrics, divisors = run.metrics, divisors_in(run) or {}
    for suite in run.spec.suites:
        rows = metrics[metrics["suite"] == suite.name]
        columns = corruption_columns(rows) if suite.kind == "corruptions" else attack_columns(rows)
        mean, footnote = _mean_error(rows, divisors.get(suite.name))
        yield suite, rows, columns | mean, footnote


def run_form(run: Run) -> RunForm:
    """Return what `--json` prints of a finished run: the numbers and sentences of its tables."""
    page, swept = page_of(run.folder), bool(run.spec.settings.grid.swept)
    told = [] if swept else _told(run)
    found = answers(run)
    return {
        "key": run.key,
        "model": str(run.spec.model["name"]),
        "folder": str(run.folder),
        "page": None if page is None else str(page),
        "found": run.found,
        "numbers": list(setting_numbers(run) if swept else _suite_numbers(run)),
        "answers": answer_forms(found),
        "sentences": told[len(found) :],
        "notes": [str(note) for note in run.manifest.get("notes", [])],
        "missing": run.missing,
    }


def answer_forms(found: Iterable[Answer]) -> list[AnswerForm]:
    """Return answers as `--json` prints them."""
    return [{"suite": one.suite, "about": one.about, "decision": one.decision, "sentence": one.text} for one in found]


def _suite_numbers(run: Run) -> Iterator[ShownNumber]:
    for suite, _, columns, _ in _shown_suites(run):
        for what, series in columns.items():
            for timestep, value in series.items():
                yield {
                    "suite": suite.name,
                    "setting": None,
                    "timestep": int(str(timestep)),
                    "what": what.rstrip("*"),
                    "value": None if pd.isna(value) else float(value),
                }


def _told(run: Run) -> list[str]:
    """Return the answer of a run, and the leading sentences about what is not in it."""
    found = answers(run)
    answered = {(answer.suite, answer.about) for answer in found if answer.row is not None}
    sentences = [
        said
        for said in run_sentences(run)
        if (said.suite, subject_of(said.about)) not in answered
        and not any(said.text in answer.text for answer in found)
    ]
    return [*(answer.text for answer in found), *leading(sentences)]


def _print_distances(console: Terminal, rows: pd.DataFrame) -> None:
    """Print, for each noise of a suite, what it does to representations."""
    levels = shown_levels(rows)
    for name, level in levels.items():
        distances = _distance_columns(rows[(rows["name"] == name) & (rows["epsilon"] == level)])
        if distances:
            noise = f"{words(name)}, " if len(levels) > 1 else ""
            title = f"1 − r between clean and noisy representations, {noise}{level_symbol([name])} = {level:.3g}"
            print_table(console, title, distances, partial(decimal, digits=3))


def print_shard(shard: Shard, console: Terminal | None = None, *, as_json: bool = False) -> None:
    """Print what a shard did, where its folder is, and how the run is made of all; or the same as JSON."""
    if as_json:
        form: ShardForm = {
            "shard": shard.number,
            "of": shard.of,
            "units": len(shard.parts),
            "folder": str(shard.folder),
        }
        say_json(form)
        return
    console = console or Terminal()
    console.print(f"shard {shard.number} of {shard.of}: {len(shard.parts)} units are done")
    _print_end(shard, console)
    console.print(
        f"when all shards are there: pcbench merge {shlex.quote(str(shard.folder.parent))}",
        soft_wrap=True,
    )


def _print_end(run: Run, console: Terminal) -> None:
    for entry in run.missing:
        what = f"{entry['condition']}, {entry['images']}: {entry['reason']}"
        console.print(labelled("missing:", what), soft_wrap=True)
    done = (
        f"found {run.folder}, computed on {run.manifest.get('started') or 'an unknown day'}"
        if run.found
        else f"wrote {run.folder}"
    )
    console.print(done, soft_wrap=True)
    page = page_of(run.folder)
    if page is not None:
        console.print(f"page: {page}", soft_wrap=True)


def _mean_error(rows: pd.DataFrame, divisor: Divisor | None) -> tuple[dict[str, pd.Series], str | None]:
    """Return the column of a suite's mean corruption error, and its footnote.

    Where a baseline does not divide the errors, this is the plain mean, and the footnote says why.
    """
    for name, metric in _NORMALISED.items():
        divided = rows[rows["metric"] == metric]
        if len(divided):
            values, note = _by_timestep(divided, metric), split_baseline(divided["baseline"].iloc[0])[1]
            return ({f"{name}*": values}, f"{name} of a subset, not comparable") if note else ({name: values}, None)
    if divisor is None or divisor.reason is None:
        return {}, None
    plain = _by_timestep(rows, "mean_unnormalised_error")
    return {f"{_PLAIN_MEAN}*": plain} if len(plain) else {}, f"no CE or mCE: {divisor.reason}"


def _verdict(verdicts: Verdicts, suite: str, rows: pd.DataFrame) -> str:
    """Return the verdict on the attacks of a suite, in words."""
    attacks = own_timestep(rows[rows["kind"] == "attack"])
    alone = attacks[~attacks["metric"].str.startswith(ANY_ATTACKED)]
    attacked = sorted({int(t) for t in alone["timestep"]}, reverse=True)
    return verdicts.words(suite, attacked)


def _images(suite: str, images: int, subset: bool) -> str:
    return f"{suite}, {images} images{', a subset' if subset else ''}"


def print_table(console: Terminal, title: str, columns: dict[str, pd.Series], form: Callable[[float], str]) -> None:
    """Print a table with its title above it, which a verdict makes longer than a narrow table is wide.

    Timesteps are the rows, or, where that would make many narrow columns, the columns.
    """
    times = sorted({int(timestep) for series in columns.values() for timestep in series.index})
    shown = {
        name: ["" if pd.isna(value) else form(value) for value in map(series.get, times)]
        for name, series in columns.items()
    }
    table = Table()
    if len(shown) > _WIDEST and len(times) < len(shown):
        for name in ("", *(f"t = {timestep}" for timestep in times)):
            table.add_column(name, justify="right")
        for name, cells in shown.items():
            table.add_row(name, *cells)
    else:
        for name in ("t", *shown):
            table.add_column(name, justify="right")
        for timestep, *cells in zip(times, *shown.values(), strict=True):
            table.add_row(str(timestep), *cells)
    console.print(title, style="italic", soft_wrap=True)
    console.print(table)


def _distance_columns(rows: pd.DataFrame) -> dict[str, pd.Series]:
    """Return, by timestep, the correlation distance of every PCoder under one noise."""
    pcoders = pcoders_of(CORRELATION_DISTANCE, rows["metric"])
    return {f"PCoder {pcoder}": _by_timestep(rows, metric) for metric, pcoder in pcoders.items()}


def corruption_columns(rows: pd.DataFrame) -> dict[str, pd.Series]:
    """Return, by timestep, the clean accuracy and the accuracy at each severity, the mean over the corruptions."""
    corrupted = rows[rows["kind"].isin(CORRUPTED)]
    columns = {"clean accuracy": _by_timestep(rows[rows["kind"] == "clean"], "accuracy")}
    per_severity = corrupted[(corrupted["metric"] == "accuracy") & corrupted["severity"].notna()]
    for severity, part in per_severity.groupby("severity"):
        levels = part["epsilon"].dropna().unique()
        name = f"severity {int(str(severity))}"
        if len(levels) == 1:  # of one noise, or of several that have the same
            name = f"{level_symbol(part['name'])} = {levels[0]:.3g}"
        columns[name] = part.groupby("timestep")["value"].mean()
    return {name: series for name, series in columns.items() if len(series)}


def attack_columns(rows: pd.DataFrame) -> dict[str, pd.Series]:
    """Return, by timestep, the clean accuracy and the robust accuracy under each attack at the ε that is shown."""
    columns = {"clean accuracy": _by_timestep(rows[rows["kind"] == "clean"], "accuracy")}
    robust = (rows["metric"] == "robust_accuracy") & rows["targeted"].ne(other=True)
    reached = (rows["metric"] == "attack_success_rate_within") & rows["targeted"].eq(other=True)
    counted = (robust | reached).fillna(value=False)
    attacks = rows[rows["kind"] == "attack"]
    for (name, norm), part in attacks.groupby(["name", "norm"], observed=True):
        epsilon = shown_epsilon(part)
        shown = own_timestep(part[counted[part.index] & (part["epsilon"] == epsilon)])
        if epsilon is None or shown.empty:
            continue
        goal = "target reached, " if bool(shown["targeted"].iloc[0]) else ""
        budget = f"{name} ε={epsilon_text(epsilon, str(norm))}"
        columns[goal + budget] = shown.set_index("timestep")["value"]
        every = part[(part["metric"] == ANY_ATTACKED) & (part["epsilon"] == epsilon)]
        if len(every):
            attacked = ", ".join(str(t) for t in sorted(set(part["attacked_timestep"].dropna())))
            columns[f"{budget}, all made against t = {attacked}"] = every.set_index("timestep")["value"]
    return columns


def _by_timestep(rows: pd.DataFrame, metric: str) -> pd.Series:
    return rows[rows["metric"] == metric].set_index("timestep")["value"]
