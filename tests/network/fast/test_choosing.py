"""Which form is used. Oracle: the table's own words, and that nothing but the work decides."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from pcbench.network.fast.choosing import PLAIN, LayerWork, choose
from pcbench.network.fast.table import ROWS, FastForm


def test_large_layers_go_by_tiles_small_ones_by_phases_and_the_rest_plainly() -> None:
    large, small, middle = (nn.ConvTranspose2d(count, count, 10, 2, 4) for count in (64, 8, 20))
    forms = {
        count: choose(LayerWork.of("transposed convolution", layer, torch.zeros(1, count, 56, 56)))
        for count, layer in {64: large, 8: small, 20: middle}.items()
    }
    assert forms == {64: "tiles", 8: "phases", 20: PLAIN}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.operation} {row.form}")
def test_each_row_is_chosen_at_its_bounds_and_not_beyond_them(row: FastForm) -> None:
    measures = {name: 0 for entry in ROWS for name in (*entry.least, *entry.most)} | row.most | row.least
    work = LayerWork(row.operation, "cpu", torch.float32, measures)
    assert choose(work) == row.form
    for name, least in row.least.items():
        assert choose(LayerWork(row.operation, "cpu", torch.float32, measures | {name: least - 1})) != row.form
    assert choose(LayerWork(row.operation, "cuda", torch.float32, measures)) == PLAIN
    assert choose(LayerWork("another", "cpu", torch.float32, measures)) == PLAIN
