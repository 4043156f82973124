"""Python source read without running it: what it says, what it imports, and where a module comes from.

Nothing here imports a module that is not imported yet, because an import runs code.
"""

from __future__ import annotations

import ast
import functools
import importlib.util
import symtable
import sys
import sysconfig
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.machinery import PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

ModuleKind = Literal["standard", "installed", "own", "unreadable", "missing"]

_SITE_FOLDERS = {"site-packages", "dist-packages"}
_STANDARD_FOLDERS = tuple(
    Path(folder).resolve() for folder in {sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")}
)
_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(frozen=True)
class _Location:
    """Where a module is."""

    file: Path | None
    """Its file; None for a built-in module, a folder without `__init__.py`, and a module made in memory."""
    folders: tuple[str, ...] | None
    """Where its submodules are; None where it is not a package."""


def normalised(source: str) -> bytes:
    """Return the syntax tree of a source without docstrings (of fields, too), comments and positions.

    Every other edit changes it. A source that cannot be parsed is returned unchanged.
    """
    tree = _parsed(source)
    if tree is None:
        return source.encode("utf-8", "surrogatepass")
    parts: list[str] = []
    # An explicit stack, because a long sum is nested deeper than Python's recursion limit.
    waiting: list[Any] = [tree]
    while waiting:
        item = waiting.pop()
        if isinstance(item, ast.AST):
            parts.append(_head(item, waiting))
        else:
            parts.append(_written(item))
    return "\n".join(parts).encode()


def _head(node: ast.AST, waiting: list[Any]) -> str:
    # A node's type, its plain values, and how many nodes of which field follow it.
    if isinstance(node, _DOCUMENTED):
        _remove_docstrings(node)
    parts = [type(node).__name__]
    for name in node._fields:
        value = getattr(node, name, None)
        # Empty fields are left out, because new versions of Python add some. `ctx` follows from the position.
        if value is None or name == "ctx":
            continue
        if isinstance(value, ast.AST):
            parts.append(name)
            waiting.append(value)
        elif not isinstance(value, list):
            parts.append(f"{name}={_written(value)}")
        elif value:
            parts.append(f"{name}:{len(value)}")  # pyright: ignore[reportUnknownArgumentType]
            waiting += value
    return " ".join(parts)


def _written(value: object) -> str:
    # Python refuses to write very large integers as decimal numbers.
    return hex(value) if type(value) is int else repr(value)


def _remove_docstrings(node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> None:
    # A field's docstring stands under the field, so every statement that is only a string is one.
    node.body = [one for one in node.body if not _is_string(one)]


def _is_string(statement: ast.stmt) -> bool:
    match statement:
        case ast.Expr(value=ast.Constant(value=str())):
            return True
        case _:
            return False


def _parsed(source: str) -> ast.Module | None:
    with warnings.catch_warnings():
        # Warnings about the user's code, such as "\d", are not shown.
        warnings.simplefilter("ignore")
        try:
            return ast.parse(source)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return None


@functools.lru_cache(maxsize=1024)  # every plan reads pcbench's own modules, which say the same as before
def imported_modules(source: str, module: str, *, is_package: bool, everywhere: bool) -> frozenset[str]:
    """Return the absolute dotted names of what a source imports.

    ``from a import b`` gives both ``a`` and ``a.b``, because ``b`` may be a module. `importlib.import_module` counts
    where the name is written in the call.

    Args:
        source: The source.
        module: The dotted name of the module that it is the source of.
        is_package: Whether it is the `__init__.py` of a package; relative imports start elsewhere then.
        everywhere: Take imports inside functions and under ``if TYPE_CHECKING`` as well, and the submodules that
            ``__all__`` may name. Otherwise only the imports that run when the module is imported.
    """
    tree = _parsed(source)
    if tree is None:
        return frozenset()
    package = module if is_package else module.rpartition(".")[0]
    found: set[str] = set()
    for node in ast.walk(tree) if everywhere else _run_at_import(tree):
        found |= _imported(node, package)
        if everywhere and is_package and isinstance(node, ast.Assign | ast.AugAssign | ast.AnnAssign):
            # "from package import *" imports the submodules that __all__ names.
            found |= {f"{module}.{name}" for name in _all_names(node)}
    return frozenset(found)


def _imported(node: ast.AST, package: str) -> set[str]:
    match node:
        case ast.Import(names=names):
            return {alias.name for alias in names}
        case ast.ImportFrom(module=name, names=names, level=level):
            base = _absolute(name or "", level, package)
            return {base, *(f"{base}.{alias.name}" for alias in names if alias.name != "*")} if base else set()
        case ast.Call(
            func=ast.Name(id="import_module" | "__import__") | ast.Attribute(attr="import_module"),
            args=[ast.Constant(value=str(name)), *_],
        ):
            level = len(name) - len(name.lstrip("."))
            return {_absolute(name[level:], level, package)} - {""}
        case _:
            return set()


def _absolute(name: str, level: int, package: str) -> str:
    if level == 0:
        return name
    parents = package.split(".") if package else []
    if level > len(parents):
        return ""
    return ".".join([*parents[: len(parents) - level + 1], *([name] if name else [])])


def _all_names(node: ast.Assign | ast.AugAssign | ast.AnnAssign) -> set[str]:
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    if not any(isinstance(target, ast.Name) and target.id == "__all__" for target in targets):
        return set()
    elements = node.value.elts if isinstance(node.value, ast.List | ast.Tuple) else []
    return {one.value for one in elements if isinstance(one, ast.Constant) and isinstance(one.value, str)}


def _run_at_import(tree: ast.Module) -> Iterator[ast.AST]:
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        if isinstance(node, ast.If):
            waiting += _branches(node)
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            waiting += ast.iter_child_nodes(node)


def _branches(node: ast.If) -> list[ast.AST]:
    # The branches that an import can run.
    match node.test:
        case (
            ast.Name(id="TYPE_CHECKING")
            | ast.Attribute(attr="TYPE_CHECKING")
            | ast.Compare(left=ast.Name(id="__name__"), ops=[ast.Eq()], comparators=[ast.Constant(value="__main__")])
        ):
            return [*node.orelse]
        case ast.UnaryOp(op=ast.Not(), operand=ast.Name(id="TYPE_CHECKING") | ast.Attribute(attr="TYPE_CHECKING")):
            return [*node.body]
        case _:
            return [node.test, *node.body, *node.orelse]


def class_definition(source: str, qualified_name: str) -> ast.ClassDef | None:
    """Return the definition of a class in a source by the class's `__qualname__`; the last one where it has several."""
    tree = _parsed(source)
    found: list[ast.AST] = [] if tree is None else [tree]
    # "make.<locals>.Layer" is the class Layer inside the function make.
    for part in (part for part in qualified_name.split(".") if not part.startswith("<")):
        found = [
            inner
            for outer in found
            for inner in ast.walk(outer)
            if isinstance(inner, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
            and inner.name == part
            and inner is not outer
        ]
    return next((node for node in reversed(found) if isinstance(node, ast.ClassDef)), None)


def global_names(source: str) -> set[str]:
    """Return the names that a source looks up among the globals of its module."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            waiting = [symtable.symtable(source, "<source>", "exec")]
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return set()
    found: set[str] = set()
    while waiting:
        table = waiting.pop()
        waiting += table.get_children()
        top = table.get_type() == "module"
        found |= {one.get_name() for one in table.get_symbols() if one.is_global() or (top and one.is_referenced())}
    return found


def source_path(module: str) -> Path | None:
    """Return the Python file of a module, found without importing anything.

    It is None for built-in modules, extension modules, modules made in memory and what is not found. The file of a
    module that is imported may be gone since.
    """
    location = _locate(module)
    if location is None or location.file is None:
        return None
    # A program is Python whatever its name ends in.
    return location.file if location.file.suffix in (".py", ".pyw") or module == "__main__" else None


def read_source(module: str) -> str | None:
    """Return the source of a module; None where it does not have a readable Python file."""
    path = source_path(module)
    if path is None:
        return None
    try:
        return importlib.util.decode_source(path.read_bytes())
    except (OSError, SyntaxError, UnicodeDecodeError):
        return None


def _locate(module: str) -> _Location | None:
    if module in sys.modules:
        # None there forbids the import.
        loaded: ModuleType | None = sys.modules[module]
        return None if loaded is None else _location_of(loaded)  # pyright: ignore[reportUnnecessaryComparison]
    parent, _, name = module.rpartition(".")
    folders: tuple[str, ...] | None = None
    if parent:
        above = _locate(parent)
        if above is None or above.folders is None:
            return None
        folders = above.folders
    # Only the last part of the name: asked for a whole one, Python imports its parents.
    spec = PathFinder.find_spec(name, folders)
    if spec is None:
        return None
    inside = spec.submodule_search_locations
    file = Path(spec.origin) if spec.has_location and spec.origin else None
    return _Location(file, None if inside is None else tuple(inside))


def _location_of(loaded: ModuleType) -> _Location:
    # Some libraries put objects that answer to every name among the modules.
    file = vars(loaded).get("__file__")
    inside = vars(loaded).get("__path__")
    # A program read from standard input says that its file is "<stdin>".
    path = Path(file) if isinstance(file, str) and not file.startswith("<") else None
    return _Location(path, None if inside is None else tuple(inside))


def kind_of(module: str, tops: dict[str, ModuleKind] | None = None) -> ModuleKind:
    """Return where a module comes from.

    Args:
        module: Its dotted name.
        tops: Where the packages around modules come from, as far as it was found just now; more are added.

    Returns:
        ``"standard"`` for the standard library; ``"installed"`` for site-packages and for pcbench; ``"own"`` for
        Python source of the user's; ``"unreadable"`` for a module of the user's without it: an extension module, a
        module made in memory, a file that is gone; ``"missing"`` for what is not found, and for a folder without
        `__init__.py`, which does not contain code.
    """
    top = module.partition(".")[0]
    if top == "pcbench":
        return "installed"
    # A library's submodules are the library's, even those without a file.
    tops = {} if tops is None else tops
    kind = tops[top] = tops.get(top) or _kind(top)
    return kind if module == top or kind in ("standard", "installed") else _kind(module)


def _kind(module: str) -> ModuleKind:
    if module in sys.builtin_module_names:
        return "standard"
    location = _locate(module)
    if location is None:
        # Such as winreg, on Linux.
        return "standard" if module in sys.stdlib_module_names else "missing"
    if location.file is None:
        return "unreadable" if location.folders is None else "missing"
    return _kind_by_place(location.file) or ("unreadable" if read_source(module) is None else "own")


@functools.cache  # every plan asks for the same hundreds of files
def _kind_by_place(file: Path) -> ModuleKind | None:
    """Return where a module's file comes from; None for a file of the user's."""
    if _SITE_FOLDERS & set(file.parts):
        return "installed"
    # A user's file may have the name of a standard module, so the name alone does not say it.
    resolved = file.resolve()
    if any(resolved.is_relative_to(folder) for folder in _STANDARD_FOLDERS):
        return "installed" if _SITE_FOLDERS & set(resolved.parts) else "standard"
    return None


def reached(roots: Iterable[str], *, everywhere: bool, through_pcbench: bool = False) -> dict[str, ModuleKind]:
    """Return every module that some modules import, at once or through others, and where it comes from.

    The user's own modules are followed and installed ones are not. The roots and the packages around every module
    are among them.

    Args:
        roots: The modules to start from.
        everywhere: See `imported_modules`.
        through_pcbench: Follow pcbench's modules as well.
    """
    kinds: dict[str, ModuleKind] = {}
    tops: dict[str, ModuleKind] = {}
    waiting = list(roots)
    while waiting:
        module = waiting.pop()
        if not module or module in kinds:
            continue
        kinds[module] = kind_of(module, tops)
        waiting.append(module.rpartition(".")[0])
        if kinds[module] == "own":
            waiting += _imports_of(module, everywhere=everywhere)
        elif through_pcbench and is_pcbench(module):
            waiting += _imports_of_pcbench(module, everywhere=everywhere)
    return kinds


@functools.cache  # as the hash of our code: read once in a process
def _imports_of_pcbench(module: str, *, everywhere: bool) -> frozenset[str]:
    return _imports_of(module, everywhere=everywhere)


def _imports_of(module: str, *, everywhere: bool) -> frozenset[str]:
    location, source = _locate(module), read_source(module)
    if location is None or source is None:
        return frozenset()
    name = module
    if module == "__main__":
        # "python -m package.module" runs a module that has another name.
        spec = sys.modules["__main__"].__spec__
        name = module if spec is None else spec.name
    return imported_modules(source, name, is_package=location.folders is not None, everywhere=everywhere)


def is_pcbench(module: str) -> bool:
    """Return whether a module is pcbench's own."""
    return module.partition(".")[0] == "pcbench"
