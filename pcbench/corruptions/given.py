"""Corruptions as users name or give them: by a name, a file, or a function of their own."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Unpack

from typing_extensions import TypedDict

from pcbench.arguments import listed, public, shown
from pcbench.catalog import GIVEN_SUITES, parse_definition, suite_folder, suite_names
from pcbench.corruptions.definitions import (
    MOST_SEVERITIES,
    CorruptionDefinition,
    CorruptionSuite,
    GivenCorruption,
    Parameter,
    load_corruption,
    load_corruption_suite,
)
from pcbench.corruptions.imagenet import imagenet_definitions
from pcbench.errors import UnknownNameError, UsageError
from pcbench.names import why_not
from pcbench.own_code import object_name, refuse_one_name
from pcbench.plugins import find_plugin, plugins

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
    if name.endswith(".toml"):
        return load_corruption(Path(name))
    if ":" in name:
        short = name.rpartition(":")[2]
        table: dict[str, Any] = {"name": short, "title": short, "family": "extra", "function": name, "source": name}
        table |= {"parameters": {}, "levels": levels}
        return _checked(parse_definition(CorruptionDefinition, table, name))
    suite, _, short = name.rpartition("/")
    if suite:
        kind, folder = suite_folder(suite)
        if kind != "corruptions":
            raise UsageError(f"{suite!r} is a suite of attacks; corruptions are in: {', '.join(suite_names(kind))}")
        return load_corruption_suite(folder).corruption(short)
    known = imagenet_definitions()
    if name in known:
        return known[name]
    plugin = find_plugin("corruptions", name)
    if plugin is None:
        raise UnknownNameError("corruption", name, [*known, *plugins("corruptions")])
    return corruption_of(plugin.load(), levels=levels).model_copy(update={"name": name})


def _checked(definition: CorruptionDefinition) -> CorruptionDefinition:
    definition.at(1)
    return definition
