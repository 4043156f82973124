"""Oracles: values by pandas from the outcomes; `metrics.csv`'s own mCE, made by another way; made runs whose true
difference is known."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from made_runs import made_data, made_run, made_settings, made_spec, made_suite, made_table

from pcbench.catalog import suite_folder
from pcbench.comparison.compare import ComparedRow, compare_runs, compare_timesteps
from pcbench.comparison.compare_output import as_frame, compare_markdown
from pcbench.comparison.sentences import sentence, sentences
from pcbench.corruptions.definitions import CorruptionSuite, load_corruption_suite
from pcbench.errors import UsageError
from pcbench.results.conditions import Condition
from pcbench.results.directory import Run
from pcbench.results.environment import folder_hash
from pcbench.results.run_spec import SuiteSpec
from pcbench.results.schema import outcome_table

NAMES = ("first", "second")


def fog_is_harder(condition: Condition, _timestep: int, chance: np.ndarray) -> np.ndarray:
    return chance * (0.5 if condition.name == "fog" else 1)


def later_timesteps_are_better(condition: Condition, timestep: int, chance: np.ndarray) -> np.ndarray:
    return chance ** (1 / (1 + 2 * timestep)) if condition.kind != "clean" else chance


def by_name(rows: list[ComparedRow]) -> dict[tuple[str, str, int], ComparedRow]:
    return {(row.suite, row.figure.name, row.second.timestep): row for row in rows}


def test_values_and_differences_are_those_of_the_outcomes(make_run: Callable[..., Run]) -> None:
    one, two = make_run("one"), make_run("two", seed=1, change=fog_is_harder)
    rows = by_name(compare_runs(one, two, NAMES))
    assert len(rows) == 3 * 4
    tables = [run.outcomes() for run in (one, two)]
    for timestep in range(3):
        row = rows["made-c", "accuracy under mean of 2 corruptions", timestep]
        values = [table[(table.kind == "corruption") & (table.timestep == timestep)].correct.mean() for table in tables]
        assert (row.first_value, row.second_value) == pytest.approx(values)
        assert row.difference == pytest.approx(values[1] - values[0])
        assert row.low < row.difference < row.high
        assert (row.first.name, row.second.name) == (f"first at t = {timestep}", f"second at t = {timestep}")
        assert (row.wins, row.corruptions, row.images, row.test) == (row.wins, 2, 240, "bootstrap")
        assert rows["made-linf", "clean accuracy", timestep].test == "McNemar"


def test_a_real_difference_is_found_where_it_is_and_nowhere_else(make_run: Callable[..., Run]) -> None:
    rows = compare_runs(make_run("one"), make_run("two", seed=1, change=fog_is_harder), NAMES)
    for row in rows:
        assert (row.p_holm < 0.01) == (row.figure.name == "accuracy under mean of 2 corruptions")
        assert row.p <= row.p_holm
    row = by_name(rows)["made-c", "accuracy under mean of 2 corruptions", 2]
    assert sentence(row).startswith("made-c: second at t = 2 is less accurate than first at t = 2 on corrupted images")
    clean = by_name(rows)["made-c", "clean accuracy", 0]
    assert "second at t = 0 is the same as first at t = 0 on clean images: accuracy" in sentence(clean)
    assert sentence(clean).endswith("no image of 240 differs.")
    assert clean.p == 1.0


def test_timesteps_of_a_run(make_run: Callable[..., Run]) -> None:
    rows = compare_timesteps(make_run("one", change=later_timesteps_are_better))
    assert {(row.first.name, row.second.name) for row in rows} == {("t = 0", "t = 1"), ("t = 0", "t = 2")}
    row = by_name(rows)["made-c", "accuracy under mean of 2 corruptions", 2]
    text = sentence(row)
    assert text.startswith("made-c: t = 2 is more accurate than t = 0 on corrupted images: mean accuracy over 2 corrup")
    assert f"{100 * row.first_value:.1f} % → {100 * row.second_value:.1f} %, +{100 * row.difference:.1f} points" in text
    assert text.endswith("(Holm, 2 comparisons), 240 images, better on 2 of 2 corruptions.")
    attacked = by_name(rows)["made-linf", "robust accuracy under pgd linf exact", 2]
    start = "made-linf: t = 2 is more robust than t = 0 under PGD, L∞ (not checked): robust accuracy"
    assert sentence(attacked).startswith(start)


def test_an_attack_s_sentence_says_at_which_budgets(make_run: Callable[..., Run]) -> None:
    # Oracle: pandas: the budget nearest to half of the images broken, of those right when clean, over all timesteps.
    run = make_run("one", change=later_timesteps_are_better)
    row = by_name(compare_timesteps(run))["made-linf", "robust accuracy under pgd linf exact", 2]
    table = run.outcomes()
    table = table[table.suite == "made-linf"]
    clean = table[table.kind == "clean"].set_index(["timestep", "image_id"]).correct
    attacks = table[table.epsilon > 0].pivot_table(
        index=["timestep", "image_id"], columns="epsilon", values="correct", aggfunc="min"
    )
    within = attacks.cummin(axis=1).astype(bool)
    broken = (~within[clean.reindex(within.index)]).groupby("timestep").mean().mean()
    shown = float(broken.index[-1] if (broken < 0.5).all() else (broken - 0.5).abs().idxmin())
    first, second = (100 * within.loc[timestep][shown].mean() for timestep in (0, 2))
    assert row.epsilon == shown
    assert "robust accuracy, mean over ε = 25.5/255 to 51/255 (2 values), " in sentence(row)
    why = "alone, which breaks nearest to half of the images,"
    end = f"120 images; within ε = {255 * shown:g}/255 {why} {first:.1f} % → {second:.1f} %."
    assert sentence(row).endswith(end)
    # Budgets that nothing withstands say nothing of either side, and pull the mean towards 0.
    none_left = sum(not within.loc[[0, 2]][budget].any() for budget in within.columns)
    assert row.broken_budgets == none_left
    for_all = dataclasses.replace(row, broken_budgets=1)
    assert "ε = 25.5/255 to 51/255 (2 values; both have 0 % at 1 of them), " in sentence(for_all)


def test_budgets_at_which_nothing_stands_are_counted(tmp_path: Path) -> None:
    right = [[np.arange(20) < count for count in counts] for counts in ((15, 0, 0), (15, 5, 0))]
    suite = made_suite("made-linf", 20, kind="attacks")
    tables = {
        "made-linf/clean.parquet": made_table(
            Condition("made-linf", "clean", "clean"), [0, 1], np.ones((2, 20), dtype=bool)
        )
    }
    for t in (0, 1):
        for k, standing in enumerate(right[t], 1):
            attack = Condition("made-linf", "attack", "pgd", None, "linf", k / 255, False, "exact", t)
            more = {"attacked": np.ones(20, dtype=bool), "success_within": ~standing, "success": ~standing}
            tables[f"made-linf/{t}-{k}.parquet"] = made_table(attack, [t], standing[None], **more)
    run = made_run(tmp_path / "run", made_spec([suite], made_data(20), made_settings(timesteps=1)), tables)
    (row,) = [row for row in compare_timesteps(run) if row.figure.kind == "attack"]
    assert row.broken_budgets == 1
    assert "ε = 1/255 to 3/255 (3 values; both have 0 % at 1 of them)" in sentence(row)


def test_the_smallest_p_value_of_a_test_with_draws_is_an_upper_end(make_run: Callable[..., Run]) -> None:
    # Oracle: 2,000 draws show no p value below 2 / 2001; Holm doubles it for two comparisons.
    rows = compare_timesteps(make_run("one", change=later_timesteps_are_better))
    row = by_name(rows)["made-c", "accuracy under mean of 2 corruptions", 2]
    assert (row.test, row.p) == ("bootstrap", pytest.approx(2 / 2001))
    assert row.p_holm == pytest.approx(4 / 2001)
    assert row.p_holm_text == "≤ 0.002"
    assert "adjusted p ≤ 0.002 (Holm, 2 comparisons)" in sentence(row)
    assert "| ≤ 0.002 |" in compare_markdown([row])
    above = dataclasses.replace(row, p=0.0012, p_holm=0.0024)
    assert (above.p_text, above.p_holm_text) == ("0.001", "0.002")
    # An upper end is never rounded down; an exact test has none.
    assert dataclasses.replace(row, p_holm=0.00240).p_holm_text == "≤ 0.003"
    exact = dataclasses.replace(row, test="McNemar", p=0.0039, p_holm=0.0078, smallest_p=0.0)
    assert exact.p_holm_text == "0.008"


def test_holm_is_over_the_timesteps_of_one_question(make_run: Callable[..., Run]) -> None:
    rows = [row for row in compare_timesteps(make_run("one")) if row.figure.name == "clean accuracy"]
    rows = [row for row in rows if row.suite == "made-c"]
    small, large = sorted(rows, key=lambda row: row.p)
    assert small.p_holm == pytest.approx(min(1, 2 * small.p))
    assert large.p_holm == pytest.approx(max(large.p, small.p_holm))


def test_a_run_equals_itself(make_run: Callable[..., Run]) -> None:
    for row in compare_runs(make_run("one"), make_run("two"), NAMES):
        assert (row.difference, row.p_holm, row.wins) == (0, 1, 0)
        assert row.low <= 0 <= row.high


def test_what_cannot_be_compared_is_refused_with_the_field(make_run: Callable[..., Run]) -> None:
    one = make_run("one")
    spec = one.spec
    data, suites = spec.data, spec.suites
    refused = {
        "data.preprocessing: {'resize': None, 'crop': 32, 'interpolation': 'bilinear'} -> {'crop': 28}": {
            "data": data.model_copy(update={"preprocessing": {"crop": 28}})
        },
        "data.fingerprint: cc -> dd": {"data": data.model_copy(update={"fingerprint": "dd"})},
        "suite made-c version: 1 -> 2": {"suites": (suites[0].model_copy(update={"version": "2"}), suites[1])},
        "suite made-linf images: 120 -> 60": {"suites": (suites[0], suites[1].model_copy(update={"images": 60}))},
        "do not have a common suite": {"suites": (suites[0].model_copy(update={"name": "other"}),)},
    }
    for index, (field, change) in enumerate(refused.items()):
        with pytest.raises(UsageError, match="cannot be compared") as error:
            compare_runs(one, make_run(f"refused-{index}", **change), NAMES)
        assert field in str(error.value)


def test_attacks_at_other_budgets_are_not_compared(make_run: Callable[..., Run], tmp_path: Path) -> None:
    # Oracle: the figure is a mean over budgets, so that over other budgets it is another number of the same network.
    one = make_run("one")
    files = {str(file.relative_to(one.folder / "outcomes")): pq.read_table(file) for file in one.outcome_files()}
    fewer = {
        name: table.filter(pc.fill_null(pc.less(table["epsilon"], 0.15), fill_value=True))
        for name, table in files.items()
    }
    other = made_run(tmp_path / "fewer", one.spec, fewer)
    with pytest.raises(UsageError, match=r"made-linf was attacked at ε = 25.5/255 to 51/255 and at ε = 25.5/255; run"):
        compare_runs(one, other, NAMES)
    row = by_name(compare_timesteps(other))["made-linf", "robust accuracy under pgd linf exact", 1]
    assert "robust accuracy within ε = 25.5/255, " in sentence(row)
    assert sentence(row).endswith("120 images.")


@pytest.fixture
def imagenet_run(make_run: Callable[..., Run], tmp_path: Path) -> tuple[Run, CorruptionSuite]:
    """A run of imagenet-c with its real baseline: 60 images, two timesteps, the second a little better."""
    kind, folder = suite_folder("imagenet-c")
    suite = load_corruption_suite(folder)
    base = make_run("base").spec
    entry = SuiteSpec(
        name="imagenet-c",
        kind=kind,
        version=str(suite.version),
        sha256=folder_hash(folder),
        images=50_000,
        subset=False,
    )
    data = base.data.model_copy(update={"name": "imagenet", "split": "val"})
    random = np.random.default_rng(0)
    tables = []
    for timestep in (0, 1):
        for condition in [Condition("imagenet-c", "clean", "clean")] + [
            Condition("imagenet-c", "corruption", corruption.name, severity)
            for corruption in suite.corruptions
            for severity in (1, 2, 3, 4, 5)
        ]:
            correct = random.random(60) < 0.8 + 0.1 * timestep - 0.1 * (condition.severity or 0)
            columns = {"image_id": np.array([f"{n:02d}" for n in range(60)]), "correct": correct}
            columns |= {name: np.zeros(60, dtype=int) for name in ("label", "prediction", "confidence")}
            tables.append(outcome_table(condition, columns | {"timestep": np.full(60, timestep)}))
    files = {"imagenet-c/all.parquet": pa.concat_tables(tables)}
    spec = base.model_copy(update={"suites": (entry,), "data": data})
    return made_run(tmp_path / "imagenet", spec, files, baselines={"imagenet-c": suite.baseline}), suite


def test_mce_is_that_of_the_metrics(imagenet_run: tuple[Run, CorruptionSuite]) -> None:
    run, suite = imagenet_run
    metrics = run.metrics
    expected = metrics[metrics.metric == "mean_corruption_error"].set_index("timestep").value
    rows = compare_timesteps(run)
    (row,) = [row for row in rows if row.figure.name.startswith("mCE")]
    assert row.figure.name == f"mCE ({suite.baseline.name})"
    assert (row.first_value, row.second_value) == pytest.approx((expected[0], expected[1]), rel=1e-6)
    assert row.difference < 0
    (led,) = [row for row in rows if row.figure.kind == "corruption"]
    text = sentence(led, rows)
    assert text.startswith("imagenet-c: t = 1 is more accurate than t = 0 on corrupted images: mean accuracy over 15")
    beside = f"mCE ({suite.baseline.name}) {100 * row.first_value:.1f} % → {100 * row.second_value:.1f} %, "
    assert f"60 images, better on {row.wins} of 15 corruptions; {beside}−{-100 * row.difference:.1f} points" in text
    # Where the plain mean finds what mCE does not, the sentence says why.
    why = "(it divides by the baseline's errors, so the corruptions on which these are few outweigh the others)"
    assert why not in text
    assert why in sentence(led, [led, dataclasses.replace(row, p_holm=0.6)])
    # The same losses, weighted otherwise, are told once.
    assert sentence(row, rows) == text
    assert text in sentences(rows)
    assert len(sentences(rows)) == len(rows) - 1


def test_tables_hold_every_comparison(make_run: Callable[..., Run]) -> None:
    rows = compare_timesteps(make_run("one"))
    frame = as_frame(rows)
    assert len(frame) == len(rows) == 8
    np.testing.assert_allclose(frame.difference, frame.second_value - frame.first_value, atol=1e-12)
    text = compare_markdown(rows)
    assert {line.count("|") for line in text.splitlines() if line.startswith("|")} == {10}
    assert text.count("\n- ") == len(rows)
