"""Importing what a user names as ``"module:name"``: from the working folder, or from a folder that brings its own."""

from __future__ import annotations

import copy
import functools
import importlib
import os
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from pcbench.errors import UsageError, named


def named_object(spec: str, folder: Path | None = None) -> Any:
    """Return what ``"module:name"`` names; the module is imported, and nothing else is run.

    Args:
        spec: The text. A module of the user's own is looked for in the working folder as well.
        folder: Another folder whose modules may be named, such as that of a suite.

    Raises:
        UsageError: The text has no such form, the module or the name is not there, or the import fails; what the
            user's own code raised is the error's cause.
    """
    module_name, colon, name = spec.partition(":")
    if not (colon and module_name and name):
        raise UsageError(f"{spec!r} names no function; write it as module:name")
    with _folder_on_path(folder), working_folder_on_path():
        try:
            module = importlib.import_module(module_name)
        except ModuleNotFoundError as error:
            where = "here" if folder is None else f"here, in {folder}"
            raise UsageError(
                f"{spec}: there is no module {error.name!r} {where} or among the installed ones"
            ) from error
        except SystemExit as error:
            raise UsageError(
                f"{spec}: importing {module_name!r} ends the program ({named(error)}); put what a script does behind "
                "`if __name__ == '__main__':`"
            ) from error
        except Exception as error:
            raise UsageError(f"{spec}: importing {module_name!r} fails: {named(error)}; correct the module") from error
        try:
            found: Any = getattr(module, name)
        except AttributeError as error:
            raise UsageError(f"{spec}: the module {module_name!r} has no function {name!r}") from error
    if folder is not None:
        _refuse_another(spec, folder, getattr(module, "__file__", None))
    return found


def copied(value: Any) -> Any:
    """Return a copy of an object of the user's own, so that what it remembers is what it had when it was given.

    What cannot be copied is returned itself; a function is one and the same.
    """
    try:
        return copy.deepcopy(value)
    except Exception:  # noqa: BLE001 - an object of the user's own may hold anything, such as a lock
        return value


def object_name(value: Any) -> str:
    """Return the name of a function, also of one inside `functools.partial`, or the class of an object."""
    while isinstance(value, functools.partial):
        value = cast("Any", value).func
    return str(getattr(value, "__name__", type(value).__name__))


def refuse_one_name(what: str, names: Sequence[str]) -> None:
    """Refuse two things of one run that tables could not keep apart.

    Args:
        what: What they are, such as ``"attacks"``; pcbench's function that gives one another name is told by it.
        names: Of each.

    Raises:
        UsageError: Two have one name.
    """
    renamed = f"pcbench.{what}.api.own_{what.removesuffix('s')}(…, name='other')"
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"two of the {what} are called {name}: name it once, or give one another name, {renamed}")


@contextmanager
def working_folder_on_path() -> Generator[None]:
    """Let modules be imported from the working folder, as `python -m` does."""
    here = os.getcwd()  # noqa: PTH109  # sys.path holds text
    added = here not in sys.path
    if added:
        sys.path.insert(0, here)
    try:
        yield
    finally:
        if added:
            sys.path.remove(here)


@contextmanager
def _folder_on_path(folder: Path | None) -> Generator[None]:
    """Let modules be imported from a folder, after all others: its files replace no module of another name."""
    text = "" if folder is None else str(folder)
    added = bool(text) and text not in sys.path
    if added:
        sys.path.append(text)
        importlib.invalidate_caches()  # the file may have been written a moment ago
    try:
        yield
    finally:
        if added:
            sys.path.remove(text)


def _refuse_another(spec: str, folder: Path, file: str | None) -> None:
    """Refuse a module of the folder whose name another module has that was found first, or is imported already."""
    name = spec.partition(":")[0]
    own = [path for path in (folder / f"{name}.py", folder / name / "__init__.py") if path.is_file()]
    if own and (file is None or Path(file).resolve() != own[0].resolve()):
        raise UsageError(f"{spec}: another module has the name of {own[0]}: {file or 'a built-in one'}; rename yours")
