"""Which installed distributions modules belong to, and their versions."""

from __future__ import annotations

import functools
import importlib.metadata
import os
import re
import sys
from collections.abc import Iterable

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
            found[re.sub(r"[-_.]+", "-", name).lower()] = version_of(name)
        if top not in names:
            found[re.sub(r"[-_.]+", "-", top).lower()] = "unknown"
    return dict(sorted(found.items()))


def version_of(name: str) -> str:
    """Return the version of an installed distribution: `importlib.metadata.version`, which parses all that it says."""
    head = (importlib.metadata.distribution(name).read_text("METADATA") or "").partition("\n\n")[0]
    stated = re.search(r"^Version:[ \t]*(\S+)[ \t]*$", head, re.MULTILINE)
    return importlib.metadata.version(name) if stated is None else stated[1]


def _distribution_folders() -> tuple[str, ...]:
    """Return the entries of sys.path that may hold distributions: a script's own folder usually does not."""
    return tuple(filter(_may_hold_distributions, sys.path))


def _may_hold_distributions(entry: str) -> bool:
    try:
        with os.scandir(entry or ".") as held:
            return any(one.name.endswith((".dist-info", ".egg-info")) for one in held)
    except (FileNotFoundError, NotADirectoryError):  # such as an archive
        return True


@functools.cache
def _distribution_names(folders: tuple[str, ...]) -> dict[str, list[str]]:
    # Reading what every distribution holds is slow; it changes with the folders only.
    del folders
    return {top: [name for name in names if name] for top, names in importlib.metadata.packages_distributions().items()}
