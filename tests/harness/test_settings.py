"""Oracle: the run of one value of a hyperparameter alone, and the run of a configuration that states it: the same value
in a run of several has the same tables, to the byte, whoever computes it."""

from __future__ import annotations

import dataclasses
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import forking
import numpy as np
import pandas as pd
import pytest
import torch
from small_network import backbone
from small_network import configuration as configuration_of_small

import pcbench
from pcbench.catalog import catalog_folder
from pcbench.cli.run_table import print_summary
from pcbench.comparison.compare import compare_runs, compare_timesteps
from pcbench.comparison.gate import check_run
from pcbench.comparison.reference import freeze
from pcbench.corruptions.api import corrupt
from pcbench.errors import RunError, UsageError
from pcbench.harness.configuration import configuration
from pcbench.harness.engines import local
from pcbench.harness.forecast import plan
from pcbench.harness.merge import merge
from pcbench.harness.plan import make_plan
from pcbench.harness.request import request_from
from pcbench.harness.saved_plan import plan_for
from pcbench.harness.start import run
from pcbench.models.loading import load
from pcbench.network.grid import Grid
from pcbench.percent import percent
from pcbench.reports.export import export_run
from pcbench.reports.page.page import write_page
from pcbench.reports.settings_charts import BySetting, settings_verdict
from pcbench.results.baselines import baseline_of
from pcbench.results.directory import Run
from pcbench.results.parts import Part
from pcbench.results.workspace import Workspace

VALUES = {"feedback": (0.0, 0.25), "error_weight": 0.05}
OPTIONS: dict[str, Any] = {
    "model": "pdigits",
    "data": "digits",
    "images": 6,
    "timesteps": 1,
    "batch_size": 3,
    "block_size": 3,
    "threads": 1,
    "workers": 1,
    "progress": False,
    "checks": False,
}


@pytest.fixture(scope="module", autouse=True)
def without_report(forks: forking.Forks) -> Iterator[None]:
    """Leave out pages and figures: they are made from a finished run. Workers are forks."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local, "subprocess", forks.subprocess)
        patch.setattr("pcbench.harness.run._write_report", lambda *_: None)
        patch.setattr("pcbench.harness.work.pictures._pictures", lambda *_: iter(()))
        yield


@pytest.fixture(scope="module")
def options(shared_suites: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """One corruption and one attack at two budgets."""
    folders = [
        shutil.copytree(suite, tmp_path_factory.mktemp("one") / suite.parent.name / suite.name)
        for suite in shared_suites
    ]
    (folders[0] / "contrast.toml").unlink()
    (folders[1] / "pgd.toml").unlink()
    return {**OPTIONS, "suites": tuple(map(str, folders))}


@pytest.fixture(scope="module")
def several(options: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run with two values of one hyperparameter, and another that has one value."""
    return run(**options, hyperparameters=VALUES, out=tmp_path_factory.mktemp("several") / "run")


def tables(made: Run) -> dict[str, str]:
    return {name: digest for name, digest in made.manifest["files"].items() if name.endswith((".parquet", ".csv"))}


def test_a_value_has_the_tables_of_its_own_run(several: Run, options: dict[str, Any], tmp_path: Path) -> None:
    alone = run(**options, hyperparameters=["erm=0.05", "fbm=0.25"], out=tmp_path / "alone")
    found = several.setting_runs[1]
    assert found.folder == several.folder / "feedback=0.25"
    assert found.key == alone.key
    assert found.spec == alone.spec
    assert tables(found) == tables(alone)
    assert str(alone.spec.model["name"]) == "pdigits+feedback=0.25+error_weight=0.05"


def test_one_table_has_a_column_for_the_values(several: Run) -> None:
    parts = [one.metrics.drop(columns="model") for one in several.setting_runs]
    metrics = several.metrics
    assert list(metrics.columns[:2]) == ["model", "feedback"]
    assert set(metrics["model"]) == {"pdigits+error_weight=0.05"}
    assert metrics["feedback"].tolist() == [0.0] * len(parts[0]) + [0.25] * len(parts[1])
    pd.testing.assert_frame_equal(
        metrics.drop(columns=["model", "feedback"]), pd.concat(parts, ignore_index=True), check_dtype=False
    )
    assert pd.read_csv(several.folder / "metrics.csv")["feedback"].tolist() == metrics["feedback"].tolist()
    outcomes = several.outcomes()
    assert len(outcomes) == sum(len(one.outcomes()) for one in several.setting_runs)
    assert outcomes.groupby("feedback").size().index.tolist() == [0.0, 0.25]


def test_workers_and_shards_make_the_bytes_of_one(several: Run, options: dict[str, Any], tmp_path: Path) -> None:
    for workers in (1, 2):
        asked = {**options, "hyperparameters": VALUES, "workers": workers}
        run(**asked, out=tmp_path / "shards", shard=f"{workers}/2")
    merged = merge(tmp_path / "shards", tmp_path / "merged")
    assert tables(merged) == tables(several)
    assert merged.manifest["machines"] == several.manifest["machines"]


def test_a_stopped_run_goes_on(
    several: Run, options: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = {**options, "hyperparameters": VALUES, "out": tmp_path / "run"}
    whole, done = Workspace.write_part, list[str]()

    def stopping(self: Workspace, unit: str, part: Part) -> None:
        if len(done) == 5:
            raise KeyboardInterrupt
        done.append(unit)
        whole(self, unit, part)

    with monkeypatch.context() as patch:
        patch.setattr(Workspace, "write_part", stopping)
        with pytest.raises(KeyboardInterrupt):
            run(**asked)
    with pytest.raises(UsageError, match=r"hyperparameters: .*0,0\.25.*0,0\.2"):
        run(**{**asked, "hyperparameters": {**VALUES, "feedback": (0.0, 0.2)}})
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "run.partial").rglob("*.part")}
    assert len(kept) == len(done)
    monkeypatch.setattr("pcbench.harness.run.RunEnding.finish", lambda *_: pytest.fail("all units are done"))
    with pytest.raises(pytest.fail.Exception):
        run(**asked)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    monkeypatch.undo()
    made = run(**asked)
    assert tables(made) == tables(several)
    assert run(**asked).found


def test_tables_are_made_again_where_their_code_changed(
    several: Run, options: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(several.folder, tmp_path / "run")
    monkeypatch.setattr("pcbench.harness.finish.code_hash", lambda _: "other")
    again = run(**options, hyperparameters=VALUES, out=tmp_path / "run")
    assert again.found
    assert again.manifest["tables"]["code"] == again.setting_runs[0].manifest["tables"]["code"] == "other"
    assert tables(again) == tables(several)


def test_a_saved_plan_holds_the_values(options: dict[str, Any], tmp_path: Path) -> None:
    plan(**options, hyperparameters=VALUES, save_spec=tmp_path / "plan")
    asked = request_from({"spec": tmp_path / "plan", "hyperparameters": ["fbm=0.25,0", "erm=0.05"]})
    assert plan_for(asked).spec.key() == make_plan(request_from({**options, "hyperparameters": VALUES})).spec.key()
    with pytest.raises(
        UsageError, match=r"contradicts the plan in .*feedback=0,0\.25, error_weight=0\.05 .got feedback=0"
    ):
        request_from({"spec": tmp_path / "plan", "hyperparameters": "feedback=0"})


def test_images_are_read_and_corrupted_once_for_all_values(
    options: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counted where they are corrupted: as often as with one value."""
    counts: list[int] = []
    for values in ((0.1,), (0.0, 0.1, 0.2)):
        calls = list[str]()

        def counted(*given: Any, _calls: list[str] = calls, **named: Any) -> Any:
            _calls.append("")
            return corrupt(*given, **named)

        monkeypatch.setattr("pcbench.harness.work.scores.corrupt", counted)
        asked = {**options, "images": 2, "suites": options["suites"][0], "hyperparameters": {"feedback": values}}
        run(**asked, out=tmp_path / str(len(values)))
        counts.append(len(calls))
    assert counts[0] == counts[1] > 0


def test_a_configuration_that_states_the_values_gives_the_same_answers() -> None:
    """In Python, on a network of the user's own."""
    own, given = [(0.4, 0.1, 0.01)] * 3, [{"feedback": 0.2, "erm": 0.2}, {"ffm": 0.5}, {"fbm": 0.9, "pc": 0.0}]
    network = pcbench.predify(backbone(), configuration_of_small(hyperparameters=own))
    same = configuration_of_small(hyperparameters=[(0.4, 0.2, 0.2), (0.5, 0.1, 0.01), (0.4, 0.0, 0.0)])
    stated = pcbench.predify(backbone(), same)
    stated.predictors.load_state_dict(network.predictors.state_dict())
    images = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    loaded = load(network)
    for precision in ("float32", "bfloat16"):
        plain = loaded.configured(precision=precision)
        second = dataclasses.replace(loaded, timestep_model=stated).configured(precision=precision)
        assert torch.equal(plain.with_given(given).logits(images, 3), second.logits(images, 3))
        assert not torch.equal(plain.logits(images, 3), second.logits(images, 3))


def test_a_value_that_diverges_is_a_row_beside_the_others(options: dict[str, Any], tmp_path: Path) -> None:
    asked = {**options, "suites": options["suites"][0], "images": 2, "timesteps": 5}
    made = run(**asked, hyperparameters={"error_weight": (0.0, 1e30)}, out=tmp_path / "run")
    warnings = [note for note in made.manifest["notes"] if note.startswith("DIVERGING")]
    assert [note.endswith("(error_weight=1e+30)") for note in warnings] == [True]
    outcomes = made.outcomes().query("timestep == 5")
    assert outcomes.groupby("error_weight")["finite"].any().to_dict() == {0.0: True, 1e30: False}
    with pytest.raises(RunError, match="diverges"):
        run(**asked, hyperparameters={"error_weight": 1e30}, out=tmp_path / "one")


def test_charts_show_the_numbers_of_each_setting(several: Run) -> None:
    shown, metrics = BySetting(several), several.metrics
    for suite in shown.suites:
        charts = {chart.name: chart for chart in shown.charts(suite)}
        by, against = charts["accuracy-by-feedback"], charts["accuracy-against-feedback"]
        clean = metrics.query("suite == @suite and kind == 'clean' and metric == 'accuracy'")
        panel = next(panel for panel in by.panels if panel.title == "clean")
        assert [line.label for line in panel.lines] == ["0", "0.25"]
        for line, value in zip(panel.lines, (0.0, 0.25), strict=True):
            assert line.x == (0, 1)
            assert list(line.y) == (clean[clean["feedback"] == value]["value"] * 100).tolist()
        panel = next(panel for panel in against.panels if panel.title == "clean")
        assert [(line.label, line.x) for line in panel.lines] == [("0", (0.0, 0.25)), ("1", (0.0, 0.25))]
    robust = next(chart for chart in shown.charts("small") if chart.name == "robust-accuracy-by-feedback")
    assert "not checked" in robust.title
    assert [panel.title.partition(",")[0] for panel in robust.panels] == ["FGSM"]


def test_a_verdict_of_several_settings_is_told_once() -> None:
    # Oracle: the sentences, by hand.
    assert settings_verdict([("0", "checked"), ("0.1", "checked")]) == "checked"
    assert settings_verdict([("0", "checked"), ("0.1", "not checked")]) == "0: checked; 0.1: not checked"
    said = [("0", "not checked"), ("0.1", "suspicious: why"), ("0.2", "not checked")]
    assert settings_verdict(said) == "2 of 3 settings: not checked; 0.1: suspicious: why"


def test_page_and_terminal_show_them_too(several: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = write_page([several], tmp_path / "page.html").read_text()
    assert "by feedback" in page
    assert "Robust accuracy, FGSM" in page
    assert "hyperparameters</dt><dd>feedback=0,0.25; error_weight=0.05" in page
    with pytest.raises(UsageError, match="give one of them"):
        write_page([several, several.setting_runs[0]], tmp_path / "other.html")
    print_summary(several)
    told = capsys.readouterr().out
    for one, value in zip(several.setting_runs, ("0", "0.25"), strict=True):
        clean = one.metrics.query("suite == 'two' and kind == 'clean' and metric == 'accuracy'")["value"]
        assert re.search(rf"│\s+{value} │" + "".join(rf"\s+{percent(number)} │" for number in clean), told)
    assert "pcbench compare" in told


@pytest.mark.parametrize("verb", [freeze, compare_timesteps, lambda made: export_run(made, "csv"), baseline_of])
def test_what_is_about_one_network_asks_for_one_setting(verb: Callable[[Run], Any], several: Run) -> None:
    with pytest.raises(UsageError, match=r"holds 2 settings of hyperparameters.*feedback=0$"):
        verb(several)


def test_two_settings_are_compared_and_guarded_like_two_runs(several: Run) -> None:
    first, second = several.setting_runs
    assert compare_runs(first, second, ("first", "second"))
    assert check_run(second, freeze(first), tolerated=0.9).passed
    assert 'hyperparameters = [\n    "feedback=0.25",\n    "error_weight=0.05",\n]' in configuration(second)
    assert "feedback=0,0.25" in configuration(several)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("feedbak=0.1", "'feedbak' does not exist; did you mean 'feedback'"),
        ("pcoder2.fmm=0.1", "'fmm' does not exist; did you mean 'ffm'"),
        ("feedback", "NAME=VALUE"),
        ("feedback=", "feedback has no value"),
        ("ffm=0.3,fbm=0.1", "feedforward: fbm=0.1 is another name; give each name by itself"),
        ("pcoder0.ffm=0.3", "the first PCoder is pcoder1"),
        ("feedback=nan", "finite number of at least 0.*nan"),
        ("feedback=-0.1", "finite number of at least 0.*-0.1"),
        ("feedback=0.1,0.10", "value 0.1 twice"),
        (("feedback=0.1", "fbm=0.2"), "feedback is given twice"),
        ("pcoder9.ffm=0.1", "pcoder9.feedforward: the network has 3 PCoders"),
        ("pcoder3.feedback=0.1", "to PCoder 3, as to the last one"),
        ({"feedback": True}, "finite number of at least 0"),
        (3, "NAME=VALUE"),
        ([{"feedback": 0.1}, "ffm=0.2"], "NAME=VALUE"),
        ("feedback=0.1,0.9", "`hyperparameters` feedback=0.9: feedforward . feedback of PCoder 1 is 1.60.*at most 1"),
        ("ffm=" + ",".join(str(value / 1000) for value in range(300)), "300 settings; a run has at most 256"),
    ],
)
def test_what_the_network_cannot_have_is_refused_before_anything_is_computed(given: Any, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        make_plan(request_from({**OPTIONS, "suites": "digits-c", "hyperparameters": given}))


def test_a_suite_that_states_those_of_its_paper_is_refused(tmp_path: Path) -> None:
    folder = shutil.copytree(catalog_folder("attacks") / "digits-linf", tmp_path / "attacks" / "stated")
    text = (folder / "suite.toml").read_text()
    stated = "\n[network]\nfeedforward = 0.8\nfeedback = 0.1\nerror_weight = 0.01\n"
    (folder / "suite.toml").write_text(text.replace('"digits-linf"', '"stated"') + stated)
    with pytest.raises(UsageError, match="states the hyperparameters of its paper; leave `hyperparameters` out"):
        make_plan(request_from({**OPTIONS, "suites": str(folder), "hyperparameters": "feedback=0.1"}))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"timesteps": 0}, "at t = 0 hyperparameters change nothing"),
        ({"model": "pdigits_feedforward", "timesteps": 0}, "pdigits_feedforward has no PCoders"),
        ({"ablation": "no-feedback"}, "feedback contradicts ablation"),
    ],
)
def test_hyperparameters_that_change_nothing_are_refused(options: dict[str, Any], said: str) -> None:
    asked = {**OPTIONS, "suites": "digits-c", "hyperparameters": "feedback=0,0.1", **options}
    with pytest.raises(UsageError, match=said):
        make_plan(request_from(asked))


def test_all_ways_to_give_values_are_one_run() -> None:
    """The key does not depend on names, spellings or order."""
    ways: list[Any] = [
        ("feedback=0.1,0,2e-1", "pcoder2.erm=0.5"),
        "feedback=0.2,0.1,0.0",
        {"pcoder2.pc": 0.5, "fbm": [0, np.float32(0.1), "1/5"]},
        [{"fbm": 0.1}, {"feedback": 0.1}, {"feedback": 0.1}],
    ]
    requests = [request_from({**OPTIONS, "suites": "digits-c", "hyperparameters": way}) for way in ways]
    found = [request["hyperparameters"] for request in requests]
    assert found[0] == found[2] == ("feedback=0,0.1,0.2", "pcoder2.error_weight=0.5")
    assert found[1] == ("feedback=0,0.1,0.2",)
    assert found[3] == ("pcoder1.feedback=0.1", "pcoder2.feedback=0.1", "pcoder3.feedback=0.1")


def test_every_combination_of_values_is_a_setting() -> None:
    grid = Grid.of(("feedback=0,0.1", "pcoder1.feedback=0.25", "error_weight=0.01,0.1"))
    assert grid.labels == tuple(f"feedback={one},error_weight={two}" for one in ("0", "0.1") for two in ("0.01", "0.1"))
    assert grid.settings[3].of_pcoders((1, 2, None)) == (
        {"feedback": 0.25, "error_weight": 0.1},
        *[{"feedback": 0.1, "error_weight": 0.1}] * 2,
    )


def test_a_plan_counts_all_settings(options: dict[str, Any]) -> None:
    """Passes: as many times those of one."""
    one, three = (plan(**options, hyperparameters={"feedback": values}) for values in (0.1, (0, 0.1, 0.2)))
    assert three.forward_passes == 3 * one.forward_passes
    assert three.gradient_passes == 3 * one.gradient_passes
