"""Corruptions as users name or give them: by a name, a file, or a function of their own."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Unpack

from typing_extensions import TypedDict

from pcbench.arguments import listed, public, shown
from pcbench.catalog import (
    BARE_SUITES,
    GIVEN_SUITES,
    SuiteKind,
    catalog_folder,
    definition_names,
    parse_definition,
    refuse_missing,
    suite_folder,
    suite_names,
)
from pcbench.corruptions.definitions import (
    MOST_SEVERITIES,
    CorruptionDefinition,
    CorruptionSuite,
    GivenCorruption,
    Parameter,
    load_corruption,
    load_corruption_suite,
)
from pcbench.corruptions.imagenet import imagenet_definition, imagenet_definitions
from pcbench.errors import UnknownNameError, UsageError
from pcbench.names import why_not
from pcbench.own_code import object_name, refuse_one_name
from pcbench.plugins import find_plugin, plugins

_KIND: SuiteKind = "corruptions"
_LEVELS = 5
"""How many severities a function has where nothing says it, as in ImageNet-C."""


class CorruptionKeys(TypedDict, total=False):
    """Keys of a corruption's definition that may be stated of a function; `CorruptionDefinition` explains them."""

    name: str
    title: str
    family: str
    source: str
    levels: int
    parameters: Mapping[str, Sequence[Parameter]]


@public(CorruptionKeys)
def own_corruption(corruption: object, **keys: Unpack[CorruptionKeys]) -> CorruptionDefinition:
    """Return the definition of a corruption that is a function of the user's own.

    Args:
        corruption: A function (images, severity, generator) -> images; see `CorruptionFunction`.
        **keys: What it is to be called, and how many severities it has (`levels`, five where nothing says it; or as
            many as each of its `parameters`, which become keyword arguments, has values).

    Raises:
        UsageError: It is no such function.
    """
    if not callable(corruption) or isinstance(corruption, type):
        raise UsageError(
            "a corruption is a name, such as 'fog', a .toml file, 'module:function', a CorruptionDefinition, or a "
            f"function (images, severity, generator) -> images (got {shown(corruption)})"
        )
    name = object_name(corruption)
    name = name if why_not(name) is None else "corruption"
    source = f"given in Python: {name} of {getattr(corruption, '__module__', type(corruption).__module__)}"
    table: dict[str, Any] = {"name": name, "title": name, "family": "extra", "source": source, "parameters": {}, **keys}
    parameters = {key: list(listed(values) or ()) for key, values in dict(table["parameters"]).items()}
    table |= {"parameters": parameters, "function": name}
    if not parameters:
        table.setdefault("levels", _LEVELS)
    plain = parse_definition(CorruptionDefinition, table, f"the corruption {name}")
    return _checked(GivenCorruption(**plain.__dict__, given=corruption))


def corruption_of(corruption: object, *, levels: int = MOST_SEVERITIES) -> CorruptionDefinition:
    """Return the definition of what a user gives as a corruption.

    Args:
        corruption: A name, a file, a function or a definition.
        levels: How many severities a function has where nothing says it; by default any that is asked for.

    Raises:
        UnknownNameError, UsageError: As `find_corruption` and `own_corruption`.
    """
    if isinstance(corruption, CorruptionDefinition):
        return corruption
    if isinstance(corruption, str | Path):
        return find_corruption(os.fspath(corruption), levels=levels)
    return own_corruption(corruption, levels=levels)


def suite_of_corruptions(corruptions: Sequence[object]) -> CorruptionSuite:
    """Return the suite of the corruptions that a user gives for a run.

    Args:
        corruptions: Each as for `corruption_of`; a function has five severities where nothing says it.

    Raises:
        UnknownNameError, UsageError: One is no corruption, or two have one name.
    """
    given = tuple(corruption_of(one, levels=_LEVELS) for one in corruptions)
    refuse_one_name("corruptions", [one.name for one in given])
    return CorruptionSuite(
        name=GIVEN_SUITES["corruptions"],
        corruptions=given,
        baseline=None,
        version="1",
        title="Given corruptions",
        source="given by themselves",
    )


def find_corruption(name: str, *, levels: int = MOST_SEVERITIES) -> CorruptionDefinition:
    """Return a corruption by its name.

    Args:
        name: One of ImageNet-C's 19 (``"fog"``), ``"cifar-10-c/fog"`` of another suite, ``"mine/fog.toml"``, a file,
            ``"module:function"``, a function of the user's own, or what another package registers.
        levels: As for `corruption_of`.

    Raises:
        UnknownNameError: There is no such corruption.
        UsageError: The function cannot be imported, or the plug-in is broken.
    """
    refuse_unknown_corruption(name)
    if name.endswith(".toml"):
        return load_corruption(Path(name))
    if ":" in name:
        short = name.rpartition(":")[2]
        table: dict[str, Any] = {"name": short, "title": short, "family": "extra", "function": name, "source": name}
        table |= {"parameters": {}, "levels": levels}
        return _checked(parse_definition(CorruptionDefinition, table, name))
    suite, _, short = name.rpartition("/")
    if suite:
        return load_corruption_suite(suite_folder(suite)[1]).corruption(short)
    plugin = find_plugin("corruptions", name)
    if plugin is None or name in imagenet_definitions():
        return imagenet_definition(name)
    return corruption_of(plugin.load(), levels=levels).model_copy(update={"name": name})


def refuse_unknown_corruption(name: str) -> None:
    """Refuse a name that is no corruption's, before any library is loaded.

    What a function is, and what a file holds, is found when they are opened.

    Args:
        name: As for `find_corruption`.

    Raises:
        UnknownNameError: There is no such corruption, or suite.
        UsageError: The suite is one of attacks.
        DefinitionError: There is no such file.
    """
    if name.endswith(".toml"):
        refuse_missing(Path(name))
        return
    if ":" in name:
        return
    suite, _, short = name.rpartition("/")
    if not suite:
        own = [one for bare in BARE_SUITES[_KIND] for one in definition_names(catalog_folder(_KIND) / bare)]
        known, what = [*own, *plugins(_KIND)], "corruption"
    else:
        kind, folder = suite_folder(suite)
        if kind != _KIND:
            raise UsageError(f"{suite!r} is a suite of attacks; corruptions are in: {', '.join(suite_names(_KIND))}")
        known, what = definition_names(folder), f"corruption in {folder.name}"
    if short not in known:
        raise UnknownNameError(what, short, known)


def _checked(definition: CorruptionDefinition) -> CorruptionDefinition:
    definition.at(1)
    return definition
