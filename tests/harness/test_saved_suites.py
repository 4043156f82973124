"""Oracles: the run that kept the images, and the networks' own answers to them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from pcbench.errors import DataError, UsageError
from pcbench.harness.start import run
from pcbench.network.network import PredictiveNetwork
from pcbench.results.adversarials import load_adversarials
from pcbench.results.directory import Run


@pytest.fixture
def kept(network: PredictiveNetwork, attack_suite: Path, tmp_path: Path) -> Run:
    """A run that kept its adversarial images."""
    return run(
        network,
        [str(attack_suite)],
        out=tmp_path / "kept",
        images=24,
        timesteps=1,
        data="digits",
        progress=False,
        save_adversarials=True,
    )


def test_the_same_model_scores_them_as_the_run_did(kept: Run, network: PredictiveNetwork, tmp_path: Path) -> None:
    again = run(network, adversarials=kept.folder, out=tmp_path / "again", timesteps=1, progress=False)
    assert {suite.name for suite in again.spec.suites} == {"small-from-tiny"}
    keys = ["image_id", "name", "epsilon", "attacked_timestep", "timestep"]
    columns = ["prediction", "correct", "success_within", "perturbation_linf"]
    first, second = (made.outcomes().query("kind == 'attack' and name != 'worst_case'") for made in (kept, again))
    assert len(second) == 2 * len(first)  # each is scored at both timesteps
    for table in (first, second):
        for key in ("image_id", "name"):
            table[key] = table[key].astype(str)
    both = first.merge(second, on=keys, suffixes=("", "_again"))
    assert len(both) == len(first)
    for column in columns:
        left, right = both[column].to_numpy(), both[f"{column}_again"].to_numpy()
        assert ((left == right) | (both[column].isna() & both[f"{column}_again"].isna())).all(), column


def test_another_model_is_measured_by_its_own_answers(kept: Run, tmp_path: Path) -> None:
    other = nn.Sequential(nn.AvgPool2d(4), nn.Flatten(), nn.Linear(192, 10))
    for parameter in other.parameters():
        parameter.data.copy_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(5)))
    made = run(other, adversarials=kept.folder / "adversarials", out=tmp_path / "other", progress=False)
    saved = load_adversarials(kept.folder / "adversarials" / "small" / "pgd-t1.safetensors")
    right = (other(saved.images(0)).argmax(1) == saved.labels).numpy()
    for index in range(len(saved.epsilons)):
        right &= (other(saved.images(index)).argmax(1) == saved.labels).numpy()
    metrics = made.metrics
    rows = metrics[(metrics["name"] == "pgd") & (metrics["metric"] == "robust_accuracy")]
    last = rows[(rows["attacked_timestep"] == 1) & np.isclose(rows["epsilon"], 32 / 255)]
    assert last["value"].tolist() == [right.mean()]
    assert "worst_case" in set(metrics["name"].dropna())


def test_what_cannot_be_scored_is_refused(
    kept: Run, network: PredictiveNetwork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="leave suites out"):
        run(network, ["digits-linf"], adversarials=kept.folder)
    with pytest.raises(UsageError, match=r"holds runs, and is not one: give one of them, such as .*kept"):
        run(network, adversarials=tmp_path)
    with pytest.raises(UsageError, match="make them by a run with save_adversarials=True"):
        run(network, adversarials=kept.folder / "outcomes")
    few = nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 4))
    with pytest.raises(DataError, match="4 classes"):
        run(few, adversarials=kept.folder)
    large = nn.Sequential(nn.Flatten(), nn.Linear(3 * 64 * 64, 10))
    with pytest.raises(UsageError, match="32 x 32 px"):
        run(large, adversarials=kept.folder)
