"""Reads files, one after the other, and prints for each what came of it and the most memory of the process so far.

python tests/limits/reading.py READER=FILE …
"""

from __future__ import annotations

import importlib
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


def _of(place: str) -> Any:
    """Return a function by its module and name; a process imports no more than it reads with."""
    module, _, function = place.partition(":")
    return getattr(importlib.import_module(f"pcbench.{module}"), function)


def _image(path: Path) -> object:
    content = _of("data.stores:FileStore")(path.parent, (path.name,)).read(0)
    return _of("data.decoding:decode_image")(content, path.name)


def _first_image(path: Path) -> object:
    preprocessing = _of("data.preprocessing:Preprocessing")()
    return _of("data.parquet:open_parquet")(str(path), preprocessing, "test").store.read(0)


READERS = {
    "outcomes": "results.schema:read_outcomes",
    "metrics": "results.metrics_table:read_metrics",
    "units": "harness.saved_units:read_units",
    "reference": "comparison.reference:read_reference",
    "weights": "models.weights:read_weights",
    "adversarials": "results.adversarials:load_adversarials",
    "toml": "catalog:read_toml",
}
"""What reads a file by its path alone."""
OTHERS: dict[str, Callable[[Path], Any]] = {
    "part": lambda path: _of("results.parts:read_part")(path, key="k", unit="u"),
    "images": _first_image,
    "image": _image,
    "manifest": lambda path: _of("results.directory:read_manifest")(path.parent),
    "plan": lambda path: _of("harness.saved_plan:open_plan")(path.parent),
    "examples": lambda path: _of("reports.page.examples:read_examples")(path.parent.parent),
    "checks": lambda path: _of("results.verdicts:read_verdicts")(path.parent),
}


def _peak() -> int:
    """Return the most bytes that this process has held; what `resource` tells includes its parent's."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) * 1024


def _read(reader: str, path: Path) -> dict[str, Any]:
    began = time.monotonic()
    error = None
    try:
        OTHERS[reader](path) if reader in OTHERS else _of(READERS[reader])(path)
    except Exception as caught:  # noqa: BLE001  # what comes out is what is tested
        error = [type(caught).__name__, str(caught), [kind.__name__ for kind in type(caught).__mro__]]
    return {"file": str(path), "error": error, "peak": _peak(), "seconds": time.monotonic() - began}


for argument in sys.argv[1:]:
    name, _, file = argument.partition("=")
    print(json.dumps(_read(name, Path(file))), flush=True)
