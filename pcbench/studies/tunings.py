"""What the tunings of a study's arms found, which of them failed, and which ended at the edge of what they tried."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pcbench import files
from pcbench.limits.text import read_json
from pcbench.studies.steps import TUNED


def tuning_result(out: Path, arm: str, seed: int | None) -> Mapping[str, Any]:
    """Return what the record of an arm's tuning holds; nothing of an arm that is not tuned.

    Raises:
        DataError: The record is damaged.
    """
    path = out / TUNED / f"{arm}-seed-{seed}.tuning.json"
    return read_json(path)["result"] if files.is_file(path) else {}


def tuning_words(out: Path, arms: Sequence[str], seeds: Sequence[int | None]) -> str:
    """Return what limits the tunings of some arms, in sentences; nothing where nothing does.

    It is said where a tuning did not reach the feedforward point, and where the widest of the blurs was chosen.
    """
    results = {arm: [tuning_result(out, arm, seed) for seed in seeds] for arm in arms}
    failed = _counted({arm: [bool(one.get("failed")) for one in found] for arm, found in results.items()})
    widest = _counted({arm: [_is_widest(one) for one in found] for arm, found in results.items()})
    said = [f"Tunings that failed: {failed}; the feedforward point stands for them."] if failed else []
    said += [f"The widest blur of the list was chosen: {widest}; a wider one may do better."] if widest else []
    return " ".join(said)


def _counted(true: Mapping[str, Sequence[bool]]) -> str:
    return ", ".join(
        f"{arm} in {sum(found)} of {len(found)} training seeds" for arm, found in true.items() if any(found)
    )


def _is_widest(result: Mapping[str, Any]) -> bool:
    return "curve" in result and result["width"] == max(one["width"] for one in result["curve"])
