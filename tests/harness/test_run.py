"""Oracle: what a run promises of itself: the same spec gives the same tables, whole files, the identities between
clean rows, epsilon 0 and the network's own answers, and monotone success within a budget."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

import pcbench
from pcbench.errors import DivergenceError, RunError, UsageError
from pcbench.files import Point, watched
from pcbench.harness.start import run
from pcbench.network.network import PredictiveNetwork
from pcbench.results.directory import Run, open_run

COLUMNS = [
    *("model", "suite", "kind", "name", "severity", "norm", "epsilon", "targeted", "gradient", "attacked_timestep"),
    *("timestep", "baseline", "metric", "value", "ci_low", "ci_high", "n", "share_of_pixel_range"),
    "marks",
]


def tables(made: Run) -> dict[str, str]:
    """The hashes of a run's files."""
    return {name: digest for name, digest in made.manifest["files"].items() if name.endswith((".parquet", ".csv"))}


def measure(network: nn.Module, folder: Path, *suites: Path, **options: object) -> Run:
    settings: dict[str, object] = {"images": 12, "timesteps": 2, "data": "digits", "progress": False, **options}
    return run(network, [str(suite) for suite in suites], out=folder, **settings)


@pytest.mark.with_pictures
@pytest.mark.usefixtures("two_figures")
def test_two_runs_of_a_spec_give_the_same_bytes(
    network: PredictiveNetwork, corruption_suite: Path, attack_suite: Path, tmp_path: Path
) -> None:
    one = measure(network, tmp_path / "one", corruption_suite, attack_suite)
    two = measure(network, tmp_path / "two", corruption_suite, attack_suite)
    assert one.key == two.key
    assert one.manifest["files"] == two.manifest["files"]
    assert (one.folder / "metrics.csv").read_bytes() == (two.folder / "metrics.csv").read_bytes()
    assert list(pd.read_csv(one.folder / "metrics.csv").columns) == COLUMNS
    files = (path for path in (one.folder / "report").rglob("*") if path.is_file())
    figures = sorted(path.relative_to(one.folder) for path in files)
    assert {path.suffix for path in figures} == {".svg", ".png", ".pdf", ".html", ".json", ".csv", ".parquet"}
    for path in figures:
        assert path.suffix == ".html" or (one.folder / path).read_bytes() == (two.folder / path).read_bytes()


def test_clean_rows_are_the_networks_own_answers(
    network: PredictiveNetwork, corruption_suite: Path, tmp_path: Path
) -> None:
    outcomes = measure(network, tmp_path / "run", corruption_suite, images=40).outcomes()
    clean = outcomes[outcomes["kind"] == "clean"]
    # An untrained network is right about few images: without some of each kind a wrong margin would not be noticed.
    assert set(clean.groupby(["timestep", "correct"]).groups) == {
        (t, right) for t in range(3) for right in (False, True)
    }
    from pcbench.data.preprocessing import Preprocessing
    from pcbench.data.sources import open_source

    source = open_source("digits", preprocessing=Preprocessing()).take(40)
    logits = network(source.load(range(40)) / 255, 2)
    for timestep in range(3):
        rows = clean[clean["timestep"] == timestep].set_index("image_id").loc[list(source.ids)]
        assert rows["prediction"].tolist() == logits[timestep].argmax(1).tolist()
        assert rows["label"].tolist() == source.labels.tolist()
        # Oracle: the definitions of both, in NumPy and one image at a time.
        for row, values in zip(rows.itertuples(), logits[timestep].double().numpy(), strict=True):
            others = np.delete(values, row.label)
            assert row.margin == pytest.approx(values[row.label] - others.max(), abs=1e-5)
            assert (row.margin > 0) == row.correct
            exponentials = np.exp(values - values.max())
            assert row.true_label_probability == pytest.approx(exponentials[row.label] / exponentials.sum(), rel=1e-5)


def test_the_batch_size_changes_no_outcome(network: PredictiveNetwork, corruption_suite: Path, tmp_path: Path) -> None:
    columns = ["image_id", "name", "severity", "timestep", "prediction", "correct"]
    whole = measure(network, tmp_path / "whole", corruption_suite).outcomes()[columns]
    parts = measure(network, tmp_path / "parts", corruption_suite, batch_size=5).outcomes()[columns]
    pd.testing.assert_frame_equal(whole, parts)


def test_epsilon_zero_is_clean_and_success_grows(
    network: PredictiveNetwork, attack_suite: Path, tmp_path: Path
) -> None:
    metrics = measure(network, tmp_path / "run", attack_suite, images=40).metrics
    clean = metrics[(metrics["kind"] == "clean") & (metrics["metric"] == "accuracy")].set_index("timestep")["value"]
    attacks = metrics[metrics["kind"] == "attack"]
    for (_, timestep), rows in attacks.groupby(["name", "timestep"]):
        robust = rows[rows["metric"] == "robust_accuracy"].sort_values("epsilon")["value"].tolist()
        success = rows[rows["metric"] == "attack_success_rate_within"].sort_values("epsilon")["value"].tolist()
        assert robust[0] == clean[timestep]
        assert success[0] == 0
        assert robust == sorted(robust, reverse=True)
        assert success == sorted(success)
        assert success[-1] > 0
    assert "worst_case" in set(attacks["name"].astype(str))


def test_a_plain_sweep_reports_success_at_exactly_epsilon(
    network: PredictiveNetwork, attack_suite: Path, tmp_path: Path
) -> None:
    pruned = measure(network, tmp_path / "pruned", attack_suite, images=40).metrics
    plain = measure(network, tmp_path / "plain", attack_suite, images=40, plain_sweep=True).metrics
    assert "attack_success_rate" in set(plain["metric"].astype(str))
    robust = [table[table["metric"] == "robust_accuracy"]["value"].tolist() for table in (pruned, plain)]
    assert robust[0] == robust[1]


def test_images_that_tuning_took_are_left_out_and_the_rest_is_called_a_subset(
    network: PredictiveNetwork, corruption_suite: Path, tmp_path: Path
) -> None:
    # Oracle: the images that `take`, by which tune chooses, gives for the same number and seed.
    from pcbench.data.preprocessing import Preprocessing
    from pcbench.data.sources import open_source

    source = open_source("digits", preprocessing=Preprocessing())
    made = measure(network, tmp_path / "rest", corruption_suite, images=None, leave_out="340:3", timesteps=0)
    measured = set(made.outcomes()["image_id"].astype(str))
    assert measured == set(source.ids) - set(source.take(340, 3).ids)
    assert made.spec.suites[0].subset
    with pytest.raises(UsageError, match="leaves no image to measure"):
        measure(network, tmp_path / "none", corruption_suite, images=None, leave_out="360")
    with pytest.raises(UsageError, match="1000:0"):
        measure(network, tmp_path / "none", corruption_suite, leave_out="many")


def test_a_stopped_run_goes_on_and_ends_as_if_never_stopped(
    network: PredictiveNetwork, corruption_suite: Path, tmp_path: Path
) -> None:
    whole = measure(network, tmp_path / "whole", corruption_suite)
    parts = tmp_path / "stopped.partial" / "parts"

    def stop_after_four(point: Point) -> None:
        if point.path.suffix == ".part" and len(list(parts.rglob("*.part"))) == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), watched(stop_after_four):
        measure(network, tmp_path / "stopped", corruption_suite)
    assert not (tmp_path / "stopped").exists()
    kept = {path: path.stat().st_mtime_ns for path in parts.rglob("*.part")}
    assert len(kept) == 4
    seen: dict[Path, int] = {}

    def note(_: Point) -> None:
        seen.update({path: path.stat().st_mtime_ns for path in kept if path.is_file()})

    with watched(note):
        resumed = measure(network, tmp_path / "stopped", corruption_suite)
    assert seen == kept
    assert tables(resumed) == tables(whole)


def test_the_same_spec_finds_the_finished_run(
    network: PredictiveNetwork, corruption_suite: Path, tmp_path: Path
) -> None:
    first = measure(network, tmp_path / "run", corruption_suite)
    written = (first.folder / "manifest.json").stat().st_mtime_ns
    assert measure(network, tmp_path / "run", corruption_suite).key == first.key
    assert (first.folder / "manifest.json").stat().st_mtime_ns == written
    for other in ({"seed": 1}, {"jpeg_quality": 85}):
        with pytest.raises(UsageError, match="another run"):
            measure(network, tmp_path / "run", corruption_suite, **other)


def test_a_dropped_in_definition_is_measured_without_touching_python(
    network: PredictiveNetwork, corruption_suite: Path, attack_suite: Path, tmp_path: Path
) -> None:
    fog = (corruption_suite / "contrast.toml").read_text().replace('"Contrast"', '"Half contrast"')
    (corruption_suite / "half_contrast.toml").write_text(fog)
    (attack_suite / "bim.toml").write_text(
        (attack_suite / "pgd.toml").read_text().replace("random_start = true\n", "").replace('"PGD"', '"BIM"')
    )
    names = set(measure(network, tmp_path / "run", corruption_suite, attack_suite).outcomes()["name"].astype(str))
    assert {"half_contrast", "bim"} <= names


def test_a_plain_module_is_the_case_of_no_timesteps(corruption_suite: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 10))
    outcomes = measure(plain, tmp_path / "run", corruption_suite, timesteps=None).outcomes()
    assert set(outcomes["timestep"]) == {0}


class Exploding(nn.Module):
    """Logits of two timesteps, the second not finite."""

    input_size = (3, 32, 32)

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3 * 32 * 32, 10)

    def forward(self, images: Tensor) -> Tensor:
        logits = self.layer(images.flatten(1))
        return torch.stack([logits, logits * (torch.inf if bool(images.any()) else 1.0)])


def test_logits_that_are_not_finite_are_named_with_timestep_and_image(corruption_suite: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"t = 1 .* image 'digits") as failed:
        measure(Exploding(), tmp_path / "run", corruption_suite, timesteps=1)
    assert isinstance(failed.value.__cause__, DivergenceError)
    with pytest.raises(UsageError, match="unfinished"):
        open_run(tmp_path / "run")


def test_a_network_that_grows_is_named_as_diverging(
    network: PredictiveNetwork, corruption_suite: Path, tmp_path: Path
) -> None:
    for predictor in network.predictors:
        for parameter in predictor.parameters():
            parameter.data.mul_(40)
    finished = measure(network, tmp_path / "run", corruption_suite, timesteps=4)
    assert any(note.startswith("DIVERGING") for note in finished.manifest["notes"])
    assert finished.manifest["growth"]["diverging"] > 0


def test_marks_of_a_null_control_are_in_every_row(tmp_path: Path, corruption_suite: Path) -> None:
    finished = run(
        "pdigits",
        [str(corruption_suite)],
        out=tmp_path / "run",
        images=10,
        timesteps=1,
        random_predictors=3,
        ablation="no-feedback",
        progress=False,
    )
    assert set(finished.metrics["model"]) == {"pdigits+random-predictors-3+no-feedback"}


def test_an_option_that_there_is_not_is_answered_with_the_nearest_one() -> None:
    with pytest.raises(UsageError, match="did you mean 'timesteps'"):
        pcbench.run(timestep=3)
    for wrong in ({"images": 0}, {"seed": -1}, {"epsilons": (2.0,)}, {"gradient": "none"}, {"jpeg_quality": 0}):
        with pytest.raises(UsageError):
            pcbench.run(**wrong)


def test_a_suite_may_ask_for_images_that_are_right_at_every_timestep(attack_suite: Path, tmp_path: Path) -> None:
    header = attack_suite / "suite.toml"
    header.write_text(
        header.read_text() + 'images = "correct_at_every_timestep"\n'
        "[network]\nfeedforward = 0.8\nfeedback = 0.1\nerror = 0.01\n"
    )
    finished = run("pdigits", [str(attack_suite)], out=tmp_path / "run", images=60, timesteps=1, progress=False)
    clean = finished.outcomes()[lambda table: table["kind"] == "clean"]
    assert clean["correct"].all()
    assert 0 < clean["image_id"].nunique() < 60


def test_kept_adversarial_images_are_those_that_were_scored(
    network: PredictiveNetwork, attack_suite: Path, tmp_path: Path
) -> None:
    from pcbench.results.adversarials import load_adversarials

    finished = measure(network, tmp_path / "run", attack_suite, images=40, save_adversarials=True)
    kept = load_adversarials(finished.folder / "adversarials" / "small" / "pgd-t2.safetensors")
    outcomes = finished.outcomes("small")
    rows = outcomes[(outcomes["name"] == "pgd") & (outcomes["timestep"] == 2)]
    for budget, epsilon in enumerate(kept.epsilons):
        scored = rows[rows["epsilon"] == epsilon].set_index("image_id").loc[list(kept.ids)]
        assert network.at(2)(kept.images(budget)).argmax(1).tolist() == scored["prediction"].tolist()


@pytest.mark.usefixtures("few_rivals")
def test_checks_leave_a_verdict_for_every_timestep(
    network: PredictiveNetwork, attack_suite: Path, corruption_suite: Path, tmp_path: Path
) -> None:
    import json

    finished = measure(network, tmp_path / "run", attack_suite, images=60, timesteps=1, checks=True)
    checks = json.loads((finished.folder / "checks.json").read_text())
    assert [entry["timestep"] for entry in checks] == [0, 1]
    assert {entry["verdict"] for entry in checks} <= {"consistent", "suspicious"}
    with pytest.raises(UsageError, match="checks=True needs a suite"):
        measure(network, tmp_path / "none", corruption_suite, checks=True)
