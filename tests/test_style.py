"""The measures of this code: documented, annotated, short, and one meaning for each public name.

Oracle: the numbers that the project has set, counted in the syntax trees of `pcbench/`. Public definitions are counted
as documented or not; functions inside functions, and methods that override, are not counted. A function's length is
counted without its docstring.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import pcbench

ROOT = Path(pcbench.__file__).parent
FUNCTION = ast.FunctionDef | ast.AsyncFunctionDef

# Names that several files define on purpose, because one caller uses them through the file: `compute` is what every
# kind of work has, `make` what every adapter and engine has, `given` what
# every library of attack objects has.
INTERFACES = {"compute", "make", "given", "logger"}
WIDEST = 7


@dataclass(frozen=True)
class Found:
    """A class or function with the file it is in and the class around it."""

    file: Path
    node: ast.ClassDef | FUNCTION
    owner: ast.ClassDef | None

    @property
    def name(self) -> str:
        """The dotted name below `pcbench`."""
        parts = [*self.file.relative_to(ROOT).with_suffix("").parts, *([self.owner.name] if self.owner else [])]
        return ".".join([*parts, self.node.name])


def _definitions(file: Path, tree: ast.Module) -> Iterator[Found]:
    """Yield classes, functions and methods; functions inside functions are a part of these."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef | FUNCTION):
            yield Found(file, node, None)
        if isinstance(node, ast.ClassDef):
            yield from (Found(file, inner, node) for inner in node.body if isinstance(inner, ast.ClassDef | FUNCTION))


def _files() -> list[Path]:
    return sorted(ROOT.rglob("*.py"))


@pytest.fixture(scope="module")
def trees() -> dict[Path, ast.Module]:
    """Every file of the package, parsed."""
    return {file: ast.parse(file.read_text(encoding="utf-8")) for file in _files()}


@pytest.fixture(scope="module")
def definitions(trees: dict[Path, ast.Module]) -> list[Found]:
    """Every class, function and method."""
    return [found for file, tree in trees.items() for found in _definitions(file, tree)]


@pytest.fixture(scope="module")
def functions(definitions: list[Found]) -> list[tuple[str, FUNCTION]]:
    """Every function and method, with its name."""
    return [(found.name, found.node) for found in definitions if not isinstance(found.node, ast.ClassDef)]


def _overrides(found: Found) -> bool:
    """Return whether a method replaces one of its base class, so that the base's docstring holds."""
    if found.owner is None or isinstance(found.node, ast.ClassDef):
        return False
    return found.node.name.startswith("__") or bool(found.owner.bases)


def _lines(function: FUNCTION) -> int:
    """Return the lines of a function without its docstring."""
    count = (function.end_lineno or 0) - function.lineno + 1
    if ast.get_docstring(function) is not None:
        count -= (function.body[0].end_lineno or 0) - function.body[0].lineno + 1
    return count


def _arguments(function: FUNCTION) -> list[ast.arg]:
    """Return the arguments of a function without `self` and `cls`."""
    given = function.args
    return [one for one in [*given.posonlyargs, *given.args, *given.kwonlyargs] if one.arg not in ("self", "cls")]


def test_definitions_are_documented(definitions: list[Found]) -> None:
    counted = [found for found in definitions if not found.node.name.startswith("_") and not _overrides(found)]
    bare = [found.name for found in counted if ast.get_docstring(found.node) is None]
    assert len(bare) <= 0.02 * len(counted), bare


def test_fields_are_documented_under_the_fields(definitions: list[Found]) -> None:
    # A list of the fields in the class's docstring is forgotten when a field changes.
    texts = {found.name: ast.get_docstring(found.node) or "" for found in definitions}
    assert [name for name, text in texts.items() if "Attributes:" in text.splitlines()] == []


def test_signatures_are_annotated(functions: list[tuple[str, FUNCTION]]) -> None:
    bare = [
        name
        for name, function in functions
        if function.returns is None or any(argument.annotation is None for argument in _arguments(function))
    ]
    assert len(bare) <= 0.01 * len(functions), bare


def test_files_are_short() -> None:
    lines = {file.relative_to(ROOT).as_posix(): len(file.read_text(encoding="utf-8").splitlines()) for file in _files()}
    assert {name for name, count in lines.items() if count > 400} == set()


def test_functions_are_short(functions: list[tuple[str, FUNCTION]]) -> None:
    lengths = sorted((_lines(function), name) for name, function in functions)
    assert lengths[int(0.95 * len(lengths))][0] <= 25
    assert [name for count, name in lengths if count > 50] == []


def test_signatures_are_narrow(functions: list[tuple[str, FUNCTION]]) -> None:
    assert [name for name, function in functions if len(_arguments(function)) > WIDEST] == []


def test_a_public_name_means_one_thing(trees: dict[Path, ast.Module]) -> None:
    places: defaultdict[str, set[Path]] = defaultdict(set)
    for file, tree in trees.items():
        for node in tree.body:
            for name in _defined(node):
                if not name.startswith("_") and name not in INTERFACES:
                    places[name].add(file.relative_to(ROOT))
    doubled = {name: sorted(map(str, files)) for name, files in places.items() if len(files) > 1}
    assert doubled == {}


def _defined(node: ast.stmt) -> Iterator[str]:
    """Yield the names that a statement of a module defines; what it imports is defined elsewhere."""
    if isinstance(node, ast.ClassDef | FUNCTION):
        yield node.name
    elif isinstance(node, ast.Assign):
        yield from (target.id for target in node.targets if isinstance(target, ast.Name))
    elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        yield node.target.id
