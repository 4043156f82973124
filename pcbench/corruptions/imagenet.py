"""ImageNet-C's 19 corruptions, and ImageNet-C-bar's ten, by name."""

from __future__ import annotations

import functools

from pcbench.catalog import BARE_SUITES, catalog_folder
from pcbench.corruptions.definitions import CorruptionDefinition, load_corruption_suite
from pcbench.errors import UnknownNameError


def imagenet_definition(name: str) -> CorruptionDefinition:
    """Return one of these corruptions by its name.

    Raises:
        UnknownNameError: There is no such corruption.
    """
    known = imagenet_definitions()
    if name not in known:
        raise UnknownNameError("corruption", name, known)
    return known[name]


@functools.lru_cache(maxsize=1)
def imagenet_definitions() -> dict[str, CorruptionDefinition]:
    """Return all of them, by their names."""
    suites = (load_corruption_suite(catalog_folder("corruptions") / name) for name in BARE_SUITES["corruptions"])
    return {definition.name: definition for suite in suites for definition in suite.corruptions}
