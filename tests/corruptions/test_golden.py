"""Oracle: this package's own images of an earlier day, as hashes: no corruption changes without being noticed.

`python tests/corruptions/test_golden.py` writes the hashes anew; a change of them is a change of the suites'
versions. Each hash has the seed of an image no value of which lies so near a cut between two grey levels that
another processor's rounding would move it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from pcbench.catalog import catalog_folder
from pcbench.corruptions.api import corrupt
from pcbench.corruptions.corruption import ROUNDING_ERROR
from pcbench.corruptions.definitions import CorruptionDefinition, CorruptionSuite, load_corruption_suite

FILE = Path(__file__).parent / "golden.json"
SUITES = ("imagenet-c", "imagenet-c-extra", "cifar-10-c", "digits-c", "imagenet-c-bar")
SEVERITY = 3
MARGIN = 3e-4


def golden_image(seed: int) -> torch.Tensor:
    words = np.random.PCG64(seed).random_raw(3 * 16 * 20)
    return torch.from_numpy((words >> np.uint64(56)).astype(np.uint8)).reshape(1, 3, 16, 20)


def golden_hash(definition: CorruptionDefinition, seed: int) -> str:
    corrupted = corrupt(golden_image(seed), definition, SEVERITY, seed=seed)
    return hashlib.sha256(corrupted.numpy().tobytes()).hexdigest()[:16]


@pytest.mark.parametrize("suite", SUITES)
def test_the_images_are_those_of_before(suites: dict[str, CorruptionSuite], suite: str) -> None:
    recorded = json.loads(FILE.read_text())[suite]
    assert list(recorded) == [definition.name for definition in suites[suite].corruptions]
    changed = [
        definition.name
        for definition in suites[suite].corruptions
        if golden_hash(definition, recorded[definition.name]["seed"]) != recorded[definition.name]["hash"]
    ]
    assert changed == []


def is_clear_cut(definition: CorruptionDefinition, seed: int) -> bool:
    levels = corrupt(golden_image(seed).double() / 255, definition, SEVERITY, seed=seed) * 255
    inside = levels[(levels > 0) & (levels < 255)] + ROUNDING_ERROR
    return not bool(((inside - inside.round()).abs() < MARGIN).any())


def record() -> Iterator[tuple[str, dict[str, dict[str, int | str]]]]:
    for name in SUITES:
        entries: dict[str, dict[str, int | str]] = {}
        for definition in load_corruption_suite(catalog_folder("corruptions") / name).corruptions:
            seed = next((seed for seed in range(200) if is_clear_cut(definition, seed)), 0)
            entries[definition.name] = {"seed": seed, "hash": golden_hash(definition, seed)}
        yield name, entries


if __name__ == "__main__":
    FILE.write_text(json.dumps(dict(record()), indent=1) + "\n")
