"""The pages that are made from the code: oracles are the code itself, its syntax trees, and pydantic's own schemas."""

from __future__ import annotations

import ast
import errno
import importlib.metadata
import inspect
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer.main
from pydantic import BaseModel

import pcbench
from pcbench.attacks.definitions import AttackDefinition, AttackHeader
from pcbench.cli.main import EXIT_CODES, app
from pcbench.cli.pages import api, environment, errors, network_files, study_files, suite_files
from pcbench.cli.pages.__main__ import PAGES
from pcbench.cli.pages.markdown import keys_table
from pcbench.corruptions.definitions import Baseline, CorruptionDefinition, CorruptionHeader
from pcbench.network.configuration import NetworkTable
from pcbench.results import adversarials, schema
from pcbench.studies.study_file import StudyTable

ROOT = Path(__file__).parents[2]
PACKAGE = Path(pcbench.__file__).parent
FILES = [path for path in sorted(PACKAGE.rglob("*.py")) if "pages" not in path.parent.parts[-1:]]
TREES = {path: ast.parse(path.read_text(encoding="utf-8")) for path in FILES}
LETTERS = re.compile(r"[A-Z][A-Z0-9_]{3,}")


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_that_of_the_code(name: str) -> None:
    assert (ROOT / name).read_text(encoding="utf-8") == PAGES[name](), "python -m pcbench.cli.pages"


HEADINGS = suite_files._HEADINGS | network_files._HEADINGS | study_files._HEADINGS


@pytest.mark.parametrize("cls", HEADINGS, ids=lambda cls: cls.__name__)
def test_a_table_has_the_keys_that_the_schema_has(cls: type[BaseModel]) -> None:
    stated = cls.model_json_schema()
    rows = re.findall(r"^\| `(\w+)` \| .*? \| (needed)?", keys_table(cls, HEADINGS), re.MULTILINE)
    assert {name for name, _ in rows} == stated["properties"].keys()
    assert {name for name, needed in rows if needed} == set(stated.get("required", ()))


@pytest.mark.parametrize(
    "top", [AttackHeader, AttackDefinition, CorruptionHeader, CorruptionDefinition, Baseline, NetworkTable, StudyTable]
)
def test_every_table_inside_a_definition_has_a_section(top: type[BaseModel]) -> None:
    within = top.model_json_schema().get("$defs", {})
    assert {name for name, one in within.items() if one["type"] == "object"} <= {cls.__name__ for cls in HEADINGS}


def _called(node: ast.AST) -> str:
    return ast.unparse(node.func) if isinstance(node, ast.Call) else ""


def test_a_verb_that_may_end_with_1_says_so_in_its_help() -> None:
    # Oracle: where the verbs' sources raise typer.Exit(1).
    ending = {
        path.stem
        for path, tree in TREES.items()
        if path.parent.name == "cli" and any(_called(node) == "typer.Exit" and node.args for node in ast.walk(tree))
    }
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    helps = {name: command.help or "" for name, command in commands.items()}
    helps["study"] = commands["study"].commands["check"].help
    assert {name for name in ending if "exit code 1" not in helps[name]} == set()
    assert {name for name, text in helps.items() if "exit code 1" in text} == ending
    assert set(EXIT_CODES) == {0, 1, 2}


def test_the_page_of_commands_has_every_option_that_the_page_of_options_lacks() -> None:
    text = PAGES["docs/reference/commands.md"]() + PAGES["docs/reference/options.md"]()
    waiting = [typer.main.get_command(app)]
    while waiting:
        command = waiting.pop()
        waiting += getattr(command, "commands", {}).values()
        for one in command.params:
            for flag in () if getattr(one, "hidden", False) or one.param_type_name == "argument" else one.opts:
                assert f"`{flag}" in text, (command.name, flag)


def test_the_tree_of_errors_is_whole() -> None:
    # Oracle: the class statements of the package, without importing it.
    known, found = {"PcbenchError"}, set[str]()
    classes = [node for tree in TREES.values() for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    while known - found:
        found |= known
        known |= {node.name for node in classes if found & {ast.unparse(base) for base in node.bases}}
    shown = set(re.findall(r"^ *(\w+Error)", errors.errors_page().split("```")[1], re.MULTILINE))
    assert shown == {name for name in found if name[0] != "_"}


def _variables(tree: ast.Module) -> Iterator[str]:
    """Yield what may be the name of a variable in a module that reads or sets the environment."""
    source = ast.unparse(tree)
    if "os.environ" not in source and "os.getenv" not in source and "gigabytes(" not in source:
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and LETTERS.fullmatch(node.value):
            yield node.value


NO_VARIABLES = {"HEAD", *dir(errno), *dir(signal)}
"""Words in capitals in these modules that are no variables."""


def test_every_variable_that_is_read_or_set_is_on_the_page() -> None:
    listed = {*environment.OWN, *environment.READ, *environment.SET_OR_REMOVED}
    found = {name for tree in TREES.values() for name in _variables(tree)} - NO_VARIABLES
    assert found - listed == set()
    assert listed - found == set()


def test_every_variable_of_pcbench_that_is_named_anywhere_is_on_the_page() -> None:
    page = environment.environment_page()
    paths = [*ROOT.glob("*.md"), *ROOT.glob("*.yml"), *(ROOT / "docs").rglob("*.*"), *(ROOT / "pcbench").rglob("*.py")]
    texts = [path.read_text(encoding="utf-8") for path in paths if path.suffix in {".md", ".yml", ".py"}]
    named = {name for text in texts for name in re.findall(r"\bPCBENCH_[A-Z_]+\b", text)}
    assert {name for name in named if f"`{name}`" not in page} == set()


@pytest.mark.parametrize("name", environment.OF_LIBRARIES)
def test_a_library_reads_the_variable_that_is_said_of_it(name: str) -> None:
    library, _ = environment.OF_LIBRARIES[name]
    files = [path for path in importlib.metadata.files(library) or () if path.suffix == ".py"]
    assert any(f'"{name}"' in path.read_text(encoding="utf-8") or f"'{name}'" in path.read_text() for path in files)


def test_the_page_of_formats_uses_every_version_that_the_code_states() -> None:
    source = (PACKAGE / "cli" / "pages" / "formats.py").read_text(encoding="utf-8")
    stated = {
        target.id
        for tree in TREES.values()
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name) and re.fullmatch(r"[A-Z]+_(VERSION|FORMAT)|FORMAT", target.id)
    }
    in_the_schemas = {"OUTCOMES_VERSION"}
    assert {name for name in stated - in_the_schemas if name not in source} == set()
    fields = {
        node.target.id
        for tree in TREES.values()
        for node in ast.walk(tree)
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.target.id.endswith("_version")
    }
    assert {name for name in fields - {"model_version"} if f"`{name}`" not in source} == set()
    assert range(2, schema.OUTCOMES_VERSION) == schema._FORMER_OUTCOMES
    assert adversarials._FORMER == "pcbench adversarial images, 1"


FUNCTIONS = [name for name in pcbench.__all__ if not name.startswith("_")]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_of_pcbench_explains_its_arguments_results_and_errors(name: str) -> None:
    # Oracle: the signature as Python sees it.
    function = getattr(pcbench, name)
    section = api.api_page().split(f"### `pcbench.{name}`\n")[1].split("\n### ")[0]
    parameters = [one for one in inspect.signature(function).parameters.values() if one.default is not Ellipsis]
    explained = set(re.findall(r"^\| `\**(\w+)` \|", section, re.MULTILINE))
    assert {one.name for one in parameters} <= explained
    assert "\nReturns: " in section
    assert "\n| error | where |\n" in section


def test_what_the_functions_return_is_on_the_page() -> None:
    classes = {cls.__name__ for group in api.GROUPS.values() for cls in group}
    returned = {str(inspect.signature(getattr(pcbench, name)).return_annotation) for name in FUNCTIONS}
    assert returned - classes == {"Figure", "Path", "AnyImages"}  # matplotlib's, Python's, and what was given
