"""Where definitions live, and how a TOML file becomes a frozen, checked value.

The catalogue is two folders of data, `attacks/` and `corruptions/`: a suite is a folder in one of them, holding
`suite.toml` and one TOML file for each attack or corruption. Adding a file adds a definition; no code changes.
An installed pcbench carries the folders inside the package, a checkout has them at its top level.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import os
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from pcbench import files
from pcbench.arguments import shown
from pcbench.errors import DataError, DefinitionError, PcbenchError, UnknownNameError, UsageError, named
from pcbench.limits.text import parsed_toml
from pcbench.names import why_not
from pcbench.plugins import Plugin, find_plugin, plugins

SuiteKind = Literal["attacks", "corruptions"]
SUITE_KINDS: tuple[SuiteKind, ...] = ("corruptions", "attacks")
GIVEN_SUITES = {"attacks": "given-attacks", "corruptions": "given-corruptions"}
"""What the suite is called of attacks, or corruptions, that a run is given by themselves."""
SUITE_FILE = "suite.toml"
BASELINE_FILE = "baseline.toml"
BARE_SUITES: dict[SuiteKind, tuple[str, ...]] = {
    "attacks": ("linf",),
    "corruptions": ("imagenet-c", "imagenet-c-extra", "imagenet-c-bar"),
}
"""The suites whose definitions are named without a suite; a plug-in of such a name is not used."""

_PACKAGE = Path(__file__).resolve().parent


class Definition(BaseModel):
    """The base of everything read from a TOML file: frozen, strict about types, refusing unknown keys."""

    # Built when first used: a process imports every kind of definition, and reads files of a few.
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, defer_build=True)


def _check_path_name(name: str) -> str:
    reason = why_not(name)
    if reason is not None:
        raise ValueError(reason)
    return name


PathName = Annotated[str, AfterValidator(_check_path_name)]
"""The name of a suite, a corruption or an attack, which folders and files are named by."""


def identity(content: object) -> str:
    """Return the SHA-256 of plain values: of what in a definition can change a number, as parsed."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


DefinitionType = TypeVar("DefinitionType", bound=Definition)


def _read_version(value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 1:
        return str(value)
    if isinstance(value, str) and value:  # former suites of attacks have it as text
        return value
    raise ValueError("a version is a whole number from 1")


class SuiteHeader(Definition):
    """What every `suite.toml` says; suites of attacks and of corruptions add keys of their own."""

    version: Annotated[str, BeforeValidator(_read_version)]
    """Raised when a definition in the suite changes, so that results are not compared across the change."""
    title: str
    """What tables, figures and reports print."""
    source: str
    """Where the suite comes from."""
    notes: str = ""
    """What a reader must know to compare the numbers."""
    data: Literal["digits", "imagenet"] | None = None
    """The data source whose images the suite was made for, where there is one."""
    default: bool = False
    """Whether it is measured on images of `data` where the user names no suite."""


HeaderType = TypeVar("HeaderType", bound=SuiteHeader)


def load_header(cls: type[HeaderType], folder: Path) -> HeaderType:
    """Read a suite's `suite.toml`; a suite's name is its folder's.

    Raises:
        DefinitionError: The file is missing or wrong, or gives a name that is not the folder's.
    """
    path = folder / SUITE_FILE
    table = read_toml(path)
    name = table.pop("name", folder.name)  # former suites of attacks repeat it
    if name != folder.name:
        raise DefinitionError(path, f"name: is {name!r} in the folder {folder.name!r}; remove the key")
    return parse_definition(cls, table, path)


def catalog_folder(kind: SuiteKind) -> Path:
    """Return the folder of all suites of one kind: the packaged one if it is there, else the checkout's."""
    packaged = package_folder() / "_catalog" / kind
    return packaged if packaged.is_dir() else _PACKAGE.parent / kind


def package_folder() -> Path:
    """Return the folder of the package, in which its suites and models lie.

    Raises:
        UsageError: It is not on a disk, as where Python imports pcbench from a zip.
    """
    if not _PACKAGE.is_dir():
        raise UsageError(f"{_PACKAGE} is in a zip, and pcbench reads suites and models from files: install it with pip")
    return _PACKAGE


def suite_names(kind: SuiteKind) -> list[str]:
    """Return the names of the catalogue's suites of one kind, sorted."""
    return sorted(path.parent.name for path in catalog_folder(kind).glob(f"*/{SUITE_FILE}"))


def definition_names(folder: Path) -> list[str]:
    """Return the names of the definitions in a suite's folder, sorted; no definition is read."""
    return sorted(path.stem for path in folder.glob("*.toml") if path.name not in (SUITE_FILE, BASELINE_FILE))


def suite_folder(name: str) -> tuple[SuiteKind, Path]:
    """Find a suite by its name, or by the path of a folder of the user's own.

    Args:
        name: A suite's name (``"digits-c"``), that of a plug-in, or the path of a folder that holds a `suite.toml`. A
            folder that is not of the catalogue says what it is by the folder it lies in (`attacks/…` or
            `corruptions/…`).

    Returns:
        The kind of the suite and its folder.

    Raises:
        UnknownNameError: No suite has this name.
        DefinitionError: The path is a folder without `suite.toml`, or lies in neither kind of folder.
        UsageError: The name is that of a plug-in that is broken.
    """
    for kind in SUITE_KINDS:
        if name in suite_names(kind):
            return kind, catalog_folder(kind) / name
    plugin = find_plugin("suites", name)
    path = Path(name) if plugin is None else _folder_of(plugin)
    if files.is_folder(path):
        return _kind_of_own_folder(path.resolve()), path.resolve()
    known = [known for kind in SUITE_KINDS for known in suite_names(kind)]
    raise UnknownNameError("suite", name, [*known, *plugins("suites")])


def _folder_of(plugin: Plugin) -> Path:
    """Return the folder of a suite that another package registers: its path, or a function that returns it."""
    found = plugin.load()
    try:
        place: Any = found() if callable(found) else found
        path = Path(place).resolve()
    except PcbenchError:
        raise
    except Exception as error:
        raise plugin.broken(f"it gives no path of a folder ({named(error)})") from error
    if path.name != plugin.name or not (path / SUITE_FILE).is_file():
        raise plugin.broken(f"{path} is not a folder {plugin.name!r} that holds a {SUITE_FILE}")
    return path


def variant_folders(folder: Path) -> list[Path]:
    """Return the folders of a suite's variants: ``VARIANT/NAME`` in it, whole suites of the same name."""
    return sorted(path.parent for path in folder.glob(f"*/{folder.name}/{SUITE_FILE}"))


def _kind_of_own_folder(path: Path) -> SuiteKind:
    if not (path / SUITE_FILE).is_file():
        raise DefinitionError(path, "a suite's folder holds a suite.toml; this one does not")
    for kind in SUITE_KINDS:
        if path.parent.name == kind:
            return kind
    raise DefinitionError(path, "put a suite of your own in a folder named 'attacks' or 'corruptions'")


def is_absent(path: Path | str | None) -> bool:
    """Return whether a path is given and nothing is there; a home folder is found when it is opened."""
    return path is not None and not str(path).startswith("~") and not os.path.lexists(path)


def refuse_missing(path: Path | str | None) -> None:
    """Refuse a file of definitions that is not there, before it is opened; None is no file.

    Raises:
        DefinitionError: It is not there.
    """
    if is_absent(path):
        raise DefinitionError(str(path), "there is no such file")


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises:
        DefinitionError: The file is missing, cannot be read, or is not TOML.
    """
    try:
        return parsed_toml(path)
    except DataError as error:
        raise DefinitionError(path, str(error).removeprefix(f"{path}: ")) from None
    except FileNotFoundError:
        raise DefinitionError(path, "there is no such file") from None
    except OSError as error:
        raise DefinitionError(path, f"cannot be read ({error.strerror})") from error
    except UnicodeDecodeError:
        raise DefinitionError(path, "is not a text file (UTF-8 expected)") from None
    except tomllib.TOMLDecodeError as error:
        raise DefinitionError(path, f"is not valid TOML: {error}") from None
    except ValueError as error:  # of a text that no path can be
        raise DefinitionError(path, f"cannot be read ({error})") from None


def named_by_file(path: Path) -> dict[str, Any]:
    """Read a TOML file whose definition has the file's name.

    Raises:
        DefinitionError: The file is missing or broken, or states a name.
    """
    table = read_toml(path)
    if "name" in table:
        raise DefinitionError(path, "unknown key 'name': what it defines is named by its file; remove the key")
    return {"name": path.stem, **table}


def load_definition(cls: type[DefinitionType], path: Path) -> DefinitionType:
    """Read a TOML file into a definition, refusing unknown keys and wrong types in one line.

    Raises:
        DefinitionError: The file or one of its values is wrong; the message names file, key and remedy.
    """
    return parse_definition(cls, read_toml(path), path)


def parse_definition(cls: type[DefinitionType], table: dict[str, Any], path: Path | str) -> DefinitionType:
    """Turn a table into a definition; `path` is named in errors.

    TOML has no tuples, and strict checking takes no list for one; so the table passes through the rules for JSON,
    under which a list may become a tuple and nothing else is converted.
    """
    try:
        return cls.model_validate_json(json.dumps(table, default=shown))
    except ValidationError as error:
        # A misspelt key is both unknown and missing; the unknown one is the better thing to name.
        worst = min(error.errors(), key=lambda problem: problem["type"] != "extra_forbidden")
        raise DefinitionError(path, _first_problem(worst, cls)) from None


def _first_problem(problem: ErrorDetails, cls: type[Definition]) -> str:
    where = ".".join(str(part) for part in problem["loc"]) or "the file"
    if problem["type"] == "extra_forbidden":
        keys = _level(cls, problem["loc"][:-1]).model_fields
        close = difflib.get_close_matches(str(problem["loc"][-1]), keys, n=1)
        known = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(keys)}"
        return f"unknown key {where!r}; {known}"
    if problem["type"] == "missing":
        return f"the key {where!r} is missing"
    return f"{where}: {problem['msg'].removeprefix('Value error, ')} (got {shown(problem['input'])})"


def _level(cls: type[BaseModel], place: Sequence[object]) -> type[BaseModel]:
    """Return the definition of a table inside another's, which a misspelt key of its own is compared with."""
    for part in place:
        field = cls.model_fields.get(str(part))
        if field is not None:
            cls = next(_definitions_in(field.annotation), cls)
    return cls


def _definitions_in(kind: object) -> Iterator[type[BaseModel]]:
    """Yield the definitions in a type: of a value itself, of the entries of a list, of what may be None."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        yield kind
    for one in get_args(kind):
        yield from _definitions_in(one)
