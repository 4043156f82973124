"""Oracles: torchvision's ImageFolder on the same folder; the published order of ImageNet's classes."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from torchvision.datasets import ImageFolder
from torchvision.models import VGG16_Weights

from pcbench.data.checks import check
from pcbench.data.folders import imagenet_labels
from pcbench.data.preprocessing import Preprocessing
from pcbench.data.sources import open_source
from pcbench.errors import DataError, UsageError

# Four of ImageNet's classes and their labels (tench, english springer, parachute, toilet tissue).
WORDNET_IDS = {"n01440764": 0, "n02102040": 217, "n03888257": 701, "n15075141": 999}


@pytest.fixture
def imagenet(tmp_path: Path, write_image: Callable[..., Path]) -> Path:
    for name in WORDNET_IDS:
        for number in range(3):
            write_image(tmp_path / "val" / name / f"ILSVRC2012_val_{number:08d}.JPEG", seed=number, height=60, width=50)
    return tmp_path


def test_image_folder_equals_torchvision(tmp_path: Path, write_image: Callable[..., Path]) -> None:
    for place, name in enumerate(["b/02.png", "b/01.JPG", "a/x/y.png", "a/z.jpeg", "c c/1.png"]):
        write_image(tmp_path / "photos" / name, seed=place)
    oracle = ImageFolder(str(tmp_path / "photos"))
    source = open_source(f"imagefolder:{tmp_path / 'photos'}", preprocessing=Preprocessing())
    ours = dict(zip(source.ids, source.labels.tolist(), strict=True))
    theirs = {path.removeprefix(f"{tmp_path / 'photos'}/"): label for path, label in oracle.samples}
    assert ours == theirs
    assert list(source.class_names) == oracle.classes
    for place, name in enumerate(source.ids):
        image = next(image for (path, _), (image, _) in zip(oracle.samples, oracle, strict=True) if path.endswith(name))
        np.testing.assert_array_equal(source.load([place])[0].numpy().transpose(1, 2, 0), np.asarray(image))


def test_hidden_files_are_passed_over_and_foreign_ones_named(tmp_path: Path, write_image: Callable[..., Path]) -> None:
    write_image(tmp_path / "photos" / "cat" / "1.png")
    (tmp_path / "photos" / "cat" / ".DS_Store").write_bytes(b"x")
    (tmp_path / "photos" / ".cache").mkdir()
    assert open_source(f"imagefolder:{tmp_path / 'photos'}", preprocessing=Preprocessing()).ids == ("cat/1.png",)
    (tmp_path / "photos" / "cat" / "notes.txt").write_text("x")
    with pytest.raises(DataError, match=r"notes\.txt: is not an image file"):
        open_source(f"imagefolder:{tmp_path / 'photos'}", preprocessing=Preprocessing())


def test_file_that_only_looks_like_an_image_is_named(tmp_path: Path, write_image: Callable[..., Path]) -> None:
    write_image(tmp_path / "photos" / "cat" / "1.png")
    (tmp_path / "photos" / "cat" / "2.png").write_text("x")
    with pytest.raises(DataError, match=r"2\.png: is not an image file"):
        open_source(f"imagefolder:{tmp_path / 'photos'}", preprocessing=Preprocessing()).fingerprint()


def test_empty_class_missing_folder_and_folder_without_classes(
    tmp_path: Path, write_image: Callable[..., Path]
) -> None:
    write_image(tmp_path / "photos" / "cat" / "1.png")
    (tmp_path / "photos" / "dog").mkdir()
    for path, problem in [
        (tmp_path / "photos", "dog: holds no images"),
        (tmp_path / "nowhere", "there is no such folder"),
        (tmp_path / "photos" / "cat", "one folder a class"),
    ]:
        with pytest.raises(DataError, match=problem):
            open_source(f"imagefolder:{path}", preprocessing=Preprocessing())


def test_part_of_imagenet_is_taken_only_when_asked_for(imagenet: Path) -> None:
    with pytest.raises(DataError, match=r"holds 4 of ImageNet's 1000 classes.*imagenet-subset:"):
        open_source(f"imagenet:{imagenet}", preprocessing=Preprocessing())
    source = open_source(f"imagenet-subset:{imagenet}", preprocessing=Preprocessing(48, 32))
    assert source.subset == "4 of 1000 classes"
    assert source.name == "imagenet-subset:val"
    assert source.load(range(12)).shape == (12, 3, 32, 32)


def test_imagenet_labels_and_ids(imagenet: Path) -> None:
    source = open_source(f"imagenet-subset:{imagenet}", preprocessing=Preprocessing())
    assert len(source) == 12
    for name, label in zip(source.ids, source.labels, strict=True):
        assert label == WORDNET_IDS[name.partition("/")[0]]
    assert source.ids[0] == "n01440764/ILSVRC2012_val_00000000.JPEG"
    inner = open_source(f"imagenet-subset:{imagenet / 'val'}", preprocessing=Preprocessing())
    assert inner.ids == source.ids


def test_whole_imagenet_has_the_order_of_its_sorted_wordnet_ids(
    tmp_path: Path, write_image: Callable[..., Path]
) -> None:
    """Oracle: ILSVRC2012's labels are the places of the sorted WordNet ids; torchvision's names of the classes."""
    names = sorted(imagenet_labels())
    first = write_image(tmp_path / "val" / names[0] / "1.JPEG")
    for name in names[1:]:
        (tmp_path / "val" / name).mkdir()
        shutil.copy(first, tmp_path / "val" / name / "1.JPEG")
    source = open_source(f"imagenet:{tmp_path}", preprocessing=Preprocessing())
    assert source.labels.tolist() == list(range(1000))
    assert source.subset is None
    categories = VGG16_Weights.IMAGENET1K_V1.meta["categories"]
    check(source, classes=1000, class_names=categories)
    with pytest.raises(DataError, match=r"class 0 is 'tench, Tinca tinca', but 'goldfish' for the model"):
        check(source, classes=1000, class_names=categories[1:] + categories[:1])


def test_folder_that_is_no_imagenet(imagenet: Path, tmp_path: Path, write_image: Callable[..., Path]) -> None:
    write_image(imagenet / "val" / "n99999999" / "1.JPEG")
    with pytest.raises(DataError, match="n99999999 is not one of the 1000 classes"):
        open_source(f"imagenet-subset:{imagenet}", preprocessing=Preprocessing())
    write_image(tmp_path / "flat" / "pictures" / "1.JPEG")
    with pytest.raises(DataError, match="WordNet ids such as n01440764"):
        open_source(f"imagenet:{tmp_path / 'flat'}", preprocessing=Preprocessing())
    with pytest.raises(DataError, match=r"there is no such folder; give the folder of ImageNet"):
        open_source(f"imagenet:{tmp_path / 'nowhere'}", preprocessing=Preprocessing())
    with pytest.raises(UsageError, match="no split"):
        open_source(f"imagenet:{imagenet}", preprocessing=Preprocessing(), split="tset")
