"""Oracle: a run in which nothing fails. What fails is named with its cause, and the rest is kept."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pcbench import files
from pcbench.catalog import catalog_folder
from pcbench.data.preprocessing import Preprocessing
from pcbench.data.sources import open_source
from pcbench.errors import DataError, RunError, UsageError
from pcbench.files import Point, watched
from pcbench.harness.start import run
from pcbench.results.directory import Run, open_run

IMAGES, BATCH = 12, 4
OPTIONS: dict[str, Any] = {"timesteps": 1, "progress": False, "batch_size": BATCH, "block_size": BATCH}
OPTIONS |= {"threads": 1, "checks": False}

# It answers by its weights, and fails where the environment says so, which is not a part of what it is recognised by.
MODEL = """
import os
import torch
from torch import nn

CALLS = []


class Net(nn.Module):
    input_size = (3, 32, 32)

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3072, 10)
        weights = torch.randn(10, 3072, generator=torch.Generator().manual_seed(0)) / 30
        self.layer.weight.data.copy_(weights)
        self.layer.bias.data.zero_()

    def forward(self, images):
        if len(images) > 2:  # two black ones tell how many classes there are
            CALLS.append(len(images))
        if str(len(CALLS)) in os.environ.get("FAILS", "").split():
            raise ValueError("no answer\\nto this")
        logits = self.layer(images.flatten(1))
        return torch.stack([logits, logits / 2])


def make():
    CALLS.clear()
    return Net()
"""


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Don't wait for the disk."""
    monkeypatch.setattr(files, "_to_disk", lambda _: None)


@pytest.fixture
def write_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Write a module `failing` that can be imported."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(text: str) -> None:
        (tmp_path / "failing.py").write_text(text)
        sys.modules.pop("failing", None)

    yield write
    sys.modules.pop("failing", None)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Twelve digits as PNG files, in folders named by their classes."""
    source = open_source("digits", preprocessing=Preprocessing())
    chosen = [*range(10), 10, 11]
    for index, pixels in zip(chosen, source.load(chosen), strict=True):
        path = tmp_path / "images" / str(index % 10) / f"{index:02d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.permute(1, 2, 0).numpy()).save(path)
    return tmp_path / "images"


def tables(made: Run) -> dict[str, str]:
    return open_run(made.folder).manifest["files"]


def parts_of(folder: Path) -> set[str]:
    return {path.relative_to(folder / "parts").as_posix() for path in (folder / "parts").rglob("*.part")}


@contextmanager
def once_planned(change: Callable[[], object]) -> Generator[None]:
    """Change something when the run has been planned, and tries whether it can write its folder."""
    done: list[Point] = []

    def look(point: Point) -> None:
        if point.path.name.startswith(".trial") and not done:
            done.append(point)
            change()

    with watched(look):
        yield
    assert done


def test_a_model_that_raises_in_its_third_batch_is_the_cause_and_once_mended_the_run_goes_on(
    corruption_suite: Path, tmp_path: Path, write_module: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_module(MODEL)

    def measure(name: str) -> Run:
        return run("failing:make", str(corruption_suite), data="digits", images=IMAGES, out=tmp_path / name, **OPTIONS)

    whole = measure("whole")
    monkeypatch.setenv("FAILS", "3")  # the first one answers the question who it is
    with pytest.raises(RunError) as failed:
        measure("run")
    units = 5 * IMAGES // BATCH + 1
    told = str(failed.value)
    assert told.startswith(
        f"1 of {units} units failed: two: contrast 1, images 1 to 4: ValueError: no answer to this; "
    )
    assert "allow_missing=True" in told
    cause = failed.value.__cause__
    assert isinstance(cause, ValueError)
    assert str(cause) == "no answer\nto this"
    assert cause.__traceback__ is not None
    kept = parts_of(tmp_path / "run.partial")
    assert len(kept) == units - 1 + 1  # and the answers
    monkeypatch.delenv("FAILS")
    seen: list[Path] = []
    with watched(lambda point: point.step == "write" and seen.append(point.path)):
        made = measure("run")
    written = [path for path in seen if path.suffix == ".part"]
    assert [path.relative_to(tmp_path / "run.partial" / "parts").as_posix() for path in dict.fromkeys(written)] == [
        "scores/two/contrast-1/00000.part"
    ]
    assert tables(made) == tables(whole)


@pytest.mark.parametrize(
    ("text", "cause", "words"),
    [
        ("def make(:\n", SyntaxError, "importing 'failing' fails: SyntaxError"),
        ("raise KeyError('lost')\n", KeyError, "importing 'failing' fails: KeyError: 'lost'"),
        ("import nowhere_to_be_found\n", ModuleNotFoundError, "no module 'nowhere_to_be_found'"),
        ("def make():\n    return 1 / 0\n", ZeroDivisionError, "'make' fails: ZeroDivisionError"),
        ("made = 3\n", AttributeError, "has no function 'make'"),
        ("import numpy\nD = numpy.float\n", AttributeError, "importing 'failing' fails: AttributeError"),
        ("import sys\nsys.exit(0)\n", SystemExit, "importing 'failing' ends the program (SystemExit: 0); put what"),
        ("def make():\n    raise SystemExit('no weights')\n", SystemExit, "'make' fails: SystemExit: no weights"),
        (
            "import torch\nmake = torch.nn.Identity()\n",
            None,
            "'make' is a network itself; name a function",
        ),
        ("def make():\n    return 3\n", None, "returns int; a model is a torch.nn.Module"),
        (MODEL.replace("logits / 2]", "1 / 0]"), ZeroDivisionError, "ZeroDivisionError"),
    ],
)
def test_a_module_that_is_broken_is_one_line_with_its_cause(
    corruption_suite: Path,
    tmp_path: Path,
    write_module: Callable[[str], None],
    text: str,
    cause: type[BaseException] | None,
    words: str,
) -> None:
    write_module(text)
    with pytest.raises(UsageError) as refused:
        run("failing:make", str(corruption_suite), data="digits", images=4, out=tmp_path / "run", **OPTIONS)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)
    assert cause is None or isinstance(refused.value.__cause__, cause)
    assert not list(tmp_path.glob("run*"))


def test_a_unit_that_runs_out_of_memory_fails_alone(
    corruption_suite: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from pcbench.corruptions.api import corrupt

    def starve(*args: Any, **options: Any) -> Any:
        if args[1].name == "contrast" and args[2] == 2:
            raise MemoryError
        return corrupt(*args, **options)

    def measure(**options: object) -> Run:
        return run("pdigits", str(corruption_suite), images=4, out=tmp_path / "run", **OPTIONS, **options)

    with monkeypatch.context() as patch, caplog.at_level(logging.WARNING, "pcbench"):
        patch.setattr("pcbench.harness.work.scores.corrupt", starve)
        with pytest.raises(RunError, match="1 of 7 units failed") as failed:
            measure()
        assert isinstance(failed.value.__cause__, MemoryError)
        assert caplog.messages == ["two: contrast 2 (images 1 to 4) failed: MemoryError"]
        # A condition of which nothing is left isn't in the tables; that it is missing is said.
        made = measure(allow_missing=True)
    assert [(entry["condition"], entry["reason"]) for entry in made.missing] == [("two: contrast 2", "MemoryError")]
    assert measure().missing == []


@pytest.fixture
def measure(
    images: Path, shared_suites: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Run]:
    """Measure pdigits on the PNG files."""
    monkeypatch.setattr("pcbench.harness.work.pictures._pictures", lambda *_: iter(()))
    suites = [str(suite) for suite in shared_suites]

    def start(name: str, **options: object) -> Run:
        return run("pdigits", suites, data=f"imagefolder:{images}", out=tmp_path / name, **OPTIONS, **options)

    return start


def test_an_image_that_cannot_be_read_fails_its_units_and_the_rest_is_measured(
    images: Path, measure: Callable[..., Run], tmp_path: Path
) -> None:
    whole = measure("whole")
    path = sorted(images.rglob("*.png"))[5]
    good = path.read_bytes()
    with pytest.raises(RunError) as failed, once_planned(lambda: path.write_bytes(good[: len(good) // 2])):
        measure("run")
    assert failed.value.exit_code == 1
    # Growth, and for clean images of two suites, four corruptions and two attacks at two timesteps one block each;
    # and the pictures, which come after the sweeps of one attack.
    assert str(failed.value).startswith("12 of 34 units failed: ")
    assert f"images 5 to 8: {path}: is a damaged or truncated image file" in str(failed.value)
    assert "(and 9 more)" in str(failed.value)
    assert isinstance(failed.value.__cause__, DataError)
    kept = parts_of(tmp_path / "run.partial")
    assert len(kept) == 34 - 12

    path.write_bytes(good)
    with once_planned(lambda: path.write_bytes(good[: len(good) // 2])):
        left = measure("run", allow_missing=True)
    path.write_bytes(good)
    assert len(left.missing) == 12
    (pictures,) = (entry for entry in left.missing if entry["work"] == "pictures")
    assert pictures["reason"].startswith("comes after small: pgd, t = ")
    read = [entry for entry in left.missing if entry is not pictures]
    assert {entry["images"] for entry in read} == {"images 5 to 8"}
    assert {entry["condition"] for entry in left.missing} >= {"two: clean", "two: contrast 2", "small: pgd, t = 1"}
    # What is published names the file without its folder.
    assert all(path.name in entry["reason"] and str(path.parent) not in entry["reason"] for entry in read)
    (note,) = (note for note in left.manifest["notes"] if note.startswith("MISSING"))
    assert note.startswith("MISSING: 12 units could not be computed (")
    metrics = left.metrics
    assert set(metrics[metrics["metric"] == "accuracy"]["n"]) == {IMAGES - BATCH}
    assert left.outcomes()["image_id"].nunique() == IMAGES - BATCH

    assert measure("run", allow_missing=True).found
    written: set[str] = set()

    def note_parts(point: Point) -> None:
        if point.step == "write" and point.path.suffix == ".part":
            written.add(point.path.relative_to(tmp_path / "run.partial" / "parts").as_posix())

    with watched(note_parts):
        made = measure("run")
    assert len(written) == 12
    assert not written & kept
    assert made.missing == []
    assert not any("MISSING" in note for note in made.manifest["notes"])
    assert tables(made) == tables(whole)
    assert not (tmp_path / "run.partial").exists()


def test_a_condition_that_lacks_a_block_takes_its_images_out_of_all_and_the_suite_is_marked(
    tmp_path: Path, write_module: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:

    suite = tmp_path / "corruptions" / "based"
    suite.mkdir(parents=True)
    catalogue = catalog_folder("corruptions") / "digits-c"
    (suite / "suite.toml").write_text('version = 1\ntitle = "Based"\nsource = "this test"\n')
    for name in ("gaussian_noise.toml", "contrast.toml", "baseline.toml"):
        (suite / name).write_text((catalogue / name).read_text())
    write_module(MODEL)
    monkeypatch.setenv(
        "FAILS", "9"
    )  # the question, and of the first block clean images, contrast 1 to 5, noise 1 and 2
    common: dict[str, Any] = {"data": "digits", "images": IMAGES, "out": tmp_path / "run", **OPTIONS}
    made = run("failing:make", str(suite), allow_missing=True, **common)
    assert [(entry["condition"], entry["images"]) for entry in made.missing] == [
        ("based: gaussian_noise 2", "images 1 to 4")
    ]
    metrics = made.metrics
    assert set(metrics[metrics["metric"] == "accuracy"]["n"]) == {IMAGES - BATCH}
    assert made.outcomes()["image_id"].nunique() == IMAGES
    marked = metrics["baseline"].dropna().astype(str)
    assert len(marked) > 0
    assert marked.str.contains("not comparable").all()


def test_images_that_change_while_the_run_is_under_way_are_noticed(
    images: Path, measure: Callable[..., Run], tmp_path: Path
) -> None:
    path = sorted(images.rglob("*.png"))[9]
    good = path.read_bytes()

    def change() -> None:
        with Image.open(path) as image:
            pixels = np.array(image)
        pixels[0, 0, 0] ^= 1
        Image.fromarray(pixels).save(path)

    with pytest.raises(RunError) as failed, once_planned(change):
        measure("run")
    told = str(failed.value)
    assert told.startswith("12 of 34 units failed: ")
    assert "images 9 to 12 of two: clean were changed since the run was planned; put the images back" in told
    assert not (tmp_path / "run").exists()
    with pytest.raises(UsageError, match=r"unfinished work of other settings \(data\.fingerprint: "):
        measure("run")
    path.write_bytes(good)
    assert tables(measure("run")) == tables(measure("whole"))
