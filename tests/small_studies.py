"""Files of small studies, for tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tomli_w


def small(**more: Any) -> dict[str, Any]:
    return {
        "study_version": 2,
        "title": "A title",
        "model": "pdigits",
        "data": "digits",
        "timesteps": 2,
        "training_seeds": [0, 1],
        "seen_before": "Nothing.",
        "arms": ["network", "feedforward", "no-feedback", "input-blur"],
        "suites": [{"name": "gaussian-noise"}],
        "questions": [{"name": "noise", "question": "?", "hypothesis": "!", "suite": "gaussian-noise"}],
        **more,
    }


def written(folder: Path, table: dict[str, Any]) -> Path:
    path = folder / "study.toml"
    path.write_text(tomli_w.dumps(table), encoding="utf-8")
    return path
