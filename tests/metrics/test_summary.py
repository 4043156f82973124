"""Oracle: the same numbers by pandas' groupby from the raw rows, and what every table must satisfy."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pcbench.errors import DataError
from pcbench.metrics.corruption import THE_FIFTEEN
from pcbench.metrics.corruption_rows import StatedCorruptions
from pcbench.metrics.summary import summarise, summarise_folder
from pcbench.results.columns import METRICS_COLUMNS
from pcbench.results.conditions import Condition
from pcbench.results.metrics_table import read_metrics, write_metrics
from pcbench.results.schema import outcome_table, write_outcomes

IMAGES, TIMESTEPS = 40, 3
EPSILONS = (0.0, 0.01, 0.02, 0.04)
KEYS = [
    "kind",
    "name",
    "severity",
    "norm",
    "epsilon",
    "targeted",
    "gradient",
    "attacked_timestep",
    "timestep",
    "metric",
]


class Baseline:
    name = "alexnet"
    clean_error = 0.1
    errors = dict.fromkeys(THE_FIFTEEN, (0.2, 0.3, 0.4, 0.5, 0.6))

    def mean_error(self, corruption: str) -> float:
        return float(np.mean(self.errors[corruption]))


def _table(generator: np.random.Generator, condition: Condition, timesteps: range | list[int], rate: float) -> pa.Table:
    rows = IMAGES * len(timesteps)
    columns = {
        "image_id": np.tile([f"image-{index}" for index in range(IMAGES)], len(timesteps)),
        "label": np.zeros(rows),
        "timestep": np.repeat(timesteps, IMAGES),
        "prediction": np.zeros(rows),
        "correct": generator.random(rows) < rate,
        "confidence": np.zeros(rows),
    }
    return outcome_table(condition, columns)


def _corruptions(names: tuple[str, ...] = THE_FIFTEEN, severities: range = range(1, 6)) -> list[pa.Table]:
    generator = np.random.default_rng(0)
    tables = [_table(generator, Condition("c", "clean", "clean"), range(TIMESTEPS), 0.9)]
    for name, severity in itertools.product(names, severities):
        condition = Condition("c", "corruption", name, severity=severity)
        tables.append(_table(generator, condition, range(TIMESTEPS), 0.9 - 0.1 * severity))
    return tables


def _attacks(*, plain: bool) -> list[pa.Table]:
    """A sweep in which an image, once broken, is not attacked again, or is, and may then be missed."""
    generator = np.random.default_rng(1)
    clean = generator.random((TIMESTEPS, IMAGES)) < 0.9
    base = _table(generator, Condition("a", "clean", "clean"), range(TIMESTEPS), 1.0)
    field = base.schema.get_field_index("correct")
    tables = [base.set_column(field, base.schema.field(field), pa.array(clean.ravel()))]
    for t in range(TIMESTEPS):
        within = np.zeros(IMAGES, dtype=bool)
        for epsilon in EPSILONS:
            attacked = clean[t] if plain or epsilon == 0 else clean[t] & ~within
            success = attacked & (generator.random(IMAGES) < 20 * epsilon)
            within = within | success
            columns = {
                "image_id": np.array([f"image-{index}" for index in range(IMAGES)]),
                "label": np.zeros(IMAGES),
                "timestep": np.full(IMAGES, t),
                "prediction": np.zeros(IMAGES),
                "correct": clean[t] & ~within,
                "confidence": np.zeros(IMAGES),
                "attacked": attacked,
                "success": np.ma.masked_array(success, mask=~attacked),
                "success_within": np.ma.masked_array(within, mask=~clean[t]),
            }
            condition = Condition("a", "attack", "pgd", None, "linf", epsilon, False, "exact", t)
            tables.append(outcome_table(condition, columns))
    return tables


def _frame(tables: list[pa.Table]) -> pd.DataFrame:
    return pa.concat_tables(tables).unify_dictionaries().to_pandas()


def _metrics(tables: list[pa.Table], **options: object) -> pd.DataFrame:
    return summarise(_frame(tables), model="m", baselines={"c": Baseline()}, **options)


@pytest.fixture(scope="module")
def corruption_metrics() -> pd.DataFrame:
    return _metrics(_corruptions())


def test_columns_and_no_row_twice(corruption_metrics: pd.DataFrame) -> None:
    assert list(corruption_metrics.columns) == list(METRICS_COLUMNS)
    assert not corruption_metrics.duplicated(KEYS).any()
    assert (corruption_metrics["ci_low"] <= corruption_metrics["value"] + 1e-12).all()
    assert (corruption_metrics["value"] <= corruption_metrics["ci_high"] + 1e-12).all()


def test_accuracies_are_pandas_means(corruption_metrics: pd.DataFrame) -> None:
    """Oracle: groupby on the raw rows."""
    raw = _frame(_corruptions())
    rows = corruption_metrics[(corruption_metrics["metric"] == "accuracy") & (corruption_metrics["kind"] != "summary")]
    raw["severity"] = raw["severity"].fillna(0)
    expected = raw.groupby(["name", "severity", "timestep"], observed=True)["correct"].mean()
    assert len(rows) == len(expected) == 76 * TIMESTEPS
    for _, row in rows.iterrows():
        severity = row["severity"] if row["name"] != "clean" else 0
        assert row["value"] == pytest.approx(expected[row["name"], severity, row["timestep"]])
        assert row["n"] == IMAGES


def test_corruption_errors_are_those_of_the_definition(corruption_metrics: pd.DataFrame) -> None:
    """Oracle: CE and mCE from the raw rows by pandas, the baseline's mean being 0.4 and its clean error 0.1."""
    raw = _frame(_corruptions())
    errors = 1 - raw.groupby(["kind", "name", "timestep"], observed=True)["correct"].mean()
    for t in range(TIMESTEPS):
        rows = corruption_metrics[corruption_metrics["timestep"] == t]
        of_t = dict(zip(zip(rows["metric"], rows["name"], strict=True), rows["value"], strict=True))
        of_all = corruption_metrics[(corruption_metrics["timestep"] == t) & (corruption_metrics["kind"] == "summary")]
        means = of_all[of_all["severity"].isna()].set_index("metric")["value"]
        corrupted = errors["corruption"].xs(t, level="timestep")
        clean = errors["clean", "clean", t]
        assert of_t["corruption_error", "fog"] == pytest.approx(corrupted["fog"] / 0.4)
        assert of_t["relative_corruption_error", "fog"] == pytest.approx((corrupted["fog"] - clean) / 0.3)
        assert means["mean_corruption_error"] == pytest.approx(corrupted.mean() / 0.4)
        assert means["relative_mean_corruption_error"] == pytest.approx((corrupted.mean() - clean) / 0.3)
        assert means["mean_unnormalised_error"] == pytest.approx(corrupted.mean())
        relative = corrupted / errors["corruption"].xs(0, level="timestep")
        assert means["mean_error_relative_to_t0"] == pytest.approx(relative.mean())


def test_changes_are_differences_with_narrower_intervals_than_unpaired_ones(corruption_metrics: pd.DataFrame) -> None:
    """Oracle: the difference of the two rows; pairing must not widen the sum of both half-widths."""
    pairs = {"mean_corruption_error": corruption_metrics, "robust_accuracy": _metrics(_attacks(plain=False))}
    keys = ["name", "epsilon"]
    for metric, table in pairs.items():
        rows = table[table["metric"] == metric]
        start = rows[rows["timestep"] == 0].set_index(keys)
        for _, change in table[table["metric"] == f"{metric}_minus_t0"].iterrows():
            key = (change["name"], change["epsilon"])
            before = start.loc[[key]].iloc[0]
            now = rows[(rows["timestep"] == change["timestep"])].set_index(keys).loc[[key]].iloc[0]
            assert change["value"] == pytest.approx(now["value"] - before["value"], abs=1e-12)
            unpaired = (now["ci_high"] - now["ci_low"]) + (before["ci_high"] - before["ci_low"])
            assert change["ci_high"] - change["ci_low"] < unpaired


def test_another_set_of_corruptions_has_no_mce() -> None:
    names = set(_metrics(_corruptions(THE_FIFTEEN[:4]))["metric"])
    assert "mean_corruption_error" not in names
    assert "mean_normalised_error" in names


def test_fewer_severities_than_the_suite_has_have_no_corruption_error() -> None:
    stated = {"c": StatedCorruptions(dict.fromkeys(THE_FIFTEEN, 5))}
    names = set(_metrics(_corruptions(severities=range(1, 4)), corruptions=stated)["metric"])
    assert names == {"accuracy", "error", "accuracy_minus_t0", "expected_calibration_error", "mean_confidence"}


def test_three_severities_have_a_corruption_error_only_where_the_baseline_has_three() -> None:
    # Oracle: the mean of the errors of the three severities, by hand.
    class Three(Baseline):
        errors = dict.fromkeys(THE_FIFTEEN, (0.2, 0.3, 0.4))

    tables = _corruptions(severities=range(1, 4))
    of_five, of_three = (
        summarise(_frame(tables), model="m", baselines={"c": baseline}) for baseline in (Baseline(), Three())
    )
    assert "corruption_error" not in set(of_five["metric"])
    fog = of_three[(of_three["name"] == "fog") & (of_three["timestep"] == 0)].set_index("metric")
    error = fog.loc[["error"], "value"].mean()
    assert fog.loc["corruption_error", "value"] == pytest.approx(error / 0.3)
    assert fog.loc["unnormalised_error", "value"] == pytest.approx(error)


def test_without_a_baseline_nothing_is_normalised() -> None:
    names = set(summarise(_frame(_corruptions()), model="m", baselines={})["metric"])
    assert "corruption_error" not in names
    assert "mean_unnormalised_error" in names


def test_a_subset_says_so_next_to_every_corruption_error() -> None:
    metrics = _metrics(_corruptions(), subsets={"c"})
    normalised = metrics[metrics["metric"].isin(["corruption_error", "mean_corruption_error"])]
    assert set(normalised["baseline"]) == {"alexnet (subset, not comparable)"}


def test_a_zero_denominator_gives_no_row_rather_than_a_wrong_one() -> None:
    class Perfect(Baseline):
        errors = dict.fromkeys(THE_FIFTEEN, (0.0, 0.0, 0.0, 0.0, 0.0))

    metrics = summarise(_frame(_corruptions()), model="m", baselines={"c": Perfect()})
    assert not metrics["metric"].str.contains("corruption_error").any()


def test_attacks_by_hand() -> None:
    """Oracle: pandas on the raw rows; success at exactly ε only where every image was attacked at every ε."""
    tables = _attacks(plain=True)
    raw, metrics = _frame(tables), _metrics(tables)
    attack = raw[raw["kind"] == "attack"]
    by = attack.groupby(["timestep", "epsilon"])
    expected = {
        "robust_accuracy": by["correct"].mean(),
        "attack_success_rate_within": by["success_within"].apply(lambda column: column.dropna().mean()),
        "attack_success_rate": by["success"].apply(lambda column: column.dropna().mean()),
    }
    for metric, values in expected.items():
        rows = metrics[metrics["metric"] == metric]
        assert len(rows) == len(values)
        for _, row in rows.iterrows():
            assert row["value"] == pytest.approx(values[row["timestep"], row["epsilon"]])


def test_a_targeted_attack_is_counted_over_images_not_yet_at_their_target_and_leaves_robust_accuracy_empty() -> None:
    # Oracle: counts by hand. Of five images one is at its target from the start; two of the others reach it.
    ids = np.array([f"image-{index}" for index in range(5)])
    common = {"image_id": ids, "label": np.zeros(5, int), "timestep": np.zeros(5, int), "confidence": np.ones(5)}
    clean = {**common, "prediction": np.array([0, 0, 0, 3, 5]), "correct": np.array([True, True, True, False, False])}
    within = np.ma.array([True, False, False, True, False], mask=[False, False, False, False, True])
    attacked = {**clean, "attacked": ~within.mask, "success": within, "success_within": within}
    nothing = {**clean, "success_within": np.ma.array(np.zeros(5, bool), mask=within.mask)}
    condition = Condition("a", "attack", "bim", norm="linf", epsilon=0.0, targeted=True, attacked_timestep=0)
    tables = [
        outcome_table(Condition("a", "clean", "clean"), clean),
        outcome_table(condition, nothing),
        outcome_table(dataclasses.replace(condition, epsilon=0.1), attacked),
    ]
    metrics = _metrics(tables)
    of_attack = metrics[metrics["kind"] == "attack"]
    assert set(of_attack["metric"]) <= {"attack_success_rate_within", "attack_success_rate"}
    rows = of_attack[of_attack["metric"] == "attack_success_rate_within"].sort_values("epsilon")
    assert rows["value"].tolist() == [0.0, 0.5]
    assert rows["n"].tolist() == [4, 4]


def test_an_early_stopping_sweep_has_no_rate_at_exactly_epsilon() -> None:
    metrics = _metrics(_attacks(plain=False))
    assert "attack_success_rate" not in set(metrics["metric"])
    within = metrics[metrics["metric"] == "attack_success_rate_within"]
    for _, part in within.groupby("timestep"):
        assert part.sort_values("epsilon")["value"].is_monotonic_increasing


def test_common_success_has_one_denominator() -> None:
    common = _metrics(_attacks(plain=False)).query("metric == 'attack_success_rate_common'")
    assert common["n"].nunique() == 1
    assert len(common) == TIMESTEPS * len(EPSILONS)


def test_a_folder_of_files_gives_the_same_table_in_any_order(tmp_path: Path) -> None:
    tables = _corruptions() + _attacks(plain=True)
    for number, table in enumerate(tables):
        shuffled = table.take(np.random.default_rng(number).permutation(table.num_rows))
        write_outcomes(shuffled, tmp_path / str(shuffled["suite"][0]) / f"{number:03}.parquet")
    folder = summarise_folder(tmp_path, model="m", baselines={"c": Baseline()})
    whole = _metrics(tables)
    order = ["suite", *KEYS]
    left, right = (table.sort_values(order).reset_index(drop=True) for table in (folder, whole))
    values = ["value", "n"]
    pd.testing.assert_frame_equal(left[order + values], right[order + values])


def test_the_table_is_the_same_after_a_csv(corruption_metrics: pd.DataFrame, tmp_path: Path) -> None:
    corruption_metrics.to_csv(tmp_path / "metrics.csv", index=False)
    pd.testing.assert_frame_equal(read_metrics(tmp_path / "metrics.csv"), corruption_metrics)


def test_a_table_with_a_timestep_that_does_not_fit_or_a_row_twice_is_refused(
    corruption_metrics: pd.DataFrame, tmp_path: Path
) -> None:
    for timestep, says in ((70_000, "wrong type"), (1.5, "wrong type"), (-1, "below 0")):
        odd = corruption_metrics.assign(timestep=timestep).drop_duplicates(list(corruption_metrics)[:13])
        odd.to_csv(tmp_path / "metrics.csv", index=False)
        with pytest.raises(DataError, match=says):
            read_metrics(tmp_path / "metrics.csv")
    pd.concat([corruption_metrics, corruption_metrics[:1]]).to_csv(tmp_path / "metrics.csv", index=False)
    with pytest.raises(DataError, match="stands there twice"):
        read_metrics(tmp_path / "metrics.csv")


def test_metrics_of_another_version_are_refused_with_the_remedy(
    corruption_metrics: pd.DataFrame, tmp_path: Path
) -> None:
    write_metrics(corruption_metrics, tmp_path)
    pd.testing.assert_frame_equal(read_metrics(tmp_path / "metrics.parquet"), corruption_metrics)
    table = pq.read_table(tmp_path / "metrics.parquet")
    old = table.replace_schema_metadata({**table.schema.metadata, b"pcbench_metrics_version": b"0"})
    pq.write_table(old, tmp_path / "metrics.parquet")
    with pytest.raises(DataError, match="metrics of version 0, this pcbench reads version 2; run it again"):
        read_metrics(tmp_path / "metrics.parquet")


def test_a_missing_image_is_named() -> None:
    frame = _frame(_corruptions())
    lost = frame[(frame["name"] == "fog") & (frame["severity"] == 3) & (frame["image_id"] == "image-7")].index
    with pytest.raises(DataError, match=r"'fog' at t = 0 .*'image-7' is missing"):
        summarise(frame.drop(lost), model="m", baselines={})


def test_an_image_that_is_there_twice_is_named() -> None:
    frame = _frame(_corruptions())
    with pytest.raises(DataError, match="twice"):
        summarise(pd.concat([frame, frame.tail(1)]), model="m", baselines={})


def test_no_outcomes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no outcomes"):
        summarise_folder(tmp_path, model="m", baselines={})
