"""Oracle: the mean of shares that stand here, and the bootstrap's own interval of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from pcbench.metrics.draw_rows import draw_notes
from pcbench.metrics.summary import summarise
from pcbench.results.conditions import Condition
from pcbench.results.schema import outcome_table

SHARES = np.array([1.0, 0.5, 0.0, 0.75], dtype=np.float32)


def outcomes(shares: dict[int, NDArray[Any]]) -> pd.DataFrame:
    """What a network answered to four images at each timestep."""
    count = len(shares)
    columns: dict[str, Any] = {
        "image_id": np.tile(np.array(list("abcd")), count),
        "label": np.zeros(4 * count, dtype=int),
        "timestep": np.repeat(list(shares), 4),
        "prediction": np.zeros(4 * count, dtype=int),
        "correct": np.concatenate(list(shares.values())) > 0.5,
        "confidence": np.ones(4 * count),
    }
    drawn = np.concatenate(list(shares.values()))
    columns["draws_right"] = np.ma.array(drawn, mask=np.isnan(drawn))
    return outcome_table(Condition("c", "clean", "clean"), columns).to_pandas()


def test_the_mean_share_is_a_row_of_each_condition_and_timestep() -> None:
    metrics = summarise(outcomes({0: SHARES, 1: SHARES / 2}), model="m", baselines={})
    rows = metrics[metrics["metric"] == "single_draw_accuracy"]
    assert rows["value"].tolist() == pytest.approx([0.5625, 0.28125])
    assert rows["n"].tolist() == [4, 4]
    assert (rows["ci_low"] < rows["value"]).all()
    assert (rows["value"] < rows["ci_high"]).all()
    (note,) = draw_notes(metrics, 20)
    assert "each answer is the mean of 20 draws; a single draw at t = 1 is right on 28.1 % of clean images" in note


def test_nothing_is_said_of_a_network_that_draws_nothing() -> None:
    metrics = summarise(outcomes({0: np.full(4, np.nan, dtype=np.float32)}), model="m", baselines={})
    assert "single_draw_accuracy" not in set(metrics["metric"])
    assert list(draw_notes(metrics, None)) == []
