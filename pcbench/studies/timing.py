"""How long the arms of a study take for an image on this machine, measured in turns."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

from pcbench import files
from pcbench.data.preprocessing import Preprocessing
from pcbench.data.sources import open_source
from pcbench.models.loading import load
from pcbench.models.model import Model
from pcbench.results.environment import machine

_TURNS, _SECONDS = 5, 2.0
"""All arms answer once in a turn, so that what else the machine does meets all of them; so many turns at least, and for
so long."""
_MOST_SECONDS = 60.0
"""No turn but the first begins after it."""
_LARGE, _IMAGES, _FEW = 64, 32, 4
"""Images of more than so many pixels a side are timed in a smaller batch."""


def write_times(path: Path, data: str, arms: Mapping[str, Mapping[str, Any]]) -> None:
    """Time each arm on a batch of images, by the processor's time of one thread, and write what was found.

    Args:
        path: The file.
        data: The source whose first images are answered.
        arms: The options of `load` of each.

    Raises:
        DataError, WeightsError, UsageError: Images or an arm cannot be loaded.
        WriteError: The file cannot be written.
    """
    models = {name: load(**options) for name, options in arms.items()}
    batches = {name: _images(data, model.preprocessing) for name, model in models.items()}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        found = _timed(models, batches)
    finally:
        torch.set_num_threads(threads)
    count = len(next(iter(batches.values())))
    rows = [
        {"arm": name, "timesteps": models[name].timesteps, "milliseconds": [round(1000 * one, 6) for one in seconds]}
        for name, seconds in found.items()
    ]
    files.make_folder(path.parent)
    files.write(path, json.dumps({"machine": machine(), "threads": 1, "images": count, "arms": rows}, indent=1) + "\n")


def time_rows(content: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the times of an image by arm, from what `write_times` wrote: milliseconds, in the median of the turns."""
    return [
        {
            "arm": str(row["arm"]),
            "timesteps": int(row["timesteps"]),
            "milliseconds": median(row["milliseconds"]),
            "lowest": min(row["milliseconds"]),
            "highest": max(row["milliseconds"]),
        }
        for row in content["arms"]
    ]


def _images(data: str, preprocessing: Preprocessing) -> torch.Tensor:
    source = open_source(data, preprocessing=preprocessing, split="test")
    first = source.load([0])
    count = min(_IMAGES if max(first.shape[2:]) <= _LARGE else _FEW, len(source))
    return source.load(np.arange(count)) / 255


def _timed(models: Mapping[str, Model], batches: Mapping[str, torch.Tensor]) -> dict[str, list[float]]:
    """Return the seconds of an image, turn by turn; the first answer of each arm prepares, and does not count."""
    found: dict[str, list[float]] = {name: [] for name in models}
    began, turn = time.perf_counter(), 0
    with torch.no_grad():
        while turn <= 1 or time.perf_counter() - began < (_SECONDS if turn > _TURNS else _MOST_SECONDS):
            for name, model in models.items():
                start = time.process_time()  # what other processes take does not count
                model.answer(batches[name])
                seconds = (time.process_time() - start) / len(batches[name])
                if turn:
                    found[name].append(seconds)
            turn += 1
    return found
