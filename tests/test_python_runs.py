"""Runs in Python and in notebooks: compared, checked, drawn and shown.

Oracle: what the command line prints of the same run, the tables of the run itself, and an XML parser for what a
notebook is given; names that would act in a page are the tests' own.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from few_figures import only_two_figures
from made_runs import made_data, made_run, made_settings, made_spec, made_suite, made_table

import pcbench
from pcbench.comparison.reference import freeze, write_reference
from pcbench.errors import UnknownNameError, UsageError
from pcbench.results.conditions import Condition
from pcbench.results.directory import Run

IMAGES = 40
BAD = "<img src=x onerror=alert(1)>"


def answers(wrong: int) -> np.ndarray:
    """Answers of t = 0, 1 and 2: of the images of t = 0 so many are wrong, of each later t five fewer."""
    return np.array([np.arange(IMAGES) >= wrong - 5 * t for t in range(3)])


def make(folder: Path, *, wrong: int = 20, model: str = "made") -> Run:
    spec = made_spec(
        [made_suite("made-c", IMAGES)], made_data(IMAGES), made_settings(), model={"name": model}, version=1
    )
    tables = {
        "made-c/clean.parquet": made_table(Condition("made-c", "clean", "clean"), (0, 1, 2), answers(10)),
        **{
            f"made-c/fog-{severity}.parquet": made_table(
                Condition("made-c", "corruption", "fog", severity), (0, 1, 2), answers(wrong)
            )
            for severity in range(1, 6)
        },
    }
    return made_run(folder, spec, tables)


def parsed(text: str) -> ET.Element:
    return ET.fromstring(text)  # noqa: S314  # our own


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return make(tmp_path_factory.mktemp("python") / "run")


@pytest.fixture(scope="module")
def worse(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return make(tmp_path_factory.mktemp("python") / "worse", wrong=40)


def test_timesteps_are_compared_as_a_data_frame(run: Run) -> None:
    found = pcbench.compare(str(run.folder))
    corrupted = found.frame[(found.frame["second_timestep"] == 2) & (found.frame["first_value"] == 0.5)]
    assert corrupted["difference"].tolist() == [0.25]  # ten of forty images more are right
    assert any("+25.0 points" in sentence for sentence in str(found).splitlines())
    assert "<table" in found._repr_html_()


def test_runs_are_compared_with_the_first(run: Run, worse: Run) -> None:
    one, two = pcbench.compare(run, worse).frame, pcbench.compare(run, [worse.folder, worse]).frame
    assert len(two) == 2 * len(one)
    with pytest.raises(UnknownNameError, match=r"others.*did you mean 'other'"):
        pcbench.compare(run, others=worse)  # pyright: ignore[reportCallIssue]


def test_a_run_is_checked_against_a_run_a_folder_and_a_file(run: Run, worse: Run, tmp_path: Path) -> None:
    write_reference(freeze(run), tmp_path / "reference.npz")
    for reference in (run, run.folder, tmp_path / "reference.npz", freeze(run)):
        assert pcbench.check(run, reference).passed
        assert not pcbench.check(worse.folder, reference).passed
    with pytest.raises(UsageError, match=r"`reference` is a text or a pathlib\.Path"):
        pcbench.check(run, 3)  # pyright: ignore[reportArgumentType]


def test_what_is_no_run_is_refused_in_one_line(run: Run) -> None:
    calls: tuple[Callable[[Any], object], ...] = (pcbench.report, lambda given: pcbench.compare(run, given))
    for call in calls:
        with pytest.raises(UsageError, match=r"`run` is a text or a pathlib\.Path"):
            call(5)
        with pytest.raises(UsageError, match="give at least one run"):
            call([])


def test_a_report_names_its_page(run: Run, worse: Run, tmp_path: Path) -> None:
    with only_two_figures():
        page = pcbench.report([run, worse.folder], tmp_path / "page")
    assert page.read_text(encoding="utf-8").startswith("<!doctype")


def test_a_figure_belongs_to_no_window_and_a_notebook_shows_it(run: Run) -> None:
    before = sys.modules.get("matplotlib.pyplot")
    name = run.figures[0]
    figure = run.plot(name, width="page")
    figure.axes[0].set_title("mine")
    assert parsed(figure._repr_svg_()).tag.endswith("svg")
    assert figure.get_figwidth() == pytest.approx(175 / 25.4)
    assert sys.modules.get("matplotlib.pyplot") is before
    assert before is None or figure not in map(before.figure, before.get_fignums())
    with pytest.raises(UnknownNameError, match="did you mean"):
        run.plot(name[:-1])


def test_figures_of_two_runs_stand_side_by_side_and_in_a_file(run: Run, worse: Run, tmp_path: Path) -> None:
    one, two = (pcbench.figure(runs, run.figures[0]) for runs in (run, [run, worse]))
    assert len(two.axes) == 2 * len(one.axes)
    pcbench.figure(run, run.figures[0], out=tmp_path / "figure.pdf")
    assert (tmp_path / "figure.pdf").read_bytes().startswith(b"%PDF")


def test_a_notebook_shows_a_run_with_its_numbers_and_curves(run: Run) -> None:
    shown = parsed(run._repr_html_())
    cells = ["".join(cell.itertext()) for cell in shown.iter("td")]
    assert any(cell.startswith("+25.0 ") for cell in cells)
    assert "t = 0: 50.0 %, t = 1: 62.5 %, t = 2: 75.0 %" in cells
    (line, *_) = shown.iter("polyline")
    heights = [float(point.split(",")[1]) for point in line.attrib["points"].split()]
    assert heights == sorted(heights, reverse=True)  # it rises, and SVG counts downwards


def test_names_in_a_notebook_are_escaped(tmp_path: Path) -> None:
    shown = make(tmp_path / "run", model=BAD)._repr_html_()
    assert BAD not in shown
    known = "div b code table thead tbody tr th td svg title polyline circle".split()  # noqa: SIM905  # shorter
    assert {element.tag for element in parsed(shown).iter()} <= {*known}


def test_a_damaged_run_says_so_in_a_notebook(tmp_path: Path) -> None:
    run = make(tmp_path / "run")
    (run.folder / "metrics.parquet").write_bytes(b"nothing")
    assert re.search(r"metrics\.parquet", "".join(parsed(run._repr_html_()).itertext()))


def test_columns_have_the_types_that_the_page_states(run: Run) -> None:
    outcomes, metrics = run.outcomes().dtypes.astype(str), run.metrics.dtypes.astype(str)
    texts = ["suite", "kind", "name", "image_id"]
    assert set(outcomes[texts]) == {"category"}
    assert (outcomes["label"], outcomes["timestep"], outcomes["correct"]) == ("int32", "int16", "bool")
    assert set(metrics[["model", "suite", "kind", "name", "metric"]]) == {"str"}
    assert set(metrics[["value", "ci_low", "ci_high"]]) == {"float64"}
    stated = ("Int8", "int16", "Int16", "boolean")
    assert tuple(metrics[["severity", "timestep", "attacked_timestep", "targeted"]]) == stated
    page = (Path(__file__).parents[1] / "docs" / "reference" / "tables.md").read_text(encoding="utf-8")
    assert all(name in page for name in (*stated, "str", "category", "float64"))
