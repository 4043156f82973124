"""Oracles: accuracies computed by pandas from the outcomes; made runs whose true change is known."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from pcbench.comparison.gate import GateReport, check_run
from pcbench.comparison.guarded import guarded_rows, share
from pcbench.comparison.reference import Reference, freeze
from pcbench.comparison.scores import SuiteScores
from pcbench.errors import UsageError
from pcbench.metrics.cells import Cell
from pcbench.results.conditions import Condition
from pcbench.results.directory import Run


def fog_is_harder(condition: Condition, _timestep: int, chance: np.ndarray) -> np.ndarray:
    return chance * (0.4 if condition.name == "fog" else 1)


def last_timestep_is_weaker_under_attack(condition: Condition, timestep: int, chance: np.ndarray) -> np.ndarray:
    return chance * (0.2 if condition.kind == "attack" and condition.epsilon and timestep == 2 else 1)


@pytest.fixture
def reference(make_run: Callable[..., Run]) -> Reference:
    return freeze(make_run("reference"))


def failed(report: GateReport) -> set[tuple[str, str, int]]:
    return {(row.row.suite, row.row.what, row.row.timestep) for row in report.failed}


def test_the_same_run_passes_with_nothing_tolerated(make_run: Callable[..., Run], reference: Reference) -> None:
    report = check_run(make_run("again"), reference, tolerated=0)
    assert not report.failed
    assert report.changed == 0
    assert report.differences == ()
    assert all(row.drop == 0 and row.lower == 0 for row in report.rows)


def test_other_seeds_pass_and_are_told(make_run: Callable[..., Run], reference: Reference) -> None:
    for seed in range(1, 4):
        report = check_run(make_run(f"seed-{seed}", seed=seed), reference, tolerated=0.01)
        assert not report.failed
        assert report.changed > 0
        assert [str(difference) for difference in report.differences] == [f"settings.seed: 0 -> {seed}"]


def test_rows_hold_the_accuracies_of_the_outcomes(make_run: Callable[..., Run], reference: Reference) -> None:
    run = make_run("other", seed=1)
    report = check_run(run, reference, tolerated=0.01)
    outcomes = run.outcomes()
    values = {(row.row.suite, row.row.what, row.row.timestep): (row.value, row.images) for row in report.rows}
    for timestep in range(3):
        at = outcomes[outcomes.timestep == timestep]
        corrupted = at[at.kind == "corruption"]
        assert values["made-c", "mean of 2 corruptions", timestep] == (pytest.approx(corrupted.correct.mean()), 240)
        fog = corrupted[corrupted.name == "fog"].correct.mean()
        assert values["made-c", "fog", timestep] == (pytest.approx(fog), 240)
        clean = at[(at.kind == "clean") & (at.suite == "made-linf")].correct.mean()
        assert values["made-linf", "clean", timestep] == (pytest.approx(clean), 120)
        attacked = at[(at.kind == "attack") & (at.epsilon > 0)].pivot_table(
            index="image_id", columns="epsilon", values="correct", observed=True
        )
        within = np.mean([attacked[0.1], attacked[0.1].astype(bool) & attacked[0.2].astype(bool)])
        assert values["made-linf", "pgd linf exact", timestep] == (pytest.approx(within), 120)
    assert len(values) == 3 * (1 + 1 + 2 + 1 + 1)


def test_a_weaker_corruption_fails_where_it_is(make_run: Callable[..., Run], reference: Reference) -> None:
    report = check_run(make_run("weaker", change=fog_is_harder), reference, tolerated=0.02)
    expected = {("made-c", what, timestep) for what in ("fog", "mean of 2 corruptions") for timestep in range(3)}
    assert failed(report) == expected
    row = next(row for row in report.rows if row.failed)
    assert row.lower > 0.02
    assert row.drop == pytest.approx(row.reference - row.value)
    assert row.detectable > 0.02


def test_a_single_timestep_is_found(make_run: Callable[..., Run], reference: Reference) -> None:
    report = check_run(make_run("weaker", change=last_timestep_is_weaker_under_attack), reference, tolerated=0.02)
    assert failed(report) == {("made-linf", "pgd linf exact", 2)}


def test_gains_fail_only_when_asked_for(make_run: Callable[..., Run], reference: Reference) -> None:
    run = make_run("better", change=lambda condition, _, chance: chance ** (0.1 if condition.name == "fog" else 1))
    assert not check_run(run, reference, tolerated=0.02).failed
    assert check_run(run, reference, tolerated=0.02, side="change").failed


def test_pooled_rows_alone(make_run: Callable[..., Run], reference: Reference) -> None:
    report = check_run(make_run("again"), reference, tolerated=0, guard="pooled")
    assert {row.row.what for row in report.rows} == {"clean", "mean of 2 corruptions", "pgd linf exact"}


def test_code_and_seed_may_differ_but_images_suites_and_preprocessing_may_not(
    make_run: Callable[..., Run], reference: Reference
) -> None:
    spec = reference.spec
    told = make_run("told", versions={"pcbench": "0.2"})
    assert [str(d) for d in check_run(told, reference, tolerated=0).differences] == ["versions.pcbench: 0.1 -> 0.2"]
    data, suites = spec.data, spec.suites
    refused = {
        "data.preprocessing": {"data": data.model_copy(update={"preprocessing": {"resize": 256}})},
        "data.fingerprint": {"data": data.model_copy(update={"fingerprint": "dd"})},
        "data.corrupted": {"data": data.model_copy(update={"corrupted": "ee"})},
        "suite made-c version: 1 -> 2": {"suites": (suites[0].model_copy(update={"version": "2"}), suites[1])},
        "suite made-c sha256": {"suites": (suites[0].model_copy(update={"sha256": "ff"}), suites[1])},
        "suite made-linf: run -> not run": {"suites": suites[:1]},
        "settings.jpeg_quality: nothing -> 85": {"settings": spec.settings.model_copy(update={"jpeg_quality": 85})},
    }
    for index, (field, change) in enumerate(refused.items()):
        with pytest.raises(UsageError, match=f"cannot be compared: .*{field}"):
            check_run(make_run(f"refused-{index}", **change), reference, tolerated=0.01)


def test_missing_conditions_and_other_images_are_refused(make_run: Callable[..., Run], reference: Reference) -> None:
    run = make_run("short")
    last = max((run.folder / "outcomes" / "made-c").glob("*.parquet"))
    last.unlink()
    with pytest.raises(UsageError, match="11 conditions of the reference were not run, such as clean, t = 2"):
        check_run(run, reference, tolerated=0.01)


def test_changed_answers_at_the_same_seed(make_run: Callable[..., Run], reference: Reference) -> None:
    """A few answers differ at one timestep: too few for an accuracy to tell, but they can be counted."""
    weaker = make_run("weaker", change=lambda cond, t, chance: chance * (0.97 if (cond.name, t) == ("fog", 1) else 1))
    share = check_run(weaker, reference, tolerated=0.05).changed / (3 * (11 * 240 + 4 * 120))
    assert 0 < share < 0.01
    assert check_run(weaker, reference, tolerated=0.05, tolerated_changes=share).passed
    report = check_run(weaker, reference, tolerated=0.05, tolerated_changes=share * 0.9)
    assert not report.failed
    assert report.changed_too_much
    assert not report.passed
    with pytest.raises(UsageError, match=r"the reference has seed 0 and the run 1; run with seed=0"):
        check_run(make_run("other", seed=1), reference, tolerated=0, tolerated_changes=0.01)
    with pytest.raises(UsageError, match="share of changed answers"):
        check_run(make_run("same"), reference, tolerated=0, tolerated_changes=1.5)


def test_numbers_out_of_range_are_refused(make_run: Callable[..., Run], reference: Reference) -> None:
    run = make_run("run")
    for tolerated in (-0.1, 1.0, float("nan")):
        with pytest.raises(UsageError, match="tolerated drop is a share"):
            check_run(run, reference, tolerated=tolerated)
    with pytest.raises(UsageError, match="alpha must be"):
        check_run(run, reference, tolerated=0, alpha=0)


def test_a_mean_over_unequal_numbers_of_severities_says_of_how_many() -> None:
    # Oracle: the mean of all cells, by hand; the mean of the noises' means would be another number.
    cells = [Cell(Condition("s", "noise", name, severity=level), 0) for name, level in (("a", 1), ("b", 1), ("b", 2))]
    correct = np.array([[True, True], [False, False], [False, True]])
    scores = SuiteScores("s", 2, "", tuple(cells), correct)
    ((row, indices),) = guarded_rows(scores, "pooled")
    assert row.what == "mean of 2 noises, 3 severities in all"
    assert share(scores, correct, indices).mean() == 0.5
    equal = SuiteScores("s", 2, "", tuple(cells[:2]), correct[:2])
    assert [row.what for row, _ in guarded_rows(equal, "pooled")] == ["mean of 2 noises"]
