"""What other packages add to pcbench by entry points: models, attacks, corruptions, suites and data.

Plug-ins are listed from what the installed packages state, without importing any of them; a plug-in is imported when
its name is used. One that is broken is told about where it is listed, and refused where it is used.
"""

from __future__ import annotations

import functools
import importlib.util
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib import metadata
from typing import Any, Literal, get_args

from pcbench.errors import PcbenchError, UsageError, named
from pcbench.names import why_not

PluginGroup = Literal["models", "attacks", "corruptions", "suites", "data"]
PLUGIN_GROUPS: tuple[PluginGroup, ...] = get_args(PluginGroup)
"""Entry points are in the groups ``pcbench.models`` and so on."""

_TARGET = re.compile(r"(?P<module>\w+(?:\.\w+)*)\s*:\s*(?P<object>\w+(?:\.\w+)*)")
_OTHER_SPELLINGS = re.compile(r"[-_.]+")


@dataclass(frozen=True)
class Plugin:
    """What another package registers under a name."""

    group: PluginGroup
    """What it is."""
    name: str
    """How it is named in pcbench."""
    target: str
    """The object that it is, as ``"module:object"``."""
    package: str
    """The package that registers it, with its version: ``"mypackage 1.0"``."""
    fault: str | None = None
    """Why it cannot be used, as far as that is seen without importing it; None where nothing is."""

    @property
    def told(self) -> str:
        """Where it comes from, in one line, and what is wrong with it."""
        told = f"plug-in of {self.package} ({self.target})"
        return told if self.fault is None else f"BROKEN {told}: {self.fault}"

    @property
    def module(self) -> str:
        """The module of the object."""
        return self.target.partition(":")[0].strip()

    def load(self) -> Any:
        """Import the object.

        Raises:
            UsageError: It cannot be imported; the message names the plug-in, its package, and the reason.
        """
        if self.fault is not None:
            raise self.broken(self.fault)
        found: Any
        try:
            found = importlib.import_module(self.module)
            for part in self.target.partition(":")[2].strip().split("."):
                found = getattr(found, part)
        except PcbenchError:
            raise
        except (Exception, SystemExit) as error:
            raise self.broken(named(error)) from error
        return found

    def broken(self, why: str) -> UsageError:
        """Return the error about this plug-in.

        Args:
            why: What is wrong with it, in words.
        """
        distribution = self.package.partition(" ")[0]
        return UsageError(
            f"{self.name!r} in {self.group} is a plug-in of {self.package} ({self.target}), which is broken: {why}; "
            f"correct {distribution}, install another version of it, or remove it: pip uninstall {distribution}"
        )


def plugins(group: PluginGroup) -> dict[str, Plugin]:
    """Return the plug-ins of a group by name, sorted; none is imported, and broken ones are among them."""
    return {one.name: one for one in _registered(tuple(sys.path)) if one.group == group}


def find_plugin(group: PluginGroup, name: str) -> Plugin | None:
    """Return the plug-in of a name; None where no package registers one."""
    return plugins(group).get(name)


@functools.cache  # reading what each package states takes some hundredths of a second
def _registered(folders: tuple[str, ...]) -> tuple[Plugin, ...]:
    found: dict[tuple[str, str], Plugin] = {}
    seen: set[str] = set()
    for distribution in metadata.distributions(path=list(folders)):
        text = distribution.read_text("entry_points.txt") or ""
        if "pcbench." not in text:
            continue
        package = f"{distribution.metadata['Name']} {distribution.version}"
        spelling = _OTHER_SPELLINGS.sub("-", package).lower()
        if spelling in seen:  # an editable installation may be found in two places
            continue
        seen.add(spelling)
        for one in _stated(text, package):
            other = found.get((one.group, one.name))
            fault = None if other is None else f"{other.package} registers the same name; remove one of the two"
            found[one.group, one.name] = one if fault is None else replace(one, fault=fault)
    return tuple(found[key] for key in sorted(found))


def _stated(text: str, package: str) -> Iterator[Plugin]:
    """Yield what the file of a package's entry points states for pcbench."""
    group: PluginGroup | None = None
    for line in (line.strip() for line in text.splitlines()):
        if line.startswith("["):
            group = next((known for known in PLUGIN_GROUPS if line == f"[pcbench.{known}]"), None)
        elif group is not None and line and not line.startswith(("#", ";")):
            name, _, target = (part.strip() for part in line.partition("="))
            target = target.partition("[")[0].strip()  # extras of the package, which nothing reads any more
            yield Plugin(group, name, target, package, _fault(name, target))


def _fault(name: str, target: str) -> str | None:
    why = why_not(name)
    if why is not None:
        return f"its name {why}"
    found = _TARGET.fullmatch(target)
    if found is None:
        return "what it names is not of the form module:object"
    top = found["module"].partition(".")[0]
    # To look for the first part of a name imports nothing.
    if top not in sys.modules and importlib.util.find_spec(top) is None:
        return f"there is no module {top!r}"
    return None
