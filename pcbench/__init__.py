"""pcbench: how robust is a network at every timestep of its thinking?

The names below are imported when they are first used, so that `import pcbench` and `pcbench --help` stay quick. Type
checkers and editors know them all the same; docs/reference/names.md lists them.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pcbench.attacks.api import attack as attack
    from pcbench.comparison.api import check as check
    from pcbench.comparison.api import compare as compare
    from pcbench.corruptions.api import corrupt as corrupt
    from pcbench.harness.extraction.api import extract as extract
    from pcbench.harness.forecast import plan as plan
    from pcbench.harness.merge import merge as merge
    from pcbench.harness.start import run as run
    from pcbench.models.loading import load as load
    from pcbench.network.conversion import predify as predify
    from pcbench.reports.api import figure as figure
    from pcbench.reports.api import report as report
    from pcbench.results.directory import open_run as open_run
    from pcbench.training.api import train as train
    from pcbench.training.api import tune as tune

__version__ = "0.1.0"
__all__ = [
    "__version__",
    "attack",
    "check",
    "compare",
    "corrupt",
    "extract",
    "figure",
    "load",
    "merge",
    "open_run",
    "plan",
    "predify",
    "report",
    "run",
    "train",
    "tune",
]

_HOMES = {
    "attack": "pcbench.attacks.api",
    "check": "pcbench.comparison.api",
    "compare": "pcbench.comparison.api",
    "corrupt": "pcbench.corruptions.api",
    "extract": "pcbench.harness.extraction.api",
    "figure": "pcbench.reports.api",
    "load": "pcbench.models.loading",
    "merge": "pcbench.harness.merge",
    "open_run": "pcbench.results.directory",
    "plan": "pcbench.harness.forecast",
    "predify": "pcbench.network.conversion",
    "report": "pcbench.reports.api",
    "run": "pcbench.harness.start",
    "train": "pcbench.training.api",
    "tune": "pcbench.training.api",
}


if not TYPE_CHECKING:  # a type checker knows the names above, and reports others

    def __getattr__(name: str) -> object:
        if name in _HOMES:
            return getattr(importlib.import_module(_HOMES[name]), name)
        near = next((f", did you mean {one!r}?" for one in _near(name)), "")
        raise AttributeError(f"module 'pcbench' has no attribute {name!r}{near}")


def _near(name: str) -> list[str]:
    import difflib

    return [] if name.startswith("_") else difflib.get_close_matches(name, _HOMES, n=1)


def __dir__() -> list[str]:
    """Return what users need: the functions, the submodules that are imported, and not what this file is made with."""
    modules = (name for name in globals() if f"{__name__}.{name}" in sys.modules)
    return sorted({*__all__, *(name for name in globals() if name.startswith("__")), *modules})
