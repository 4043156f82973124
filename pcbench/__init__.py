"""pcbench: how robust is a network at every timestep of its thinking?

The names below are imported when they are first used, so that `import pcbench` and `pcbench --help` stay quick.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pcbench.attacks.api import attack as attack
    from pcbench.corruptions.api import corrupt as corrupt
    from pcbench.harness.extraction.api import extract as extract
    from pcbench.harness.forecast import plan as plan
    from pcbench.harness.merge import merge as merge
    from pcbench.harness.start import run as run
    from pcbench.network.conversion import predify as predify

__version__ = "0.1.0"
__all__ = ["__version__", "attack", "corrupt", "extract", "merge", "plan", "predify", "run"]

_HOMES = {
    "attack": "pcbench.attacks.api",
    "corrupt": "pcbench.corruptions.api",
    "extract": "pcbench.harness.extraction.api",
    "merge": "pcbench.harness.merge",
    "plan": "pcbench.harness.forecast",
    "predify": "pcbench.network.conversion",
    "run": "pcbench.harness.start",
}


if not TYPE_CHECKING:  # a type checker knows the names above, and reports others

    def __getattr__(name: str) -> Any:
        if name in _HOMES:
            return getattr(importlib.import_module(_HOMES[name]), name)
        raise AttributeError(f"module 'pcbench' has no attribute {name!r}")
