"""Oracles: a network that reads the class off the grey level, and files whose grey level is their class's.

Accuracy is then 1 only if labels, pixels and the images left out are the right ones.
"""

from __future__ import annotations

import copy
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

import pcbench
from pcbench.data.preprocessing import Preprocessing
from pcbench.errors import DamagedImageError, DataError, UsageError
from pcbench.harness.engines.base import Failure, told
from pcbench.results.directory import Run

CLASSES = 5
SIDE = 32
CORRUPTION = """
title = "Pixelate"
family = "digital"
function = "pixelate"
source = "made for a test"

[parameters]
scale = [0.6, 0.5, 0.4, 0.3, 0.25]
"""


class GreyLevels(nn.Module):
    """Class k is the grey level 40 k + 20."""

    class_names = tuple(f"c{label}" for label in range(CLASSES))

    def __init__(self, preprocessing: Preprocessing) -> None:
        super().__init__()
        self.levels = nn.Parameter((torch.arange(CLASSES) * 40 + 20) / 255)
        self.preprocessing = preprocessing
        self.input_size = (3, *[preprocessing.crop or SIDE] * 2)

    def forward(self, images: Tensor) -> Tensor:
        return -((images.mean((1, 2, 3))[:, None] - self.levels) ** 2)


def picture(label: int, size: tuple[int, int] = (SIDE, SIDE)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, (40 * label + 20,) * 3).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for label in range(CLASSES):
        (tmp_path / "images" / f"c{label}").mkdir(parents=True)
        for number in range(4):
            (tmp_path / "images" / f"c{label}" / f"{number}.png").write_bytes(picture(label))
    return tmp_path / "images"


@pytest.fixture
def measured(folder: Path, tmp_path: Path) -> Callable[..., Run]:
    suite = tmp_path / "corruptions" / "one-c"
    suite.mkdir(parents=True)
    (suite / "suite.toml").write_text('version = 1\ntitle = "One"\nsource = "made for a test"\norder = ["pixelate"]\n')
    (suite / "pixelate.toml").write_text(CORRUPTION)

    def measure(preprocessing: Preprocessing | None = None, **options: Any) -> Run:
        out = tmp_path / f"run-{len(list(tmp_path.iterdir()))}"
        model = GreyLevels(preprocessing or Preprocessing())
        return pcbench.run(model, [str(suite)], data=f"imagefolder:{folder}", out=out, progress=False, **options)

    return measure


def accuracy(run: Run) -> tuple[float, int]:
    rows = run.metrics[(run.metrics["name"] == "clean") & (run.metrics["metric"] == "accuracy")]
    return float(rows["value"].iloc[0]), int(rows["n"].iloc[0])


def damage(folder: Path) -> None:
    (folder / "c1" / "2.png").write_bytes(picture(1)[:-20])
    (folder / "c3" / "0.png").write_bytes(b"<html>not found</html>")


def test_damaged_files_are_refused_by_name_before_anything_is_computed(
    folder: Path, measured: Callable[..., Run], tmp_path: Path
) -> None:
    damage(folder)
    with pytest.raises(DamagedImageError, match=r"c1/2\.png: is a damaged or truncated image file"):
        measured()
    assert not list(tmp_path.glob("run-*"))


def test_a_picture_of_another_size_is_no_fault_of_the_model(folder: Path, measured: Callable[..., Run]) -> None:
    Image.new("RGB", (SIDE + 8, SIDE)).save(folder / "c0" / "1.png")
    with pytest.raises(DataError, match=r"^\S+1\.png: is 40x32 px where another image of the batch is 32x32 px"):
        measured()


def test_another_process_tells_of_an_image_what_this_one_would() -> None:
    raised = DamagedImageError("c1/2.png: is a damaged or truncated image file")
    failure = copy.deepcopy(told(Failure(str(raised), "the traceback", raised), " (on node 2)"))
    assert type(failure.error) is DamagedImageError
    assert str(failure.error) == failure.reason == f"{raised} (on node 2)"
    assert failure.error.__notes__ == ["the traceback"]
    own = told(Failure("ValueError: of the user's own", "the traceback", ValueError("of the user's own")))
    assert own == Failure("ValueError: of the user's own", "the traceback")


def test_damaged_files_are_left_out_counted_and_listed(folder: Path, measured: Callable[..., Run]) -> None:
    whole = measured(skip_damaged=True)
    assert accuracy(whole) == (1.0, 20)
    assert not [note for note in whole.manifest["notes"] if "LEFT OUT" in note]
    damage(folder)
    run = measured(skip_damaged=True)
    assert accuracy(run) == (1.0, 18)
    assert run.spec.data.damaged == ("c1/2.png", "c3/0.png")
    (note,) = [note for note in run.manifest["notes"] if "LEFT OUT" in note]
    assert note.startswith("LEFT OUT: 2 damaged image files: c1/2.png is a damaged or truncated image file (")
    assert "; c3/0.png is not an image file but a web page" in note
    assert str(folder) not in note
    assert run.key != whole.key
    assert run.spec.suites[0].subset
    assert accuracy(measured(skip_damaged=True, images=10)) == (1.0, 10)
    assert accuracy(measured(skip_damaged=True, leave_out=8)) == (1.0, 10)


def test_nothing_is_measured_of_damaged_files_alone(folder: Path, measured: Callable[..., Run]) -> None:
    for path in folder.rglob("*.png"):
        path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(DataError, match="all of its 20 image files are damaged"):
        measured(skip_damaged=True)


def test_a_file_that_may_not_be_measured_is_no_damaged_one(folder: Path, measured: Callable[..., Run]) -> None:
    Image.fromarray(np.full((SIDE, SIDE), 40_000, np.uint16)).save(folder / "c0" / "1.png")
    with pytest.raises(DataError, match="more than 8 bits"):
        measured(skip_damaged=True)


def test_resizing_what_has_the_networks_size_already_is_told(measured: Callable[..., Run]) -> None:
    run = measured(Preprocessing(40, SIDE))
    assert (
        "20 of 20 images had 32x32 px, the network's own size, and were resized to 40 px and cropped all the same, as "
        "the model or `resize` states; resize=False leaves them as they are"
    ) in run.manifest["notes"]
    plain = measured(Preprocessing(40, SIDE), resize=False)
    assert not [note for note in plain.manifest["notes"] if "resized" in note]
    assert plain.spec.data.preprocessing == {"resize": None, "crop": SIDE, "interpolation": "bilinear"}
    assert plain.key != run.key
    assert accuracy(plain) == (1.0, 20)


def test_without_resizing_the_square_is_cut_from_the_image_as_it_is(folder: Path, measured: Callable[..., Run]) -> None:
    wide = Image.new("RGB", (SIDE * 3, SIDE), (180, 180, 180))
    wide.paste((20, 20, 20), (SIDE, 0, 2 * SIDE, SIDE))
    for number in range(4):
        wide.save(folder / "c0" / f"{number}.png")
    assert accuracy(measured(Preprocessing(64, SIDE), resize=False)) == (1.0, 20)
    with pytest.raises(DataError, match=r"is 96x32 px, smaller than the 40x40 px"):
        measured(Preprocessing(50, 40), resize=False)


def test_sizes_that_a_run_gives_stand_for_those_of_the_model(measured: Callable[..., Run]) -> None:
    """Oracle: a model that states them."""
    stated = measured(Preprocessing(40, SIDE))
    asked = measured(Preprocessing(64, SIDE), resize=40, crop=SIDE)
    assert asked.spec.data == stated.spec.data
    assert asked.manifest["files"]["images.parquet"] == stated.manifest["files"]["images.parquet"]
    assert asked.outcomes().equals(stated.outcomes())
    with pytest.raises(UsageError, match=r"a crop of 48 px does not fit in images resized to 40 px; change `resize`"):
        measured(Preprocessing(40, SIDE), crop=48)


def test_transparent_and_animated_files_are_counted(folder: Path, measured: Callable[..., Run]) -> None:
    Image.new("RGBA", (SIDE, SIDE), (60, 60, 60, 9)).save(folder / "c1" / "0.png")
    Image.new("RGBA", (SIDE, SIDE), (60, 60, 60, 255)).save(folder / "c1" / "1.png")
    first, second = (Image.new("RGB", (SIDE, SIDE), (grey,) * 3) for grey in (100, 20))
    first.save(folder / "c2" / "0.png", save_all=True, append_images=[second])
    run = measured()
    assert accuracy(run) == (1.0, 20)
    told = [note for note in run.manifest["notes"] if " of 20 images" in note]
    assert len(told) == 2
    assert told[0].startswith("2 of 20 images have an alpha channel or a transparent colour")
    assert told[1].startswith("1 of 20 images are files of several pictures: the first picture")


def test_options_of_files_do_not_go_with_saved_images(tmp_path: Path) -> None:
    for options in ({"skip_damaged": True}, {"resize": False}, {"resize": 40}, {"crop": 32}):
        with pytest.raises(UsageError, match=f"leave {next(iter(options))} out"):
            pcbench.run(GreyLevels(Preprocessing()), adversarials=tmp_path, progress=False, **options)
