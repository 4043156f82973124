"""Oracles: torchvision's ImageFolder on the same folder; the published order of ImageNet's classes."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from torchvision.datasets import ImageFolder
from torchvision.models import VGG16_Weights

from pcbench.data.checks import check_source
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
        (tmp_path / "photos" / "cat", "one folder per class"),
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
    check_source(source, classes=1000, class_names=categories)
    with pytest.raises(DataError, match=r"class 0 is 'tench, Tinca tinca', but 'goldfish' for the model"):
        check_source(source, classes=1000, class_names=categories[1:] + categories[:1])


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


def grey_tree(root: Path, files: dict[str, int]) -> Path:
    """Write one grey image a path."""
    for name, grey in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (grey,) * 3).save(root / name)
    return root


def greys_and_labels(path: Path) -> list[tuple[int, int]]:
    source = open_source(f"imagefolder:{path}", preprocessing=Preprocessing())
    images = source.load(range(len(source)))
    return [(int(image[0, 0, 0]), int(label)) for image, label in zip(images, source.labels, strict=True)]


def test_folders_that_are_numbers_are_taken_in_their_order(tmp_path: Path) -> None:
    """As texts, 10 and 11 would come before 2; the grey level of each image is its class."""
    root = grey_tree(tmp_path / "photos", {f"{number}/a.png": number for number in range(12)})
    assert greys_and_labels(root) == [(number, number) for number in range(12)]
    (note,) = open_source(f"imagefolder:{root}", preprocessing=Preprocessing()).notes
    assert note.startswith("the folders are numbers")
    assert "0, 1, 10, 11" in note
    padded = grey_tree(tmp_path / "padded", {f"{number:02d}/a.png": number for number in range(12)})
    assert open_source(f"imagefolder:{padded}", preprocessing=Preprocessing()).notes == ()
    grey_tree(root, {"01/b.png": 0})
    with pytest.raises(DataError, match="the folders 01 and 1 are the same number"):
        open_source(f"imagefolder:{root}", preprocessing=Preprocessing())


@pytest.mark.parametrize(
    ("files", "problem"),
    [
        (["train/cat/1.png", "val/cat/1.png", "val/dog/2.png"], r"train, val: the folder of a split.*such as \S+/val$"),
        (["Train/cat/1.png", "TEST/cat/1.png"], r"TEST, Train: the folder of a split.*such as \S+/TEST$"),
        (["train/cat/1.png"], "train: the folder of a split is not a class; give a folder that holds test images"),
        (["train/1.png", "test/1.png"], "test, train: the folder of a split"),
        (["cat/1.png", "dog/1.png", "val/cat/1.png"], r"photos: val: the folder of a split"),
        (["seg_train/cat/1.png", "seg_test/cat/1.png"], r"seg_test, seg_train: the folder of a split.*/seg_test$"),
        (["training_set/cat/1.png", "test_set/cat/1.png"], "test_set, training_set: the folder of a split"),
        (["train_images/cat/1.png", "val_images/cat/1.png", "cat/1.png"], "train_images, val_images: the folder of a"),
        (["cat/train/1.png", "cat/test/1.png"], r"cat/test: is a split inside a class"),
    ],
)
def test_folder_of_a_split_is_never_a_class(tmp_path: Path, files: list[str], problem: str) -> None:
    grey_tree(tmp_path / "photos", dict.fromkeys(files, 9))
    with pytest.raises(DataError, match=problem):
        open_source(f"imagefolder:{tmp_path / 'photos'}", preprocessing=Preprocessing())


@pytest.mark.parametrize(
    "files", [["freight train/ice/1.png", "crash test/a/1.png"], ["test 1/1.png", "train 1/1.png"]]
)
def test_classes_whose_names_hold_the_word_of_a_split_stay_classes(tmp_path: Path, files: list[str]) -> None:
    root = grey_tree(tmp_path / "photos", dict.fromkeys(files, 9))
    assert [label for _, label in greys_and_labels(root)] == [0, 1]


def test_names_that_differ_in_a_number_are_said_to_be_sorted_as_texts(tmp_path: Path) -> None:
    """torchvision's order of such names is that of texts: class_10 has the label 1 of 11."""
    root = grey_tree(tmp_path / "photos", {f"class_{number}/a.png": number for number in (0, 2, 10)})
    assert greys_and_labels(root) == [(0, 0), (10, 1), (2, 2)]
    notes = open_source(f"imagefolder:{root}", preprocessing=Preprocessing()).notes
    assert notes == ("the folders are taken in the order of texts, class_10 before class_2",)
    for names in (["class_01", "class_02", "class_10"], ["a10", "b2"], ["cat10", "cat2", "dog"]):
        other = grey_tree(tmp_path / names[0], dict.fromkeys([f"{name}/a.png" for name in names], 1))
        assert open_source(f"imagefolder:{other}", preprocessing=Preprocessing()).notes == ()


def test_class_that_is_called_train_stays_one(tmp_path: Path) -> None:
    root = grey_tree(tmp_path / "cifar-100", {"tractor/1.png": 1, "train/1.png": 2, "trout/1.png": 3})
    assert greys_and_labels(root) == [(1, 0), (2, 1), (3, 2)]


@pytest.mark.parametrize("place", ["train", "train2017", "training_set", "Train/images", "ILSVRC2012_img_train"])
def test_training_data_is_called_so(tmp_path: Path, place: str) -> None:
    root = grey_tree(tmp_path / place, {"cat/1.png": 1})
    (note,) = open_source(f"imagefolder:{root}", preprocessing=Preprocessing()).notes
    assert "is a train split by its name, not test data" in note


@pytest.mark.parametrize("place", ["trains", "val", "train-and-test", "rain"])
def test_other_data_is_not_called_training_data(tmp_path: Path, place: str) -> None:
    root = grey_tree(tmp_path / place, {"cat/1.png": 1})
    assert open_source(f"imagefolder:{root}", preprocessing=Preprocessing()).notes == ()


def test_imagenet_without_validation_images(tmp_path: Path, write_image: Callable[..., Path]) -> None:
    write_image(tmp_path / "train" / "n01440764" / "1.JPEG")
    with pytest.raises(DataError, match="train: the folder of a split is not a class"):
        open_source(f"imagenet-subset:{tmp_path}", preprocessing=Preprocessing())
    training = open_source(f"imagenet-subset:{tmp_path}/train", preprocessing=Preprocessing())
    assert "train split by its name" in training.notes[0]


@pytest.mark.parametrize(
    "hidden",
    [
        "cat/.ipynb_checkpoints/1-checkpoint.png",
        "cat/deep/.thumbnails/1.png",
        "cat/._1.png",
        "cat/@eaDir/1.png/SYNOPHOTO_THUMB_M.png",
        "__MACOSX/cat/1.png",
        ".trash/cat/1.png",
        "lost+found/1.png",
    ],
)
def test_hidden_files_are_passed_over_at_every_depth(tmp_path: Path, hidden: str) -> None:
    root = grey_tree(tmp_path / "photos", {"cat/1.png": 1, "cat/deep/2.png": 2, "dog/1.png": 3, hidden: 200})
    for name in ("cat/Thumbs.db", "cat/desktop.ini"):
        (root / name).write_bytes(b"x")
    assert greys_and_labels(root) == [(1, 0), (2, 0), (3, 1)]


def test_images_beside_the_folders_of_classes_are_told(tmp_path: Path) -> None:
    root = grey_tree(tmp_path / "photos", {"cat/1.png": 1, "b.png": 2, "a.jpg": 3, ".c.png": 4})
    (root / "README.md").write_text("x")
    assert greys_and_labels(root) == [(1, 0)]
    (note,) = open_source(f"imagefolder:{root}", preprocessing=Preprocessing()).notes
    assert note == "2 image files beside the folders of classes were passed over: a.jpg, …"


def test_links_are_followed(tmp_path: Path) -> None:
    elsewhere = grey_tree(tmp_path / "elsewhere", {"more/3.png": 3, "dog/4.png": 4, "5.png": 5})
    root = grey_tree(tmp_path / "photos", {"cat/1.png": 1})
    (root / "cat" / "more").symlink_to(elsewhere / "more")
    (root / "dog").symlink_to(elsewhere / "dog")
    (root / "cat" / "5.png").symlink_to(elsewhere / "5.png")
    (tmp_path / "link").symlink_to(root)
    for path in (root, tmp_path / "link"):
        assert greys_and_labels(path) == [(1, 0), (5, 0), (3, 0), (4, 1)]


@pytest.mark.parametrize(
    ("link", "target", "problem"),
    [
        ("cat/again", ".", r"cat/again: is the same folder as \S+/cat, by a link"),
        ("cat/up", "..", r"cat/up/cat: is the same folder as|cat/up/\w+: is the same folder as"),
        ("kitty", "cat", r"kitty: is the same folder as \S+/cat, by a link"),
        ("cat/self", "self", r"cat/self: cannot be read|cat/self: is a link to nothing"),
        ("cat/gone.png", "nowhere.png", r"gone\.png: is a link to nothing"),
        ("bird", "nowhere", "bird: is a link to nothing"),
    ],
)
def test_loops_and_broken_links_are_named(tmp_path: Path, link: str, target: str, problem: str) -> None:
    root = grey_tree(tmp_path / "photos", {"cat/1.png": 1, "dog/1.png": 2})
    (root / link).symlink_to(target)
    with pytest.raises(DataError, match=problem):
        open_source(f"imagefolder:{root}", preprocessing=Preprocessing())


def test_what_is_no_file_is_named(tmp_path: Path) -> None:
    root = grey_tree(tmp_path / "photos", {"cat/1.png": 1})
    os.mkfifo(root / "cat" / "pipe.png")
    with pytest.raises(DataError, match=r"pipe\.png: is neither a file nor a folder"):
        open_source(f"imagefolder:{root}", preprocessing=Preprocessing())


def test_names_that_are_no_text_are_refused(tmp_path: Path) -> None:
    root = grey_tree(tmp_path / "photos", {"cat/1.png": 1})
    (root / "cat" / os.fsdecode(b"caf\xe9.png")).write_bytes(b"x")
    with pytest.raises(DataError, match=r"caf\\\\udce9.png' is not written in UTF-8") as error:
        open_source(f"imagefolder:{root}", preprocessing=Preprocessing())
    str(error.value).encode()


def test_folder_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = grey_tree(tmp_path / "photos", {"cat/1.png": 1, "cat/deep/2.png": 2})
    scandir = os.scandir

    def refuse(path: Path) -> Any:
        if Path(path).name == "deep":
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(DataError, match=r"cat/deep: cannot be read \(Permission denied\)"):
        open_source(f"imagefolder:{root}", preprocessing=Preprocessing())


@pytest.mark.parametrize("source", ["imagefolder", "imagenet", "imagenet-subset"])
def test_a_folder_around_the_folder_of_classes_is_no_class(tmp_path: Path, source: str) -> None:
    # Archives often hold one folder, which holds the data: its name would be the only class.
    root = grey_tree(tmp_path / "archive", {"photos/n01440764/1.png": 1, "photos/n02102040/1.png": 2})
    with pytest.raises(DataError, match=r"archive: holds one folder alone, photos, .* give \S+/archive/photos$"):
        open_source(f"{source}:{root}", preprocessing=Preprocessing())
    one_class = grey_tree(tmp_path / "one", {"cat/1.png": 3, "cat/kittens/1.png": 4})
    assert greys_and_labels(one_class) == [(3, 0), (4, 0)]


def test_images_with_equal_bytes_are_allowed(tmp_path: Path) -> None:
    assert greys_and_labels(grey_tree(tmp_path / "photos", {"cat/1.png": 7, "cat/2.png": 7})) == [(7, 0), (7, 0)]


def test_unlabelled_split_names_the_split_that_has_labels(tmp_path: Path) -> None:
    grey_tree(tmp_path, {"test/1.png": 1, "val/cat/1.png": 1, "train/cat/2.png": 1})
    with pytest.raises(DataError, match=r"this split has no labels, \S+/val beside it has"):
        open_source(f"imagefolder:{tmp_path / 'test'}", preprocessing=Preprocessing())


def test_some_folders_of_imagenet_find_their_outputs(tmp_path: Path) -> None:
    root = grey_tree(tmp_path / "imagenette", {f"{name}/1.png": 1 for name in WORDNET_IDS})
    source = open_source(f"imagefolder:{root}", preprocessing=Preprocessing())
    found = check_source(source, classes=1000, class_names=VGG16_Weights.IMAGENET1K_V1.meta["categories"])
    assert found.labels.tolist() == list(WORDNET_IDS.values())
    assert found.subset == "4 of 1000 classes"
