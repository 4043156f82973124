"""Oracles: accuracies counted by hand; scipy's interval of a mean; a training that diverges on purpose."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from pcbench.errors import DivergenceError, UsageError
from pcbench.models import load
from pcbench.training import study
from pcbench.training.job import Trained, Watcher
from pcbench.training.options import TrainOptions
from pcbench.training.study import NetworkOutcomes, draw_table, run_study, seed_table, student_interval, summary_table


def answers(seed: int, first: list[list[int]], last: list[list[int]], diverged: int = 0) -> NetworkOutcomes:
    correct = np.stack([np.array([row, row_last]) for row, row_last in zip(first, last, strict=True)]).astype(bool)
    marks = np.zeros((len(first), len(first[0])), dtype=bool)
    marks.flat[:diverged] = True
    return NetworkOutcomes(seed, 2, correct, marks)


ONE = answers(0, [[1, 1, 0, 0], [1, 0, 0, 0]], [[1, 1, 1, 0], [1, 1, 0, 0]])
OTHER = answers(1, [[1, 1, 0, 0], [1, 1, 0, 0]], [[1, 0, 0, 0], [1, 1, 1, 1]])
BROKEN = answers(2, [[1, 1, 1, 1], [1, 1, 1, 1]], [[0, 0, 0, 0], [0, 0, 0, 0]], diverged=3)


def test_differences_are_paired_and_counted() -> None:
    # Oracle: by hand, from the little tables above.
    table = draw_table([ONE, OTHER])
    assert table["accuracy_t0"].tolist() == [0.5, 0.25, 0.5, 0.5]
    assert table["accuracy_t1"].tolist() == [0.75, 0.5, 0.25, 1.0]
    assert table["difference"].tolist() == [0.25, 0.25, -0.25, 0.5]
    assert (table["ci_low"] <= table["difference"]).all()
    assert (table["ci_high"] >= table["difference"]).all()
    pooled = seed_table([ONE, OTHER])
    assert pooled["difference"].tolist() == [0.25, 0.125]
    assert pooled["noise_standard_deviation"].tolist() == [0.5, 0.5]


def test_a_diverged_network_is_counted_and_never_averaged() -> None:
    # Oracle: the mean of the other two.
    row = summary_table([ONE, OTHER, BROKEN]).iloc[0]
    assert row["difference"] == pytest.approx((0.25 + 0.125) / 2)
    assert (row["training_seeds"], row["training_seeds_diverged"]) == (2, 1)
    assert seed_table([BROKEN])["diverged_images"].item() == 3
    nothing = summary_table([BROKEN]).iloc[0]
    assert np.isnan(nothing["difference"])
    assert nothing["training_seeds_diverged"] == 1


def test_the_interval_over_seeds_is_students() -> None:
    # Oracle: scipy.stats.t.interval.
    values = np.array([0.02, 0.05, 0.01, 0.06, 0.03])
    expected = stats.t.interval(0.95, 4, loc=values.mean(), scale=stats.sem(values))
    assert student_interval(values) == pytest.approx(expected)
    assert np.isnan(student_interval(values[:1])[0])


def test_a_study_writes_its_tables_and_names_what_diverged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Oracle: built so; of three trainings the second diverges, the others are the shipped network.
    def train(options: TrainOptions, watcher: Watcher | None) -> Trained:
        del watcher
        if options["seed"] == 1:
            raise DivergenceError("the loss is not finite")
        network = load("pdigits").network
        return Trained(tmp_path / "weights", "0" * 64, None, network, None)

    monkeypatch.setattr(study, "train", train)
    description = tmp_path / "small.toml"
    description.write_text(
        'title = "small"\nmodel = "pdigits"\ndata = "digits"\ntraining_seeds = [0, 1, 2]\nnoise_draws = [0, 1]\n'
        "conditions = [0, 5]\ntimestep = 1\n"
    )
    folder = run_study(description, tmp_path / "out", tmp_path / "work")
    record = json.loads((folder / "study.json").read_text())
    assert [training["diverged"] for training in record["trainings"]] == [False, True, False]
    assert record["made_by"] == "pcbench study studies/small.toml"
    draws = pd.read_csv(folder / "draws.csv")
    assert len(draws) == 2 * (1 + 2)
    assert set(draws["training_seed"]) == {0, 2}
    assert len(pd.read_csv(folder / "seeds.csv")) == 4
    assert len(pd.read_csv(folder / "summary.csv")) == 2


def test_where_nothing_can_be_written_nothing_is_trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study, "train", lambda *_: pytest.fail("trained"))
    description = tmp_path / "small.toml"
    description.write_text(
        'title = "small"\nmodel = "pdigits"\ndata = "digits"\ntraining_seeds = [0]\nnoise_draws = [0]\ntimestep = 1\n'
    )
    with pytest.raises(UsageError, match=r"cannot be written .*; give another with `out`"):
        run_study(description, description / "out", tmp_path / "work")


def test_a_model_that_is_not_trained_here_is_refused(tmp_path: Path) -> None:
    description = tmp_path / "other.toml"
    description.write_text(
        'title = "x"\nmodel = "pvgg16"\ndata = "digits"\ntraining_seeds = [0]\nnoise_draws = [0]\ntimestep = 1\n'
    )
    with pytest.raises(UsageError, match="pvgg16 is not trained on digits"):
        run_study(description, tmp_path / "out", tmp_path / "work")
