"""Oracle: the sweep's own images, kept by the run and scored again, and its own outcomes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from pcbench.harness.start import run
from pcbench.network.network import PredictiveNetwork
from pcbench.results.adversarials import load_adversarials
from pcbench.results.directory import Run


def measure(network: PredictiveNetwork, folder: Path, suite: Path, **options: object) -> Run:
    settings: dict[str, object] = {"images": 40, "timesteps": 1, "data": "digits", "progress": False, **options}
    return run(network, [str(suite)], out=folder, **settings)


def test_a_plain_run_is_checked_at_every_timestep(
    network: PredictiveNetwork, attack_suite: Path, tmp_path: Path
) -> None:
    plain = measure(network, tmp_path / "plain", attack_suite, save_adversarials=True)
    entries = json.loads((plain.folder / "checks.json").read_text())
    assert [(entry["timestep"], entry["form"], entry["norm"]) for entry in entries] == [
        (0, "cheap", "linf"),
        (1, "cheap", "linf"),
    ]
    rows = pd.read_parquet(plain.folder / "checks" / "small.parquet")
    epsilon = entries[0]["epsilon"]
    # What the sweep broke is what its outcomes say.
    outcomes = plain.outcomes()
    for timestep in (0, 1):
        own = outcomes[(outcomes["name"] == "pgd") & (outcomes["timestep"] == timestep)]
        own = own[(own["epsilon"] == epsilon) & own["success_within"].notna()].set_index("image_id")["success_within"]
        swept = rows[(rows["check"] == "sweep") & (rows["metric"] == "success")]
        found = swept[swept["attacked_timestep"] == timestep].set_index("image_id")["value"]
        assert len(found)
        assert found.to_dict() == own.astype(float).to_dict()
    # What its images break at the other timestep is what they break when they are scored there.
    for made, scored in ((0, 1), (1, 0)):
        path = next(plain.folder.rglob(f"adversarials/**/*pgd*t{made}*.safetensors"))
        kept = load_adversarials(path)
        images = kept.images(int(np.flatnonzero(np.isclose(kept.epsilons, epsilon))[0]))
        with torch.no_grad():
            wrong = network.at(scored)(images).argmax(dim=1) != kept.labels
        broken = dict(zip(kept.ids, wrong.tolist(), strict=True))
        there = rows[(rows["check"] == "sweep") & (rows["metric"] == "broken") & (rows["attacked_timestep"] == made)]
        assert set(there["timestep"]) == {scored}
        assert {name: bool(value) for name, value in zip(there["image_id"], there["value"], strict=True)} == {
            name: broken[name] for name in there["image_id"]
        }
    # No number of the metrics is from it.
    without = measure(network, tmp_path / "without", attack_suite, checks=False)
    assert not (without.folder / "checks.json").exists()
    pd.testing.assert_frame_equal(plain.metrics, without.metrics)


def test_the_rows_are_the_same_however_the_run_is_cut(
    network: PredictiveNetwork, attack_suite: Path, tmp_path: Path
) -> None:
    # In blocks of 8 the 32 images that are attacked first lie in several.
    one = measure(network, tmp_path / "one", attack_suite, batch_size=8, block_size=40)
    several = measure(network, tmp_path / "several", attack_suite, batch_size=8, block_size=8)
    first, second = (pd.read_parquet(made.folder / "checks" / "small.parquet") for made in (one, several))
    order = ["check", "attacked_timestep", "timestep", "metric", "image_id"]
    first, second = (rows.sort_values(order).reset_index(drop=True) for rows in (first, second))
    assert len(first) == len(second)
    pd.testing.assert_frame_equal(first, second, check_categorical=False, rtol=1e-4)


def test_a_suite_whose_attacks_cannot_be_judged_is_checked_by_plain_pgd(
    network: PredictiveNetwork, attack_suite: Path, tmp_path: Path
) -> None:
    # One step, and all timesteps at once: neither is a sweep of an iterative attack on one timestep.
    pgd = attack_suite / "pgd.toml"
    pgd.write_text(pgd.read_text() + 'over_timesteps = "mean"\n')
    made = measure(network, tmp_path / "run", attack_suite, block_size=16, batch_size=8)
    entries = json.loads((made.folder / "checks.json").read_text())
    assert [(entry["timestep"], entry["form"], entry["attack"]) for entry in entries] == [
        (0, "cheap", "plain_pgd"),
        (1, "cheap", "plain_pgd"),
    ]
    outcomes = made.outcomes()
    assert "plain_pgd" not in set(outcomes["name"])
    rows = pd.read_parquet(made.folder / "checks" / "small.parquet")
    for timestep in (0, 1):
        attacked = outcomes[(outcomes["name"] == "fgsm") & (outcomes["timestep"] == timestep)]
        eligible = set(attacked[attacked["success_within"].notna()]["image_id"])
        here = rows[(rows["attacked_timestep"] == timestep) & (rows["metric"] == "success")]
        assert set(here["image_id"]) == eligible
        others = rows[(rows["attacked_timestep"] == timestep) & (rows["check"] == "sweep")]
        assert set(others[others["metric"] == "broken"]["timestep"]) == {1 - timestep}
