"""Some severities, and some timesteps attacked by themselves.

Oracles: the run with all of them, whose rows these have to be; the run's own saved images, scored by `adversarials`
afterwards; pandas' groupby of the outcomes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import pcbench
from pcbench.cli.run_table import attack_columns, print_summary
from pcbench.comparison.answer import answers
from pcbench.comparison.compare import compare_runs
from pcbench.errors import UsageError
from pcbench.harness.merge import merge
from pcbench.harness.plan import make_plan
from pcbench.harness.request import request_from
from pcbench.harness.saved_plan import open_plan, write_plan
from pcbench.harness.start import run
from pcbench.results.directory import Run

KEYS = ["image_id", "kind", "name", "severity", "epsilon", "attacked_timestep", "timestep"]
CHOICES: dict[str, Any] = {"severities": [2], "attacked_timesteps": [0, 2]}
QUIET: dict[str, Any] = {"progress": False, "workers": 1, "report": False}
COMMON: dict[str, Any] = {"model": "pdigits", "images": 24, "timesteps": 3, "batch_size": 12, "block_size": 12, **QUIET}
OWN = ["prediction", "correct", "success", "success_within", "attacked", "perturbation_linf"]


def asked(suites: tuple[Path, ...], out: Path, **options: Any) -> Run:
    return run(suites=list(map(str, suites)), out=out, **{**COMMON, **options})


@pytest.fixture(scope="module")
def chosen(shared_suites: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Severity 2 of 2 alone; t = 0 and t = 2 of 0..3 attacked."""
    return asked(shared_suites, tmp_path_factory.mktemp("chosen") / "run", save_adversarials=True, **CHOICES)


@pytest.fixture(scope="module")
def all_of_them(shared_suites: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Run:
    return asked(shared_suites, tmp_path_factory.mktemp("all") / "run")


def table(made: Run) -> pd.DataFrame:
    rows = made.outcomes()
    return rows.assign(**{name: rows[name].astype(str) for name in ("suite", "image_id", "kind", "name")})


def test_what_is_measured_is_as_in_the_run_with_all_of_it(chosen: Run, all_of_them: Run) -> None:
    few, every = table(chosen), table(all_of_them)
    assert set(few[few["kind"] == "corruption"]["severity"]) == {2}
    own = few[few["attacked_timestep"].isna() | (few["attacked_timestep"] == few["timestep"])]
    assert set(own[own["kind"] == "attack"]["timestep"]) == {0, 2}
    both = own.merge(every, on=["suite", *KEYS], how="left", suffixes=("", "_all"), indicator=True)
    assert (both["_merge"] == "both").all()
    assert len(both) == len(own)
    for column in OWN:
        left, right = both[column], both[f"{column}_all"]
        assert ((left == right) | (left.isna() & right.isna())).fillna(value=False).all(), column


def test_attacked_images_are_scored_at_every_timestep(chosen: Run, tmp_path: Path) -> None:
    rows = table(chosen)
    attacked = rows[(rows["kind"] == "attack") & (rows["name"] == "pgd")]
    assert set(zip(attacked["attacked_timestep"], attacked["timestep"], strict=True)) == {
        (made, scored) for made in (0, 2) for scored in range(4)
    }
    later = table(
        run("pdigits", adversarials=chosen.folder, out=tmp_path / "later", timesteps=3, batch_size=12, progress=False)
    )
    crossed = attacked[attacked["attacked_timestep"] != attacked["timestep"]]
    both = crossed.merge(later, on=KEYS, suffixes=("", "_later"))
    assert len(both) == len(crossed) > 0
    for column in ("prediction", "correct", "success_within", "perturbation_linf"):
        left, right = both[column], both[f"{column}_later"]
        assert ((left == right) | (left.isna() & right.isna())).fillna(value=False).all(), column
    # Where the sweep did not attack an image, nothing was attacked elsewhere either.
    own = attacked[attacked["attacked_timestep"] == attacked["timestep"]]
    ran = set(own[own["attacked"]][["image_id", "epsilon", "attacked_timestep"]].itertuples(index=False, name=None))
    there = crossed[crossed["attacked"]][["image_id", "epsilon", "attacked_timestep"]]
    assert set(there.itertuples(index=False, name=None)) <= ran


def test_an_image_stands_where_no_image_made_against_any_timestep_breaks_it(chosen: Run) -> None:
    rows = table(chosen)
    rows = rows[(rows["kind"] == "attack") & (rows["name"] == "pgd")]
    metrics = chosen.metrics
    metrics = metrics[(metrics["name"] == "pgd") & (metrics["metric"] == "robust_accuracy_any")]
    assert len(metrics) == 4 * 4
    for found in metrics.itertuples():
        within = rows[(rows["timestep"] == found.timestep) & (rows["epsilon"] <= found.epsilon)]
        assert found.value == pytest.approx(within.groupby("image_id")["correct"].all().mean())
        assert pd.isna(found.attacked_timestep)


def test_fewer_severities_have_a_mean_that_says_which_and_no_corruption_error(chosen: Run, all_of_them: Run) -> None:
    metrics = chosen.metrics
    assert "mean_unnormalised_error" in set(all_of_them.metrics["metric"])
    assert not metrics["metric"].str.contains("unnormalised|corruption_error|relative").any()
    rows = table(chosen)
    pooled = metrics[(metrics["kind"] == "summary") & (metrics["metric"] == "accuracy") & metrics["severity"].isna()]
    means = rows[rows["kind"] == "corruption"].groupby("timestep")["correct"].mean()
    assert pooled.set_index("timestep")["value"].to_dict() == pytest.approx(means.to_dict())
    assert set(pooled["marks"].str.split("; ").str[-1]) == {"severity 2"}
    assert not all_of_them.metrics["marks"].str.contains("severit").fillna(value=False).any()
    with pytest.raises(UsageError, match=r"settings\.severities"):
        compare_runs(chosen, all_of_them, ("a", "b"))


def test_the_answer_says_what_it_is_about(chosen: Run, capsys: pytest.CaptureFixture[str]) -> None:
    corruption, attack = answers(chosen)
    assert "severity 2" in corruption.text
    assert "at t = 2, the last timestep that was attacked (t = 3 was not)" in attack.text
    print_summary(chosen)
    assert "severity 2 alone" in capsys.readouterr().out
    columns = attack_columns(chosen.metrics[chosen.metrics["suite"] == "small"])
    everywhere = next(series for name, series in columns.items() if name.endswith("all made against t = 0, 2"))
    assert sorted(everywhere.index) == [0, 1, 2, 3]


def test_only_the_first_timestep_attacked_answers_nothing(shared_suites: tuple[Path, Path], tmp_path: Path) -> None:
    for number, attacked in enumerate(([0], [1, 2])):
        made = asked(shared_suites[1:], tmp_path / str(number), attacked_timesteps=attacked)
        *_, attack = answers(made)
        assert attack.decision == "undecided"
        assert f"only t = {', '.join(map(str, attacked))} was attacked" in attack.text
        metrics = made.metrics
        # A change since t = 0 is one since an attack on t = 0.
        assert ("robust_accuracy_minus_t0" in set(metrics["metric"])) is False
        assert "robust_accuracy_any_minus_t0" in set(metrics["metric"])


def test_shards_and_a_saved_plan_make_the_same_bytes(shared_suites: tuple[Path, Path], tmp_path: Path) -> None:
    options: dict[str, Any] = {**COMMON, "suites": tuple(map(str, shared_suites)), **CHOICES}
    plan = make_plan(request_from(options))
    saved = write_plan(plan, tmp_path / "plan")
    assert open_plan(saved).spec.settings.severities == (2,)
    whole = pcbench.run(**options, out=tmp_path / "whole")
    for number in (1, 2):
        pcbench.run(spec=saved, shard=f"{number}/2", out=tmp_path / "shards", **QUIET)
    joined = merge(tmp_path / "shards", out=tmp_path / "joined")
    assert joined.key == whole.key == plan.spec.key()
    assert (joined.folder / "metrics.csv").read_bytes() == (whole.folder / "metrics.csv").read_bytes()
    with pytest.raises(UsageError, match="`severities` contradicts the plan"):
        request_from({"spec": saved, "severities": [1]})


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"severities": [3]}, "no suite of this run has severity 3; theirs are from 1 to 2"),
        ({"severities": []}, "names at least one number"),
        ({"severities": [1, 1]}, "each once"),
        ({"severities": "1,two"}, "is a list of whole numbers"),
        ({"attacked_timesteps": [4]}, "there is no t = 4, the last one is T = 3; name timesteps from 0 to 3"),
        ({"attacked_timesteps": [-1]}, "there is no t = -1"),
        ({"suites": ("digits-linf",), "severities": [1]}, "`severities` is about corruptions"),
        ({"suites": ("digits-c",), "attacked_timesteps": [1]}, "`attacked_timesteps` is about attacks"),
    ],
)
def test_what_is_not_there_is_refused(options: dict[str, Any], said: str, shared_suites: tuple[Path, Path]) -> None:
    with pytest.raises(UsageError, match=said):
        make_plan(request_from({**COMMON, "suites": tuple(map(str, shared_suites)), **options}))


def test_the_order_of_numbers_changes_nothing() -> None:
    one, other = (
        request_from({"severities": given, "attacked_timesteps": np.array([3, 0])}) for given in ("1,3", (3, 1))
    )
    assert one["severities"] == other["severities"] == (1, 3)
    assert one["attacked_timesteps"] == (0, 3)
