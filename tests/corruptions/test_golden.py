"""Oracle: this package's own images of an earlier day, as hashes: no corruption changes without being noticed.

`uv run poe golden` writes the hashes that are missing. Whoever takes one
out, so that it is written anew, changes a suite and raises its version. Each hash has the seed of an image no value of
which lies so near a cut between two grey levels that another processor's rounding would move it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from shipped_corruptions import computed_suites, reached, shipped_suites

from pcbench.corruptions.api import corrupt
from pcbench.corruptions.corruption import ROUNDING_ERROR
from pcbench.corruptions.definitions import CorruptionDefinition, CorruptionSuite

FILE = Path(__file__).parent / "golden.json"
# CIFAR-100-C's corruptions are those of CIFAR-10-C.
SUITES = tuple(name for name in computed_suites() if name != "cifar-100-c")
SEVERITY = 3
MARGIN = 3e-4


def golden_image(seed: int) -> torch.Tensor:
    words = np.random.PCG64(seed).random_raw(3 * 16 * 20)
    return torch.from_numpy((words >> np.uint64(56)).astype(np.uint8)).reshape(1, 3, 16, 20)


def golden_hash(definition: CorruptionDefinition, seed: int) -> str:
    corrupted = corrupt(golden_image(seed), definition, reached(definition, SEVERITY), seed=seed)
    return hashlib.sha256(corrupted.numpy().tobytes()).hexdigest()[:16]


@pytest.mark.parametrize("suite", SUITES)
def test_the_images_are_those_of_before(suites: dict[str, CorruptionSuite], suite: str) -> None:
    recorded = json.loads(FILE.read_text()).get(suite, {})
    names = [definition.name for definition in suites[suite].corruptions]
    assert list(recorded) == names, "uv run poe golden"
    changed = [
        definition.name
        for definition in suites[suite].corruptions
        if golden_hash(definition, recorded[definition.name]["seed"]) != recorded[definition.name]["hash"]
    ]
    assert changed == []


def is_clear_cut(definition: CorruptionDefinition, seed: int) -> bool:
    levels = corrupt(golden_image(seed).double() / 255, definition, reached(definition, SEVERITY), seed=seed) * 255
    inside = levels[(levels > 0) & (levels < 255)] + ROUNDING_ERROR
    return not bool(((inside - inside.round()).abs() < MARGIN).any())


def record() -> Iterator[tuple[str, dict[str, dict[str, int | str]]]]:
    recorded = json.loads(FILE.read_text())
    for name in dict.fromkeys((*(name for name in recorded if name in SUITES), *SUITES)):
        entries: dict[str, dict[str, int | str]] = {}
        for definition in shipped_suites()[name].corruptions:
            if definition.name in recorded.get(name, {}):
                entries[definition.name] = recorded[name][definition.name]
                continue
            seed = next((seed for seed in range(200) if is_clear_cut(definition, seed)), 0)
            entries[definition.name] = {"seed": seed, "hash": golden_hash(definition, seed)}
        yield name, entries


if __name__ == "__main__":
    FILE.write_text(json.dumps(dict(record()), indent=1) + "\n")
