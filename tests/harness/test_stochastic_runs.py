"""Oracle: the bytes of one worker's tables, which any other way of the same run has to make."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from forking import Forks

import pcbench
from pcbench.harness.engines import local
from pcbench.harness.merge import merge
from pcbench.results.directory import Run

NETWORK = """
import random
import numpy as np
import torch

class Noisy(torch.nn.Module):
    input_size = (3, 32, 32)
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(3072, 10, bias=False)
        self.layer.weight.data = torch.randn((10, 3072), generator=torch.Generator().manual_seed(0)) / 50
    def forward(self, images):
        shift = random.random() + float(np.random.rand())
        logits = self.layer((images + 0.2 * torch.randn_like(images)).flatten(1))
        return logits * shift

def make():
    return Noisy().eval()
"""


@pytest.fixture
def options(tmp_path: Path, attack_suite: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What is run: a network of the user's own that draws from three generators."""
    (tmp_path / "drawing_network.py").write_text(NETWORK)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "drawing_network", raising=False)
    return {
        "model": "drawing_network:make",
        "suites": [str(attack_suite)],
        "data": "digits",
        "images": 8,
        "batch_size": 4,
        "block_size": 4,
        "epsilons": ["2/255"],
        "threads": 1,
        "stochastic": 3,
        "progress": False,
    }


def tables(run: Run) -> dict[str, bytes]:
    """The bytes of all tables."""
    return {
        str(path.relative_to(run.folder)): path.read_bytes()
        for path in sorted(run.folder.rglob("*"))
        if path.suffix in {".parquet", ".csv"}
    }


def test_draws_depend_on_nothing_but_the_run(
    options: dict[str, Any], forks: Forks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "subprocess", forks.subprocess)
    one = pcbench.run(**options, workers=1, out=tmp_path / "one")
    torch.manual_seed(3)
    expected = tables(one)
    assert any(name.startswith("checks") for name in expected)
    assert tables(pcbench.run(**options, workers=2, out=tmp_path / "two")) == expected
    for number in (2, 1):
        pcbench.run(**options, workers=1, shard=f"{number}/2", out=tmp_path / "shards")
    assert tables(merge([tmp_path / "shards"], out=tmp_path / "merged")) == expected


def test_the_single_draws_stand_beside_their_mean(options: dict[str, Any], tmp_path: Path) -> None:
    options["checks"] = False
    made = pcbench.run(**options, workers=1, out=tmp_path / "one")
    outcomes: Any = made.outcomes()
    assert set((outcomes["draws_right"] * 3).round(4)) <= {0.0, 1.0, 2.0, 3.0}
    rows = made.metrics[made.metrics["metric"] == "single_draw_accuracy"]
    for _, row in rows.iterrows():
        chosen: Any = outcomes[(outcomes["kind"] == row["kind"]) & (outcomes["name"] == row["name"])]
        if not pd.isna(row["epsilon"]):
            chosen = chosen[chosen["epsilon"] == row["epsilon"]]
        assert row["value"] == pytest.approx(chosen["draws_right"].mean())
    assert len(rows) == 1 + 3 * 2  # clean; two attacks and the worst of them, at two budgets
    zero = outcomes[(outcomes["epsilon"] == 0) | (outcomes["kind"] == "clean")]
    assert set(zero.groupby("image_id")["margin"].nunique()) == {1}  # the clean image under the same draws
    assert any("each answer is the mean of 3 draws" in note for note in made.manifest["notes"])
