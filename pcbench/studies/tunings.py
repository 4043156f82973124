"""What the tunings of a study's arms found, and which of them failed."""

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


def failed_words(out: Path, arms: Sequence[str], seeds: Sequence[int | None]) -> str:
    """Return which tunings did not reach the feedforward point, in a sentence; nothing where all did."""
    failed = {arm: sum(bool(tuning_result(out, arm, seed).get("failed")) for seed in seeds) for arm in arms}
    counted = [f"of {arm} for {count} of {len(seeds)} training seeds" for arm, count in failed.items() if count]
    return f"The tuning failed {' and '.join(counted)}: the feedforward point stands for it." if counted else ""
