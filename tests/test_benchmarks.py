"""Oracle: the package itself: every name that a benchmark imports from it is there, and its table of fast forms."""

from __future__ import annotations

import re
import runpy
import sys
import types
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from pcbench.harness.work import scores
from pcbench.network.fast.table import ROWS, FastForm

from .conftest import pytest_report_header, real_data

BENCHMARKS = sorted((Path(__file__).parents[1] / "benchmarks").glob("*.py"))


# foolbox, which a benchmark compares with, imports from a namespace that SciPy 2 removes.
@pytest.mark.filterwarnings("ignore:Please import:DeprecationWarning")
@pytest.mark.parametrize("path", BENCHMARKS, ids=lambda path: path.stem)
def test_a_benchmark_finds_what_it_imports(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Benchmarks import one another, as scripts of one folder do.
    monkeypatch.setattr(sys, "path", [str(path.parent), *sys.path])
    assert runpy.run_path(str(path), run_name="imported")["__doc__"]


def test_the_page_of_speed_gets_each_ratio_with_what_stands_below_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [str(BENCHMARKS[0].parent), *sys.path])
    speed = runpy.run_path(str(BENCHMARKS[0].with_name("speed.py")), run_name="imported")
    printed = "equal\nratio plain forward, 2 threads 3.12\n    3.00 to 3.20\nratio peak memory 1.10\nseconds 5\n"
    rows = speed["ratios_in"]("unroll", printed)
    assert rows == [
        ("`unroll`: plain forward, 2 threads", "3.12", "3.00 to 3.20"),
        ("`unroll`: peak memory", "1.10", ""),
    ]
    page = tmp_path / "speed.md"
    page.write_text(f"# Speed\n{speed['BEGIN']}\nold\n{speed['END']}\nafter\n", encoding="utf-8")
    for _ in range(2):
        speed["write_table"](page, rows)
    text = page.read_text(encoding="utf-8")
    assert text.startswith("# Speed\n")
    assert text.endswith(f"{speed['END']}\nafter\n")
    assert "old" not in text
    assert text.count("| `unroll`: plain forward, 2 threads | 3.12 | 3.00 to 3.20 |") == 1


def test_every_committed_study_can_be_made_again_and_is_skipped_visibly_without_its_images(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    script = runpy.run_path(str(BENCHMARKS[0].with_name("reproduce_study.py")), run_name="imported")
    committed = {path.stem for path in (BENCHMARKS[0].parents[1] / "studies").glob("*.toml")}
    assert set(script["PLACES"]) == committed
    monkeypatch.delenv("PCBENCH_TEST_DATA", raising=False)
    for name in committed - {"pdigits"}:
        monkeypatch.setattr(sys, "argv", ["reproduce_study.py", name])
        script["main"]()
        assert f"skipped: {name} needs real images and weights" in capsys.readouterr().out


def test_files_of_a_study_that_are_missing_are_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    script = runpy.run_path(str(BENCHMARKS[0].with_name("reproduce_study.py")), run_name="imported")
    for here in ("cifar10/test.parquet", "cifar10/train-20k.parquet"):
        (tmp_path / here).parent.mkdir(exist_ok=True)
        (tmp_path / here).write_bytes(b"")
    monkeypatch.setenv("PCBENCH_TEST_DATA", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["reproduce_study.py", "presnet56_cifar10"])
    script["main"]()
    assert f"weights/resnet56.cifar10.safetensors is not in {tmp_path};" in capsys.readouterr().out


@pytest.mark.parametrize("folder", [None, "", "not-there"])
def test_real_data_that_are_not_there_skip_a_test_and_say_why(folder: str | None) -> None:
    with pytest.raises(pytest.skip.Exception, match=r"PCBENCH_TEST_DATA (is not set|names not-there)"):
        real_data(folder)


def test_a_folder_of_real_data_that_is_not_there_is_told_before_the_tests(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    told: dict[str, str | None] = {}
    for folder in ("", str(tmp_path), str(tmp_path / "mistyped")):
        monkeypatch.setenv("PCBENCH_TEST_DATA", folder)
        told[folder] = pytest_report_header()
    assert (told.pop(str(tmp_path / "mistyped")) or "").startswith(f"PCBENCH_TEST_DATA names {tmp_path / 'mistyped'}, ")
    assert set(told.values()) == {None}


def test_a_reproduction_that_is_stopped_says_that_it_goes_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Oracle: what a user of Ctrl-C in other commands of the shell meets, one line and exit code 130."""
    script = runpy.run_path(str(BENCHMARKS[0].with_name("reproduce_study.py")), run_name="imported")

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setitem(script["main"].__globals__, "made_again", stop)
    monkeypatch.setattr(sys, "argv", ["reproduce_study.py", "pdigits", "--out", str(tmp_path)])
    with pytest.raises(SystemExit) as ended:
        script["main"]()
    assert ended.value.code == 130
    assert capsys.readouterr().err == "reproduce_study: stopped; the same command goes on\n"


@pytest.fixture
def choices(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setattr(sys, "path", [str(BENCHMARKS[0].parent), *sys.path])
    return runpy.run_path(str(BENCHMARKS[0].with_name("choices.py")), run_name="imported")


def recorded(choices: dict[str, Any], **ends: int) -> list[dict[int, list[float]]]:
    """Return ratios that turn at each row's bound of today, or at those given for a row's `operation form`."""
    found: list[dict[int, list[float]]] = []
    for row, ladder in zip(ROWS, choices["LADDERS"], strict=True):
        assert (row.operation, row.form) == (ladder.operation, ladder.form)
        today = {**row.least, **row.most}.get(ladder.bound, 0)
        end = ends.get(f"{row.operation} {row.form}", today)
        above = ladder.bound in row.least
        fast = (value == end or (value > end) == above for value in ladder.rungs)
        found.append({value: [1.4, 1.1 if one else 0.8] for value, one in zip(ladder.rungs, fast, strict=True)})
    return found


def rows_in(text: str) -> tuple[FastForm, ...]:
    module = types.ModuleType("written")
    sys.modules["written"] = module  # dataclasses look their module up
    exec(compile(text, "table.py", "exec"), module.__dict__)  # noqa: S102  # the project's own table
    return tuple(FastForm(*(getattr(row, one.name) for one in fields(row))) for row in module.ROWS)


def test_todays_measurements_write_todays_table(choices: dict[str, Any]) -> None:
    text = choices["TABLE"].read_text(encoding="utf-8")
    found = choices["written"](text, recorded(choices), "2026-01-02; a machine.")
    assert rows_in(found) == ROWS
    assert "# Measured by `python benchmarks/choices.py --write` on 2026-01-02; a machine. Of each row:\n" in found
    assert choices["written"](found, recorded(choices), "2026-01-02; a machine.") == found
    uncommented = [[line for line in one.splitlines() if not line.startswith("#")] for one in (text, found)]
    assert uncommented[0] == uncommented[1]


def test_another_measurement_moves_its_bound_alone_and_that_of_the_row_that_takes_over(choices: dict[str, Any]) -> None:
    ends = {"transposed convolution tiles": 35_000, "upsampling gradient sums and a matrix": 14}
    text = choices["written"](choices["TABLE"].read_text(encoding="utf-8"), recorded(choices, **ends), "now.")
    expected = list(ROWS)
    for number, (bounds, name, value) in {0: ("least", "row_products", 35_000), 9: ("most", "side", 14)}.items():
        expected[number] = replace(ROWS[number], **{bounds: {**getattr(ROWS[number], bounds), name: value}})
    expected[10] = replace(ROWS[10], least={**ROWS[10].least, "side": 15})
    assert list(rows_in(text)) == expected


def test_a_form_that_is_nowhere_faster_is_not_written(choices: dict[str, Any]) -> None:
    slow = [{value: [0.5] for value in one} for one in recorded(choices)]
    with pytest.raises(SystemExit, match=r"tiles is faster at no rung"):
        choices["written"](choices["TABLE"].read_text(encoding="utf-8"), slow, "now.")


def of_gpus(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setattr(sys, "path", [str(BENCHMARKS[0].parent), *sys.path])
    return runpy.run_path(str(BENCHMARKS[0].with_name("gpu.py")), run_name="imported")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ("--model pvg16", "did you mean 'pvgg16'"),
        ("--model pdigits", "pdigits is no network for ImageNet"),
        ("--device abacus", "there is no device 'abacus'"),
        ("--corruptions fogg", "did you mean 'fog'"),
    ],
)
def test_the_benchmark_of_gpus_refuses_wrong_names_before_it_measures(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: str, told: str
) -> None:
    monkeypatch.setattr(sys, "argv", ["gpu.py", *arguments.split()])
    with pytest.raises(SystemExit, match="2"):
        of_gpus(monkeypatch)["main"]()
    printed = capsys.readouterr()
    assert (printed.out, told in printed.err) == ("", True)


def test_the_benchmark_of_gpus_counts_each_image_once_however_many_blocks_there_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Oracle: closed form, 2 conditions of 2 blocks of 3 and 2 images are 10 images."""
    measure = of_gpus(monkeypatch)["from_jpeg_to_outcomes"]
    made: list[Any] = []

    def run_of_blocks(*_: object, **__: object) -> None:
        for block in (3, 2, 3, 2):
            made.append(scores.LookAhead([(types.SimpleNamespace(ids=["a"] * block), None)]))
            assert len(list(made[-1])) == 1

    stand_ins = {"run": run_of_blocks, "ours": lambda _: (None, None), "write_photographs": lambda *_: None}
    for name, stand_in in stand_ins.items():
        monkeypatch.setitem(measure.__globals__, name, stand_in)
    options = types.SimpleNamespace(model="", images=5, batch=3, timesteps=1, corruptions=["fog"])
    rate, _ = measure(options, torch.device("cpu"))
    assert rate * sum(one.elapsed_seconds for one in made) == pytest.approx(10)


def test_the_benchmark_of_gpus_runs_in_small_on_a_cpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Oracle: the formula of the hours, computed again from the images a second that are printed."""
    gpu = of_gpus(monkeypatch)
    small = ["--model", "pefficientnet_b0", "--device", "cpu", "--batch", "1", "--timesteps", "1", "--images", "1"]
    table = tmp_path / "gpu.csv"
    few = ["--seconds", "0", "--corruptions", "fog", "--out", str(table), "--compile"]
    monkeypatch.setattr(sys, "argv", ["gpu.py", *small, *few])
    asked: list[Callable[[Tensor], Tensor]] = []

    def compile_once(function: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
        asked.append(function)
        if len(asked) > 1:
            raise RuntimeError("no compiler\nand more")
        return lambda inputs: 2 * function(inputs)

    monkeypatch.setattr(torch, "compile", compile_once)
    gpu["main"]()
    printed = capsys.readouterr().out
    ways = [line.split(",")[0] for line in table.read_text(encoding="utf-8").splitlines()[1:]]
    assert ways[:2] == ["plain backbone", "plain dynamics"]
    # The stand-in of the compiler doubles all numbers, and does not compile twice: the benchmark tells both.
    assert "ours, 2 timesteps, by torch.compile: largest difference 1.0e+00 of the largest number" in printed
    assert "gradient of ours, by torch.compile: not measured (RuntimeError: no compiler)" in printed
    assert [way.strip('"') for way in ways[2:]] == ["ours", "ours", "gradient of ours", "ours", "imagenet-c"]
    (rate,) = re.findall(r"from JPEG to outcomes, float32: ([\d.e+-]+) images/s", printed)
    (hours,) = re.findall(r"extrapolated from this: ([\d.]+)", printed)
    assert float(hours) == pytest.approx(50_000 * 76 / float(rate) / 3600, rel=1e-2)
