"""Oracles: scipy's correlation distance over hooks-free single-image passes; exact zeros where there is no noise."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.spatial.distance import correlation
from torch import nn

import pcbench
from pcbench.catalog import suite_folder
from pcbench.corruptions.definitions import CorruptionDefinition, load_corruption_suite
from pcbench.corruptions.input_noise import network_input_noise
from pcbench.data.image_source import ImageSource
from pcbench.data.preprocessing import Preprocessing
from pcbench.data.sources import open_source
from pcbench.errors import UsageError
from pcbench.harness.start import run
from pcbench.harness.work.representations import measure
from pcbench.metrics.representations import representation_rows
from pcbench.network.network import PredictiveNetwork
from pcbench.reports.report import write_report
from pcbench.results.conditions import Condition
from pcbench.results.schema import joined
from pcbench.training.conditions import noise_definition


@dataclass(frozen=True)
class Asked:
    """What is measured, without a run."""

    network: PredictiveNetwork
    source: ImageSource
    noise: CorruptionDefinition
    timesteps: int
    seed: int = 0
    batch_size: int = 32

    def table(self) -> pd.DataFrame:
        """All rows."""
        condition = Condition("manifold", "noise", self.noise.name)
        tables = [
            table
            for batch in self.source.batches(self.batch_size)
            for table in measure(self.network, batch, condition, self.noise, seed=self.seed, timesteps=self.timesteps)
        ]
        return joined(tables, "representations").to_pandas()


@pytest.fixture
def request_for_five() -> Asked:
    with torch.random.fork_rng():
        torch.manual_seed(2)
        backbone = nn.Sequential(
            nn.Conv2d(3, 4, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(4, 5, 3, stride=2, padding=1),
            nn.Flatten(),
            nn.Linear(80, 3),
        )
    configuration = {"input_size": (3, 8, 8), "pcoders": [{"module": "1"}, {"module": "2"}]}
    network = pcbench.predify(backbone, configuration, mean=(0.5,) * 3, std=(0.5,) * 3)
    images = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 3)).astype(np.uint8)
    source = open_source((images, np.zeros(5, int)), preprocessing=Preprocessing())
    return Asked(network, source, noise_definition(), timesteps=2, seed=3, batch_size=2)


def test_each_number_is_what_one_image_alone_gives(request_for_five: Asked) -> None:
    # Oracle: one image, two passes, scipy.
    request = request_for_five
    table = request.table().fillna({"pcoder": 0})
    measured = table.set_index(["image_id", "severity", "timestep", "metric", "pcoder"])["value"]
    assert len(measured) == 5 * 5 * 3 * (2 * 2 + 1)
    name = request.source.ids[3]
    clean_input = request.network.normalise(request.source.load([3]).float() / 255)
    noise = network_input_noise(request.noise, 4, clean_input.shape, seed=3, ids=[name])
    keep = ("representations", "reconstructions")
    clean = request.network.unroll_input(clean_input, 2, keep=keep)
    noisy = request.network.unroll_input(clean_input + noise, 2, keep=keep)
    for pcoder in (1, 2):
        now, start, found = (
            out.representations[at][pcoder - 1].detach().numpy().ravel()
            for out, at in ((clean, 2), (clean, 0), (noisy, 2))
        )
        same = measured[(name, 4, 2, "correlation_distance", pcoder)]
        assert same == pytest.approx(correlation(now, found), abs=1e-5)
        to_start = measured[(name, 4, 2, "correlation_distance_to_clean_t0", pcoder)]
        assert to_start == pytest.approx(correlation(start, found), abs=1e-5)
    error = float((noisy.reconstructions[2] - clean_input).square().mean())
    assert measured[(name, 4, 2, "reconstruction_error", 0)] == pytest.approx(error, rel=1e-5)


def test_the_rows_hold_means_over_images_and_paired_changes(request_for_five: Asked) -> None:
    # Oracle: pandas' own means of the per-image table.
    measured = request_for_five.table()
    table = pd.DataFrame(representation_rows(measured))
    part = measured[(measured.metric == "correlation_distance") & (measured.pcoder == 2) & (measured.severity == 5)]
    by_timestep = part.pivot(index="image_id", columns="timestep", values="value")
    rows = table[(table.severity == 5) & (table.timestep == 1)].set_index("metric")
    row = rows.loc["correlation_distance_pcoder2"]
    assert row["value"] == pytest.approx(by_timestep[1].mean())
    change = rows.loc["correlation_distance_pcoder2_minus_t0"]
    assert change["value"] == pytest.approx((by_timestep[1] - by_timestep[0]).mean())
    assert row["n"] == change["n"] == 5
    assert row["epsilon"] == 2.0
    assert (table["ci_low"] <= table["value"]).all()
    assert set(table["kind"]) == {"noise"}


def test_a_run_of_the_suite_writes_representations_and_rows(
    network: PredictiveNetwork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pcbench.reports.figures.FIGURE_FORMATS", ("svg",))
    # Oracle: the same measured without a run; blocks smaller than the images change nothing.
    options = {"data": "digits", "images": 12, "timesteps": 2, "batch_size": 5, "block_size": 5, "progress": False}
    made = run(network, ["manifold"], out=tmp_path / "run", **options)
    found = made.representations()
    source = open_source("digits", preprocessing=Preprocessing()).take(12)
    definition = load_corruption_suite(suite_folder("manifold")[1]).corruptions[0]
    request = Asked(network, source, definition, timesteps=2)
    keys = ["image_id", "severity", "timestep", "metric", "pcoder"]
    expected = request.table()
    for table in (found, expected):
        table["image_id"] = table["image_id"].astype(str)
        table["metric"] = table["metric"].astype(str)
    both = found.merge(expected, on=keys, suffixes=("", "_alone"))
    assert len(both) == len(found) == 12 * 5 * 3 * 5
    np.testing.assert_allclose(both["value"], both["value_alone"], atol=1e-5)
    metrics = made.metrics
    assert set(metrics["suite"]) == {"manifold"}
    assert {"accuracy", "correlation_distance_pcoder1", "reconstruction_error"} <= set(metrics["metric"])
    write_report([made], made.folder / "report")
    names = {path.stem for path in (made.folder / "report").glob("*.svg")}
    assert names == {
        "manifold-correlation-distance",
        "manifold-correlation-distance-to-clean-t0",
        "manifold-reconstruction-error",
    }


def test_a_plain_network_has_no_representations_to_measure() -> None:
    plain = nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 10))
    with pytest.raises(UsageError, match="the suite manifold needs a predictive network"):
        run(plain, ["manifold"], data="digits", images=4, progress=False)


def test_noise_suites_carry_their_standard_deviations(
    network: PredictiveNetwork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pcbench.reports.figures.FIGURE_FORMATS", ("svg",))
    # Oracle: the paper's five values.
    made = run(network, ["gaussian-noise"], out=tmp_path / "run", data="digits", images=12, progress=False, timesteps=1)
    noise = made.outcomes().query("kind == 'noise'")
    pairs = sorted(set(zip(noise["severity"], noise["epsilon"], strict=True)))
    assert pairs == [(1, 0.25), (2, 0.5), (3, 0.75), (4, 1.0), (5, 2.0)]
    write_report([made], made.folder / "report")
    assert {path.stem for path in (made.folder / "report").glob("*.svg")} >= {"gaussian-noise-accuracy-under-noise"}
