"""Oracle: the table the figures are made from, and their own bytes when made again."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from xml.etree import ElementTree
from xml.sax.saxutils import unescape

import pandas as pd
import pytest

from pcbench.errors import UnknownNameError, UsageError
from pcbench.metrics.corruption import THE_FIFTEEN, BaselineErrors
from pcbench.metrics.summary import summarise
from pcbench.reports.figures import charts, write_figure, write_figures
from pcbench.reports.matrices import matrices
from pcbench.reports.page.headline import headline
from pcbench.results.directory import Run
from pcbench.results.metrics_table import read_metrics, write_metrics
from pcbench.results.verdicts import Verdicts


@pytest.fixture(scope="module")
def made(metrics: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    # A panel for each corruption: three are drawn as fifteen are, and in a fifth of the time.
    few = metrics[~metrics["name"].isin(THE_FIFTEEN[3:])]
    return write_figures(few, tmp_path_factory.mktemp("figures"), Verdicts())


def test_the_promised_figures_are_there_in_three_formats(made: list[Path]) -> None:
    names = {path.name for path in made}
    stems = [
        "digits-c-accuracy",
        "digits-c-corruption-error",
        "digits-linf-success-by-epsilon",
        "digits-linf-success-by-timestep",
        "digits-linf-robust-accuracy-by-epsilon",
        "digits-linf-robust-accuracy-by-timestep",
    ]
    assert {f"{stem}.{kind}" for stem in stems for kind in ("svg", "png", "pdf")} <= names
    for path in made:
        if path.suffix == ".svg":
            ElementTree.parse(path)  # noqa: S314 (a file this test has just made)
        else:
            assert path.read_bytes().startswith({".png": b"\x89PNG", ".pdf": b"%PDF"}[path.suffix])


def test_the_same_table_gives_the_same_bytes(metrics: pd.DataFrame, made: list[Path], tmp_path: Path) -> None:
    """Also when the table went through a file."""
    metrics.to_csv(tmp_path / "metrics.csv", index=False)
    back = read_metrics(tmp_path / "metrics.csv")
    few = back[(back["suite"] == "digits-linf") & (back["metric"] == "robust_accuracy")]
    again = write_figures(few, tmp_path, Verdicts())
    assert len(again) == 2 * 3
    first = {path.name: path.read_bytes() for path in made}
    for path in again:
        assert path.read_bytes() == first[path.name]


def test_points_are_the_rows_of_the_table_in_percent(metrics: pd.DataFrame) -> None:
    by_name = {chart.name: chart for chart in charts(metrics, Verdicts())}
    rows = metrics[metrics["metric"] == "attack_success_rate_within"]
    assert sorted(by_name["success-by-epsilon"].rows) == sorted(rows.index)
    for chart in by_name.values():
        for line in (one for panel in chart.panels for one in panel.lines):
            of_line = metrics.loc[list(line.rows)]
            for drawn, column in ((line.y, "value"), (line.low, "ci_low"), (line.high, "ci_high")):
                assert drawn == pytest.approx(list(of_line[column] * 100))
    (mce,) = by_name["corruption-error"].panels[0].lines
    expected = metrics[metrics["metric"] == "mean_corruption_error"].sort_values("timestep")
    assert mce.y == pytest.approx(list(expected["value"] * 100))


def test_every_chart_says_what_its_axes_and_bands_are(metrics: pd.DataFrame) -> None:
    for chart in charts(metrics, Verdicts()):
        assert chart.x_label
        assert "(%)" in chart.y_label or "(points)" in chart.y_label
        assert "95 % interval" in chart.caption
        for line in (one for panel in chart.panels for one in panel.lines):
            assert all(low <= y <= high for low, y, high in zip(line.low, line.y, line.high, strict=True))


def test_a_feedforward_network_has_one_timestep(metrics: pd.DataFrame, tmp_path: Path) -> None:
    only = metrics[(metrics["timestep"] == 0) & (metrics["metric"] == "mean_corruption_error")]
    assert len(write_figures(only, tmp_path, Verdicts())) == 2 * 3


def test_one_figure_can_be_redrawn_and_says_how_it_was_made(runs: list[Run], tmp_path: Path) -> None:
    caption = write_figure("corruption-error", runs[:1], tmp_path / "figure.svg")
    assert runs[0].key in caption
    assert "mCE of pdigits on digits-c" in caption
    assert caption in unescape((tmp_path / "figure.svg").read_text(encoding="utf-8"))


def test_several_runs_are_drawn_side_by_side(runs: list[Run], tmp_path: Path) -> None:
    caption = write_figure("digits-c-corruption-error", runs, tmp_path / "figure.pdf")
    assert all(run.key in caption for run in runs)
    assert (tmp_path / "figure.pdf").read_bytes().startswith(b"%PDF")


def test_a_figure_that_is_not_there_is_named(runs: list[Run], tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="digits-c-accuracy"):
        write_figure("digits-c-acuracy", runs[:1], tmp_path / "figure.pdf")
    with pytest.raises(UsageError, match=r"\.svg, \.pdf, \.png"):
        write_figure("accuracy", runs[:1], tmp_path / "figure.jpeg")


def test_a_place_that_cannot_be_written_is_wrong_use(runs: list[Run], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"cannot be written .*; give another with `out`"):
        write_figure("corruption-error", runs[:1], tmp_path / "file" / "figure.svg")


def test_a_subset_is_named_wherever_an_mce_is(
    outcomes: pd.DataFrame, baseline: BaselineErrors, runs: list[Run], tmp_path: Path
) -> None:
    corruptions = outcomes[outcomes["suite"] == "digits-c"]
    marked = summarise(corruptions, model="m", baselines={"digits-c": baseline}, subsets={"digits-c"})
    said = [chart.title for chart in charts(marked, Verdicts()) if chart.name == "corruption-error"]
    said += [matrix.title for matrix in matrices(marked, "m", Verdicts())]
    folder = Path(shutil.copytree(runs[0].folder, tmp_path / "run"))
    write_metrics(marked, folder)
    said += [text for _, text in headline(dataclasses.replace(runs[0], folder=folder)) if "mCE" in text]
    assert len(said) == 1 + 1 + 3
    assert all("subset, not comparable)" in text for text in said)
