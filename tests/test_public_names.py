"""The names that users write, and the versions of what they keep: none vanishes or appears without being told.

Oracle: `public_names.txt`, which is kept by hand: a change of it is a change for users. What may change in which
release is said in docs/contributing/stability.md. `uv run poe names` writes the file anew.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_type_hints

import typer.main

import pcbench
from pcbench import errors
from pcbench.attacks.definitions import AttackDefinition, AttackHeader
from pcbench.catalog import SUITE_KINDS, catalog_folder, suite_names
from pcbench.cli import json_page
from pcbench.cli.main import app
from pcbench.comparison.reference import REFERENCE_VERSION
from pcbench.corruptions.definitions import CorruptionDefinition, CorruptionHeader
from pcbench.harness.saved_plan import PLAN_VERSION
from pcbench.harness.suites import read_definition
from pcbench.models.naming import MODEL_FORMS
from pcbench.models.zoo import zoo_names
from pcbench.network.configuration import HyperparameterTable, NetworkTable, PCoderTable
from pcbench.plugins import PLUGIN_GROUPS
from pcbench.results.columns import OUTCOMES_VERSION
from pcbench.results.directory import MANIFEST_VERSION
from pcbench.results.metrics_table import METRICS_VERSION
from pcbench.results.run_spec import SPEC_VERSION
from pcbench.results.tables_page import SECTIONS
from pcbench.studies.study_file import ArmTable, QuestionTable, StudyTable, StudyTraining, SuiteTable, TuningTable

FILE = Path(__file__).with_name("public_names.txt")
TABLES = {
    "attack": AttackDefinition,
    "attacks/suite.toml": AttackHeader,
    "corruption": CorruptionDefinition,
    "corruptions/suite.toml": CorruptionHeader,
    "network": NetworkTable,
    "network pcoders": PCoderTable,
    "network hyperparameters": HyperparameterTable,
    "study": StudyTable,
    "study suites": SuiteTable,
    "study questions": QuestionTable,
    "study arms": ArmTable,
    "study training": StudyTraining,
    "study tuning": TuningTable,
}
VERSIONS = {
    "manifest.json": MANIFEST_VERSION,
    "metrics": METRICS_VERSION,
    "outcomes": OUTCOMES_VERSION,
    "plan": PLAN_VERSION,
    "reference": REFERENCE_VERSION,
    "spec": SPEC_VERSION,
}


def public_names() -> list[str]:
    """Every public name, a line each, sorted."""
    return sorted({*python(), *command_line(), *json_keys(), *files(), *catalogue(), *endings()})


def python() -> Iterator[str]:
    yield "python: pcbench.__version__"
    for name in (name for name in pcbench.__all__ if name != "__version__"):
        function = getattr(pcbench, name)
        yield f"python: pcbench.{name}"
        for argument in inspect.signature(function).parameters:
            yield f"python: pcbench.{name}({argument})"
        returned = inspect.getmodule(function).__dict__.get(str(inspect.signature(function).return_annotation))
        if isinstance(returned, type) and returned.__module__.startswith("pcbench."):
            yield f"python: pcbench.{name} -> {returned.__name__}"
            yield from (f"python: {returned.__name__}.{one}" for one in members(returned))


def members(kind: type) -> set[str]:
    """What of a class is pcbench's own: not what a base of another library has."""
    own = [one for one in kind.__mro__ if one.__module__.startswith("pcbench.")]
    names = {name for one in own for name in (*vars(one), *vars(one).get("__annotations__", {}))}
    return {name for name in names if not name.startswith("_")}


def command_line() -> Iterator[str]:
    yield from commands("pcbench", typer.main.get_command(app))


def commands(above: str, command: Any) -> Iterator[str]:
    yield f"command: {above}"
    for one in command.params:
        words = (one.metavar or one.name,) if one.param_type_name == "argument" else (*one.opts, *one.secondary_opts)
        yield from (f"command: {above} {word}" for word in words)
    for name, inner in getattr(command, "commands", {}).items():
        yield from commands(f"{above} {name}", inner)


def json_keys() -> Iterator[str]:
    for verb, forms in json_page.JSON_FORMS.items():
        for form in forms:
            yield f"json: {verb} -> {form.__name__}"
            for one in (form, *json_page._within(form)):
                yield from (f"json: {one.__name__}.{key}" for key in get_type_hints(one))


def files() -> Iterator[str]:
    for heading, columns in SECTIONS.items():
        yield from (f"column: {heading.replace('`', '')}: {name}" for name in columns)
    for table, kind in TABLES.items():
        yield from (f"toml: {table}: {field.alias or name}" for name, field in kind.model_fields.items())
    yield from (f"format: {name} {version}" for name, version in VERSIONS.items())


def catalogue() -> Iterator[str]:
    for kind in SUITE_KINDS:
        for name in suite_names(kind):
            suite = read_definition(kind, catalog_folder(kind) / name)
            yield f"suite: {kind}/{name} version {suite.version}"
            for one in getattr(suite, kind):
                yield f"suite: {kind}/{name}/{one.name}"
    yield from (f"model: {name}" for name in zoo_names())
    yield from (f"model: {one.form}" for one in MODEL_FORMS)
    yield from (f"entry points: pcbench.{group}" for group in PLUGIN_GROUPS)


def endings() -> Iterator[str]:
    for name, kind in vars(errors).items():
        if isinstance(kind, type) and issubclass(kind, errors.PcbenchError):
            yield f"error: {name}, exit code {kind.exit_code}"


def test_no_public_name_changes_unseen() -> None:
    known, found = FILE.read_text(encoding="utf-8").splitlines(), public_names()
    gone, new = sorted({*known} - {*found}), sorted({*found} - {*known})
    assert (gone, new) == ([], []), (
        "what users write has changed: is it allowed by docs/contributing/stability.md? Then tell it in CHANGELOG.md, "
        "and write tests/public_names.txt anew with: uv run poe names"
    )
    assert known == found


def test_what_everybody_writes_is_among_them() -> None:
    known = set(FILE.read_text(encoding="utf-8").splitlines())
    assert known >= {
        "python: pcbench.run(model)",
        "python: Run.metrics",
        "command: pcbench run --suite",
        "command: pcbench study run",
        "json: RunForm.numbers",
        "column: metrics.csv and metrics.parquet: value",
        "toml: corruption: family",
        "suite: corruptions/imagenet-c version 1",
        "entry points: pcbench.attacks",
        "error: UsageError, exit code 2",
    }


if __name__ == "__main__":
    FILE.write_text("".join(f"{name}\n" for name in public_names()), encoding="utf-8")
