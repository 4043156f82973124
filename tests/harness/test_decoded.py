"""Oracles: a count of decoded images; a run that decodes anew for each condition; the bytes of a block."""

from __future__ import annotations

import itertools
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from pcbench.data import image_source
from pcbench.data.preprocessing import Preprocessing
from pcbench.data.sources import open_source
from pcbench.harness import context
from pcbench.harness.blocks import Block, Unit
from pcbench.harness.costs import forward_passes
from pcbench.harness.decoded import DecodedBlock
from pcbench.harness.engines.base import UnitQueue
from pcbench.harness.start import run
from pcbench.results.conditions import Condition
from pcbench.results.directory import Run

IMAGES, BLOCK = 24, 8


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes of twelve images each, as files."""
    folder = tmp_path_factory.mktemp("photographs")
    generator = np.random.default_rng(0)
    for number in range(IMAGES):
        path = folder / f"class{number % 2}" / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(generator.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(path)
    return folder


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each file is decoded."""
    counted: Counter[str] = Counter()
    decode = image_source.decode_image

    def count(content: bytes, name: str, **words: Any) -> Any:
        counted[name] += 1
        return decode(content, name, **words)

    monkeypatch.setattr(image_source, "decode_image", count)
    return counted


def measured(photographs: Path, out: Path) -> Run:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 15 * 15, 2)).eval()
    options: dict[str, Any] = {"severities": [1, 5], "block_size": BLOCK, "batch_size": 4, "checks": False}
    return run(network, ["imagenet-c-extra"], data=f"imagefolder:{photographs}", out=out, report=False, workers=1,
               progress=False, **options)  # fmt: skip


def test_an_image_is_decoded_once_for_all_conditions(
    photographs: Path, decoded: Counter[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    once = measured(photographs, tmp_path / "once")
    counted = dict(decoded)
    assert len(counted) == IMAGES
    decoded.clear()
    monkeypatch.setattr(context, "DecodedBlock", lambda: DecodedBlock(0))  # nothing fits: as if nothing was kept
    again = measured(photographs, tmp_path / "again")
    conditions = 9  # clean, and four corruptions at two severities
    assert sum(decoded.values()) - sum(counted.values()) == (conditions - 1) * IMAGES
    files = [{name: digest for name, digest in made.manifest["files"].items() if name.endswith(".parquet")}
             for made in (once, again)]  # fmt: skip
    assert files[0] == files[1]


def block_of(number: int, of: int = 3) -> Block:
    return Block(number, of, BLOCK * number, BLOCK * (number + 1), f"hash-{number}")


def test_a_block_is_kept_whole_or_not_at_all_and_no_two_at_a_time(photographs: Path, decoded: Counter[str]) -> None:
    source = open_source(f"imagefolder:{photographs}", preprocessing=Preprocessing())
    seen: list[int] = []

    def read(kept: DecodedBlock, number: int, *, stop: int | None = None) -> list[bytes]:
        batches = kept.batches(source, block_of(number), 4, lambda index, _: seen.append(index))
        return [batch.images.numpy().tobytes() for batch in itertools.islice(batches, stop)]

    kept = DecodedBlock()
    first = read(kept, 0)
    assert (read(kept, 0), seen, sum(decoded.values())) == (first, list(range(BLOCK)), BLOCK)
    read(kept, 1, stop=1)  # left before its end, so it is not kept, nor is the one before
    assert [kept.holds(source, block_of(number), 4) for number in (0, 1)] == [False, False]
    assert read(kept, 0) == first
    assert kept.holds(source, block_of(0), 4)
    assert not kept.holds(source, block_of(0), 8)
    small = DecodedBlock(5 * 32 * 32 * 3)  # room for one batch of four
    assert read(small, 0) == first
    assert not small.holds(source, block_of(0), 4)


def test_a_worker_stays_on_its_block_and_leaves_those_of_others() -> None:
    names = [f"c{number}" for number in range(3)]
    units = [
        Unit("scores", Condition("s", "corruption", name, severity=1), block_of(number, 2), forward_passes(1))
        for number in range(2)
        for name in names
    ]
    queue = UnitQueue(units)
    one = queue.next()
    assert one is units[0]
    two = queue.next(None, [one.block])
    assert two is units[3]  # the other block, while there is one
    told = [queue.next(one, [two.block]), queue.next(two, [one.block]), queue.next(one, [two.block])]
    assert told == [units[1], units[4], units[2]]
    assert queue.next(one, [two.block]) is units[5]  # nothing else is left
    assert queue.next(one) is None
