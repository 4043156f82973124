"""Which installed distributions modules belong to, and their versions."""

from __future__ import annotations

import functools
import importlib.metadata
import re
import sys
from collections.abc import Iterable
from pathlib import Path

from pcbench.source_code import ModuleKind, is_pcbench, kind_of


def distributions(modules: Iterable[str]) -> dict[str, str]:
    """Return the versions of the distributions that installed modules belong to, by normalised name.

    The standard library, pcbench and the user's modules are ignored. An installed module that belongs to no
    distribution has its own name and no known version.
    """
    kinds: dict[str, ModuleKind] = {}
    installed = (module for module in modules if not is_pcbench(module) and kind_of(module, kinds) == "installed")
    names = _distribution_names(_distribution_folders())
    found: dict[str, str] = {}
    for top in sorted({module.partition(".")[0] for module in installed}):
        for name in names.get(top, ()):
            found[re.sub(r"[-_.]+", "-", name).lower()] = importlib.metadata.version(name)
        if top not in names:
            found[re.sub(r"[-_.]+", "-", top).lower()] = "unknown"
    return dict(sorted(found.items()))


def _distribution_folders() -> tuple[str, ...]:
    """Return the entries of sys.path that may hold distributions: a script's own folder usually does not."""
    return tuple(
        entry
        for entry in sys.path
        if not Path(entry).is_dir() or any(held.suffix in (".dist-info", ".egg-info") for held in Path(entry).iterdir())
    )


@functools.cache
def _distribution_names(folders: tuple[str, ...]) -> dict[str, list[str]]:
    # Reading what every distribution holds is slow; it changes with the folders only.
    del folders
    return {top: [name for name in names if name] for top, names in importlib.metadata.packages_distributions().items()}
