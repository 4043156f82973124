"""What a page tells of a run besides its numbers: what was run, what attacks may do, how representations grow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from pcbench.attacks.definitions import AttackDefinition, AttackSuite, load_attack_suite
from pcbench.attacks.worst_case import NAME as WORST_CASE
from pcbench.catalog import catalog_folder, suite_names
from pcbench.comparison.answer import Answer
from pcbench.names import attack_title, words
from pcbench.norms import epsilon_text, norm_symbol
from pcbench.percent import decimal, percent
from pcbench.reports.charts import texts
from pcbench.results.directory import Run
from pcbench.results.divisor import divisors_in
from pcbench.results.verdicts import CHECKED, SUSPICIOUS, ShownVerdict, Verdicts, verdict_words

_KEY = 12
"""How many letters of a key tell a run in a line."""


def run_line(run: Run) -> str:
    """Return what was run, in one line."""
    spec = run.spec
    kept: Mapping[str, Any] = run.manifest.get("kept", {})
    suites = ", ".join(
        f"{suite.name} (version {suite.version}, {kept.get(suite.name, suite.images)} images)" for suite in spec.suites
    )
    name, split, last = spec.data.name, spec.data.split, spec.settings.timesteps
    timesteps = f"t = 0 to {last}" if last else "t = 0"
    return f"{spec.model['name']} on {name}, {split}: {suites}; {timesteps}; run {run.key[:_KEY]}"


def facts(run: Run) -> list[tuple[str, str]]:
    """Return what was run, as pairs of a name and a value."""
    spec = run.spec
    found = [(f"model: {words(name)}", value) for name, value in spec.model.items() if value is not None]
    found += [
        ("images", f"{spec.data.name}, {spec.data.split}"),
        ("images' fingerprint", spec.data.fingerprint),
        (
            "preprocessing",
            ", ".join(f"{name} {value}" for name, value in spec.data.preprocessing.items() if value is not None),
        ),
    ]
    for suite in spec.suites:
        subset = f", a subset of {spec.data.available}" if suite.subset else ""
        images = run.manifest.get("kept", {}).get(suite.name, suite.images)
        found.append((f"suite {suite.name}", f"version {suite.version}, {images} images{subset}"))
    found += [(words(name), value) for name, value in spec.settings.model_dump().items() if value is not None]
    found += [("key of the run", run.key), ("started", run.manifest.get("started", "")), ("took", _took(run))]
    found += [("note", note) for note in run.manifest.get("notes", [])]
    undivided = {name: one.reason for name, one in (divisors_in(run) or {}).items() if one.reason is not None}
    found += [("note", f"{name}: no CE or mCE: {reason}") for name, reason in undivided.items()]
    found += [(f"baseline of {suite}", text) for suite, text in _baselines(run)]
    found += [("missing", f"{entry['condition']}, {entry['images']}: {entry['reason']}") for entry in run.missing]
    if spec.settings.hyperparameters is not None:
        found = [(name, value) for name, value in found if name != "hyperparameters"]
        found.append(("hyperparameters", "; ".join(spec.settings.hyperparameters)))
    plain: dict[Any, str] = {True: "yes", False: "no"}
    return [
        (str(name), plain[value] if isinstance(value, bool) else str(value)) for name, value in found if value != ""
    ]


def _took(run: Run) -> str:
    seconds = run.manifest.get("seconds")
    return "" if seconds is None else f"{seconds} s"


def _baselines(run: Run) -> Iterator[tuple[str, str]]:
    """Yield where the baseline of each suite's CE and mCE comes from, and its error on clean images if it says that."""
    for name, one in (divisors_in(run) or {}).items():
        if one.baseline is None:
            continue
        clean = one.baseline.clean_error
        error = "" if clean is None else f"; error on clean images {percent(clean)} %"
        yield name, f"{one.baseline.name}: {one.baseline.source}{error}"


def knowledge(rows: pd.DataFrame) -> str:
    """Return what an attack knows of the model: its gradient, in which form, or its answers alone."""
    gradients = " and ".join(words(gradient) for gradient in texts(rows["gradient"].dropna()))
    return f"white-box, {gradients} gradient" if gradients else "black-box"


def threats(metrics: pd.DataFrame, suites: Sequence[AttackSuite] = ()) -> list[str]:
    """Return one line for each attack: what it may do, to what, how much.

    Args:
        metrics: The tidy table of a run.
        suites: The suites whose definitions are known as they were run; their attacks' settings are told.
    """
    settings = {(suite.name, attack.name): attack for suite in suites for attack in suite.attacks}
    told: list[str] = []
    for suite, name, norm, part in _attacks(metrics):
        if name == WORST_CASE:
            told.append(f"{suite}, worst case: an image counts as broken where any of these attacks breaks it")
            continue
        more = "".join(f", {one}" for one in _settings(settings.get((suite, name))))
        told.append(
            f"{suite}, {attack_title(name)}: {knowledge(part)}, {_aims(part)}, {norm_symbol(norm)}, "
            f"ε = {_budgets(part, norm)}{more}"
        )
    return told


def known_suites(run: Run) -> list[AttackSuite]:
    """Return the suites of attacks that come with pcbench and are today as they were run."""
    hashes = {suite.name: suite.sha256 for suite in run.spec.suites if suite.name in suite_names("attacks")}
    found = [load_attack_suite(catalog_folder("attacks") / name) for name in hashes]
    return [suite for suite in found if suite.identity() == hashes[suite.name]]


def _settings(found: AttackDefinition | None) -> Iterator[str]:
    """Yield the settings of an attack."""
    if found is None:
        return
    if found.steps is not None:
        length = "" if found.relative_step_size is None else f" of {found.relative_step_size:g} ε"
        yield f"{found.steps} step{'s' * (found.steps != 1)}{length}"
    if found.restarts > 1:
        yield f"{found.restarts} restarts"
    if found.random_start:
        yield "random start"


def _attacks(metrics: pd.DataFrame) -> Iterator[tuple[str, str, str, pd.DataFrame]]:
    attacks = metrics[metrics["kind"] == "attack"]
    for (suite, name, norm), part in attacks.groupby(["suite", "name", "norm"], sort=False, observed=True):
        yield str(suite), str(name), str(norm), part


def _aims(rows: pd.DataFrame) -> str:
    return "targeted" if rows["targeted"].fillna(False).any() else "untargeted"


def _budgets(rows: pd.DataFrame, norm: str) -> str:
    # A row over several budgets has none; where a column holds NaN as a number, `dropna` keeps it.
    values = sorted({float(value) for value in rows["epsilon"].dropna() if value == value})  # noqa: PLR0124
    return ", ".join(epsilon_text(value, norm) for value in values)


def qualifiers(rows: pd.DataFrame, verdicts: Verdicts) -> dict[str, dict[str, Any]]:
    """Return what stands at the robust accuracies of one suite, by the name of their table.

    Returns:
        For each attack `knows`, what it knows of the model, and `marks`, the verdict on the gradients by timestep.
    """
    found: dict[str, dict[str, Any]] = {}
    for suite, name, norm, part in _attacks(rows):
        timesteps = sorted({int(t) for t in part["timestep"]})
        found[f"{suite}-{name}-{norm}-robust-accuracy"] = {
            "title": attack_title(name),
            "knows": knowledge(part),
            "marks": {timestep: verdicts.words(suite, [timestep]) for timestep in timesteps},
        }
    return found


def shown_verdicts(entries: Sequence[ShownVerdict], verdicts: Verdicts) -> list[ShownVerdict]:
    """Return the verdicts of a run's checks in the words that stand at its numbers, with all signs that were found.

    Args:
        entries: The verdicts of `checks.json`.
        verdicts: All that is known, also from other tables.
    """
    shown: list[ShownVerdict] = []
    for entry in entries:
        warnings = verdicts.warnings.get((entry.suite, entry.timestep), ())
        word = SUSPICIOUS if verdict_words(entry, warnings) != CHECKED else CHECKED
        shown.append(entry.model_copy(update={"verdict": word, "reasons": (*warnings, *entry.reasons)}))
    return shown


def doubts(metrics: pd.DataFrame, found: Sequence[Answer], verdicts: Verdicts) -> str:
    """Return at which timesteps gradients are suspicious though an answer, which is not about these, is checked."""
    told: list[str] = []
    for suite in dict.fromkeys(one.suite for one in found if one.row is not None and one.row.verdict == CHECKED):
        attacks = metrics[(metrics["suite"] == suite) & (metrics["kind"] == "attack")]
        timesteps = sorted({int(t) for t in attacks["timestep"]})
        bad = [str(t) for t in timesteps if verdicts.words(str(suite), [t]).startswith(SUSPICIOUS)]
        if bad:
            told.append(f"At t = {', '.join(bad)} the gradients under {suite} are suspicious.")
    return " ".join(told)


def growth(run: Run) -> dict[str, Any] | None:
    """Return how representations of clean images grow over t; None where nothing watched them."""
    found: Mapping[str, Any] | None = run.manifest.get("growth")
    if not found or not found.get("largest"):
        return None
    return {
        "images": found["images"],
        "diverging": found["diverging"],
        "largest": [
            (timestep, float(ratio), decimal(float(ratio), 2)) for timestep, ratio in enumerate(found["largest"])
        ],
    }
