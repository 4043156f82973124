"""Oracles: the inequalities of the feasible set; the file read back by the network's own reader."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from pcbench.errors import UsageError
from pcbench.network.configuration import read_configuration
from pcbench.network.network import PredictiveNetwork
from pcbench.network.update import Hyperparameters
from pcbench.training.hyperparameters import FreeHyperparameters, from_shares, rounded, write_configuration

START = (Hyperparameters(0.3, 0.4, 0.05), Hyperparameters(0.6, 0.0, 0.2))


def test_free_hyperparameters_start_where_they_are_told() -> None:
    for made, wanted in zip([_plain(entry) for entry in FreeHyperparameters(START)()], START, strict=True):
        assert float(made.feedforward) == pytest.approx(wanted.feedforward, abs=1e-3)
        assert float(made.feedback) == pytest.approx(wanted.feedback, abs=1e-3)
        assert float(made.error_weight) == pytest.approx(wanted.error_weight, rel=1e-5)


def test_a_small_error_weight_is_kept() -> None:
    """α = 0.01 of the reference is 0.01 / 150 here, where it took the mean over batches of 150."""
    start = (Hyperparameters(0.8, 0.1, 0.01 / 150), Hyperparameters(0.8, 0.0, 0.0))
    assert [entry.error_weight for entry in rounded(start)] == [6.667e-5, 0.0]
    free = FreeHyperparameters(start)()
    assert [float(_plain(entry).error_weight) for entry in free] == pytest.approx([0.01 / 150, 1e-3])
    assert [entry.error_weight for entry in rounded((Hyperparameters(0, 0, 0.00126), Hyperparameters(0, 0, 1e-9)))] == [
        0.0013,
        1e-9,
    ]


def test_feedback_that_no_pcoder_receives_is_not_learned() -> None:
    with pytest.raises(UsageError, match="no PCoder of this network receives feedback"):
        FreeHyperparameters(START[1:], ["feedback"])


def test_whatever_moves_them_they_stay_feasible() -> None:
    # Oracle: β, λ, α ≥ 0 and β + λ ≤ 1, from far outside what a descent would reach; the last λ is 0.
    free = FreeHyperparameters(START)
    generator = torch.Generator().manual_seed(0)
    for _ in range(200):
        for parameter in free.parameters():
            parameter.data = torch.randn(parameter.shape, generator=generator) * 20
        plain = [_plain(entry) for entry in free()]
        for entry in (*plain, *rounded(plain)):
            assert float(entry.feedforward) >= 0
            assert float(entry.feedback) >= 0
            assert float(entry.feedforward) + float(entry.feedback) <= 1 + 1e-6
            assert float(entry.error_weight) >= 0
        assert free()[-1].feedback == 0.0


def _plain(entry: Hyperparameters) -> Hyperparameters:
    values = (entry.feedforward, entry.feedback, entry.error_weight)
    return Hyperparameters(*(float(torch.as_tensor(value).detach()) for value in values))


@pytest.mark.parametrize(("feedforward", "share"), [(0.0, 1.0), (1.0, 1.0), (0.25, 0.5), (1.0, 0.0)])
def test_shares_fill_the_feasible_set(feedforward: float, share: float) -> None:
    entry = from_shares(feedforward, share, 0.1, fed=True)
    assert entry.feedback == pytest.approx(share * (1 - feedforward))
    assert from_shares(feedforward, share, 0.1, fed=False).feedback == 0


def test_what_a_configuration_says_besides_numbers_is_kept(network: PredictiveNetwork, tmp_path: Path) -> None:
    table = network.configuration.table
    pcoders = (table.pcoders[0], *(one.model_copy(update={"predicts": "input"}) for one in table.pcoders[1:]))
    table = table.model_copy(update={"output": 1, "pcoders": pcoders})
    write_configuration(tmp_path / "tuned.toml", table, START, [])
    read = read_configuration(tmp_path / "tuned.toml").table
    assert (read.output, [one.predicts for one in read.pcoders]) == (1, [None, "input"])


def test_a_written_configuration_is_read_back(network: PredictiveNetwork, tmp_path: Path) -> None:
    # Oracle: the reader of configurations, and the comments as they stand.
    path = tmp_path / "tuned.toml"
    table = network.configuration.table
    write_configuration(path, table, START, ["Made by a test: \u03b2, \u03bb.", "Two\nlines."])
    read = read_configuration(path)
    assert read.hyperparameters == START
    assert [pcoder.predictor for pcoder in read.table.pcoders] == [pcoder.predictor for pcoder in table.pcoders]
    assert (read.table.input_size, read.table.gradient_scaling) == (table.input_size, table.gradient_scaling)
    assert path.read_text().splitlines()[:3] == ["# Made by a test: \u03b2, \u03bb.", "# Two", "# lines."]
    assert not list(tmp_path.glob("*.partial"))
