"""Oracle: the decisions of the same network by PyTorch alone, in float32 and under its autocast."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

import pcbench
from pcbench.data.sources import open_source

OPTIONS = {"timesteps": 2, "severities": [1], "checks": False, "report": False, "progress": False, "workers": 1}


class CloseCalls(nn.Module):
    """Classes whose logits lie so near to each other that eight bits confuse them."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        shared = torch.rand(1, 3 * 32 * 32, generator=generator)
        self.weight = nn.Parameter(shared + 1e-3 * torch.randn(10, 3 * 32 * 32, generator=generator))

    def forward(self, images: Tensor) -> Tensor:
        return images.flatten(1) @ self.weight.T


def notes_of(run: pcbench.Run) -> list[str]:
    return [note for note in run.manifest["notes"] if note.startswith("LOW PRECISION")]


def test_a_run_below_float32_says_how_many_decisions_that_changes(tmp_path: Path) -> None:
    network = CloseCalls().eval()
    asked = {**OPTIONS, "data": "digits", "images": 20, "timesteps": 0}
    run = pcbench.run(network, ["digits-c"], precision="bfloat16", out=tmp_path / "run", **asked)
    source = open_source("digits", preprocessing=pcbench.load("pdigits").preprocessing, split="test")
    ids = run.outcomes("digits-c").query("kind == 'clean'")["image_id"].tolist()
    images = source.load([source.ids.index(name) for name in ids]) / 255
    with torch.no_grad():
        plain = network(images).argmax(1)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            low = network(images).argmax(1)
    changed = int((plain != low).sum())
    assert 0 < changed < 20
    counted = f"({changed} of 20: 20 clean images, t = 0)"
    assert notes_of(run) == [f"LOW PRECISION: bfloat16 changes {changed * 5} % of the decisions of float32 {counted}"]


def test_a_network_that_low_precision_does_not_change_is_said_to_be_so(tmp_path: Path) -> None:
    run = pcbench.run("pdigits", ["digits-c"], images=8, precision="bfloat16", out=tmp_path / "run", **OPTIONS)
    assert notes_of(run) == [
        "LOW PRECISION: bfloat16 changes 0 % of the decisions of float32 (0 of 24: 8 clean images, t = 0 to 2)"
    ]


def test_a_run_in_float32_has_nothing_to_say(tmp_path: Path) -> None:
    run = pcbench.run("pdigits", ["digits-c"], images=8, out=tmp_path / "run", **OPTIONS)
    assert not notes_of(run)
