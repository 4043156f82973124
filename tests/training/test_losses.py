"""Oracle: the losses that are drawn; the labels of an axis are numbers, each of another tick."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pcbench.training.losses import LossLog


@pytest.mark.parametrize(
    "losses", [[0.031 - 0.0005 * epoch for epoch in range(12)], [2.3 / (1 + epoch) ** 1.6 for epoch in range(12)]]
)
def test_the_labels_of_the_losses_are_different_numbers_around_them(losses: list[float], tmp_path: Path) -> None:
    LossLog(tmp_path, ["loss"], 0).finish([[loss] for loss in losses])
    drawn = (tmp_path / "losses.svg").read_text()
    # Letters are drawn as paths; what they say is a comment beside them.
    axis = drawn[drawn.index('id="matplotlib.axis_2"') :]
    labels = [float(text) for text in re.findall(r"<!-- ([0-9.e\-−]+) -->", axis)]
    assert len(labels) == len(set(labels)) >= 4
    assert all(min(losses) / 2 <= label <= 2 * max(losses) for label in labels)
