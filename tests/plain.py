"""The plain implementation of the dynamics, `benchmarks/plain_dynamics.py`, which shares no code with ours."""

from __future__ import annotations

import functools
import importlib.util
import sys
from pathlib import Path
from types import ModuleType


@functools.cache
def plain_dynamics() -> ModuleType:
    """Load it; benchmarks are scripts, and no package."""
    path = Path(__file__).parents[1] / "benchmarks" / "plain_dynamics.py"
    spec = importlib.util.spec_from_file_location("plain_dynamics", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module
