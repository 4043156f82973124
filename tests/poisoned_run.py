"""A run of a stranger whose every free text holds what would act in a page, a figure, a terminal or a spreadsheet."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
from simulated_runs import write_run

from pcbench.files import file_sha256
from pcbench.metrics.corruption import THE_FIFTEEN
from pcbench.results.directory import MANIFEST, Run, open_run
from pcbench.results.integrity import sealed
from pcbench.results.metrics_table import write_metrics

HTML = (
    "</title></script></style><script>window.poisoned=1</script>"
    '"><img src=x onerror="window.poisoned=2"><img src="file:///etc/hostname">'
    '<a href="javascript:window.poisoned=3">x</a>${window.poisoned=4}{{7*7}}%{y}'
    "<svg onload=window.poisoned=5><iframe src=https://example.org></iframe>'-->]]><!--"
)
ACTING = "\u2028\u202e\x1b[31m\x9b31m\x1b]8;;https://example.org\x07\r\n"
"""Characters that act on a terminal, or on the direction of what is written after them."""
POISON = f"=1+1 $x_1 & 100% | [bold]`[link=https://example.org] {HTML} {ACTING}"


def poisoned_run(folder: Path, number: int = 0) -> Run:
    """Write a finished run with poisoned texts wherever a manifest and the files beside it hold text.

    Args:
        folder: Where to write.
        number: The model's name begins with it.
    """
    run = write_run(folder, f"{number} {POISON}", 0, corruptions=THE_FIFTEEN[:3])
    metrics = run.metrics
    # "alexnet" stays the beginning: a baseline's name is split at its end.
    baseline = pd.Series(f"alexnet {POISON}", index=metrics.index, dtype=metrics["baseline"].dtype)
    metrics["baseline"] = baseline.where(metrics["baseline"].notna(), metrics["baseline"])
    write_metrics(metrics, folder)
    for name in ("examples/index.json", "checks.json"):
        path = folder / name
        path.write_text(json.dumps(_poisoned(json.loads(path.read_text()))))
    content = json.loads((folder / MANIFEST).read_text())
    content["spec"]["data"]["name"] = content["spec"]["data"]["split"] = POISON
    content["spec"]["versions"] |= {"numpy": POISON, POISON: "1"}
    content["spec"]["model"] |= {"backbone": POISON}
    content |= {
        "notes": [f"WARNING: {POISON}", POISON],
        "missing": [{"condition": POISON, "images": POISON, "reason": POISON}],
        "machines": {POISON: 3},
        "started": POISON,
        "command": f"pcbench run --model '{POISON}'",
        "options": {"model": POISON, "data": POISON},
        "machine": {"system": POISON},
    }
    content["files"] = {name: file_sha256(folder / name) for name in content["files"]}
    (folder / MANIFEST).write_text(json.dumps(sealed(content)))
    return open_run(folder)


_FREE = ("image_id", "label", "title", "reasons", "sign")


def _poisoned(value: Any, name: str = "") -> Any:
    """Return a part of a JSON file in which what is free text is poisoned."""
    match value:
        case dict() if name == "predictions":
            return dict.fromkeys(value, POISON)
        case dict():
            return {key: _poisoned(one, key) for key, one in value.items()}
        case list():
            return [_poisoned(one, name) for one in value]
        case str() if name in _FREE:
            return POISON
        case _:
            return value
