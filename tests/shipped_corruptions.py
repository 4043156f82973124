"""The suites of corruptions that pcbench ships, and one definition of each function, for what all of them promise."""

from __future__ import annotations

import functools

from pcbench.catalog import catalog_folder, suite_names
from pcbench.corruptions.definitions import CorruptionDefinition, CorruptionSuite, load_corruption_suite
from pcbench.corruptions.functions import FUNCTIONS
from pcbench.corruptions.own import ONLY_PUBLISHED

# Their constants are the ones that the functions were published with; imagecorruptions has the first two suites.
IN_IMAGECORRUPTIONS = ("imagenet-c", "imagenet-c-extra")
_FIRST = (*IN_IMAGECORRUPTIONS, "imagenet-c-bar")


@functools.cache
def shipped_suites() -> dict[str, CorruptionSuite]:
    """Every suite of corruptions, by its name."""
    folder = catalog_folder("corruptions")
    return {name: load_corruption_suite(folder / name) for name in suite_names("corruptions")}


@functools.cache
def computed_suites() -> tuple[str, ...]:
    """The suites of pixels that are computed, and not read from published files alone."""
    return tuple(
        name
        for name, suite in shipped_suites().items()
        if suite.applied_to == "pixels" and all(one.function != ONLY_PUBLISHED for one in suite.corruptions)
    )


@functools.cache
def by_function() -> dict[str, CorruptionDefinition]:
    """One definition of each function: ImageNet-C's, if it has the function.

    A function without a definition in `corruptions/` is a KeyError.
    """
    found: dict[str, CorruptionDefinition] = {}
    for suite in dict.fromkeys((*_FIRST, *computed_suites())):
        for one in shipped_suites()[suite].corruptions:
            found.setdefault(one.function, one)
    return {name: found[name] for name in FUNCTIONS}


def reached(definition: CorruptionDefinition, severity: int) -> int:
    """A severity, or the last of a corruption that has fewer."""
    return min(severity, len(definition.severities))
