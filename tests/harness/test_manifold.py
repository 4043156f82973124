"""Oracles: scipy's correlation distance over hooks-free single-image passes; exact zeros where there is no noise."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.distance import correlation
from torch import nn

import pcbench
from pcbench.corruptions.api import network_input_noise
from pcbench.data.preprocessing import Preprocessing
from pcbench.data.sources import open_source
from pcbench.harness.manifold import ManifoldRequest, manifold_metrics, measure_manifold
from pcbench.training.validation import noise_definition


@pytest.fixture
def request_for_five() -> ManifoldRequest:
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
    return ManifoldRequest(network, source, noise_definition(), timesteps=2, seed=3, batch_size=2)


def test_each_number_is_what_one_image_alone_gives(request_for_five: ManifoldRequest) -> None:
    # Oracle: one image, two passes, scipy.
    request = request_for_five
    measured = measure_manifold(request).set_index(["image_id", "severity", "timestep", "metric", "pcoder"])["value"]
    assert len(measured) == 5 * 5 * 3 * (2 * 2 + 1)
    name = request.source.ids[3]
    clean_input = request.network.normalise(request.source.load([3]).float() / 255)
    noise = network_input_noise(request.noise, 4, clean_input.shape, seed=3, ids=[name])
    keep = ("representations", "reconstructions")
    clean = request.network.unroll(clean_input, 2, keep=keep)
    noisy = request.network.unroll(clean_input + noise, 2, keep=keep)
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


def test_the_table_holds_means_over_images(request_for_five: ManifoldRequest) -> None:
    # Oracle: pandas' own mean of the per-image table.
    measured = measure_manifold(request_for_five)
    table = manifold_metrics(measured, model="small", noise="gaussian_noise")
    row = table[(table.metric == "correlation_distance_pcoder2") & (table.severity == 5) & (table.timestep == 1)]
    part = measured[(measured.metric == "correlation_distance") & (measured.pcoder == 2)]
    expected = part[(part.severity == 5) & (part.timestep == 1)]["value"].mean()
    assert row["value"].item() == pytest.approx(expected)
    assert row["n"].item() == 5
    assert (row["ci_low"] <= row["value"]).all()
    assert set(table["suite"]) == {"manifold"}
