"""Oracles: small folders and arrays in the published layouts, whose bytes are known here."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from pcbench.catalog import catalog_folder, load_header
from pcbench.corruptions.definitions import CorruptionHeader, load_corruption_suite
from pcbench.data.preprocessing import Preprocessing
from pcbench.data.published import PublishedFiles, open_published
from pcbench.data.sources import open_source
from pcbench.errors import DataError, UnknownNameError, UsageError
from pcbench.harness.suites import open_corrupted

WORDNET_IDS = {"n01440764": 0, "n02102040": 217}
NAMES = ("gaussian_noise", "fog")
SEVERITIES = range(1, 6)


@pytest.fixture(params=["plain", "with family"])
def folders(tmp_path: Path, write_image: Callable[..., Path], request: pytest.FixtureRequest) -> Path:
    families = {"gaussian_noise": "noise", "fog": "weather"}
    seed = 0
    for corruption in NAMES:
        root = tmp_path / (families[corruption] if request.param == "with family" else ".") / corruption
        for severity in SEVERITIES:
            for wordnet_id in WORDNET_IDS:
                for number in range(2):
                    seed += 1
                    path = root / str(severity) / wordnet_id / f"ILSVRC2012_val_{number:08d}.JPEG"
                    write_image(path, seed=seed, height=224, width=224)
    return tmp_path


def opened(
    path: Path,
    suite: str = "imagenet-c",
    corruptions: tuple[str, ...] = NAMES,
    crop: int | None = 224,
    subset: bool = True,
) -> PublishedFiles:
    preprocessing = Preprocessing(resize=crop and 2 * crop, crop=crop, interpolation="bicubic")
    layout = load_header(CorruptionHeader, catalog_folder("corruptions") / suite).published
    assert layout is not None
    asked = dict.fromkeys(corruptions, SEVERITIES)
    return open_published(suite, layout, path, corruptions=asked, preprocessing=preprocessing, subset=subset)


def test_images_are_the_files_own_whatever_the_models_resize(folders: Path) -> None:
    published = opened(folders)
    assert published.images.labels.tolist() == [0, 0, 217, 217]
    assert published.images.subset == "4 of 50000 images"
    source = published.source("fog", 3)
    root = next(folders.glob("**/fog"))
    expected = open_source(f"imagefolder:{root / '3'}", preprocessing=Preprocessing())
    np.testing.assert_array_equal(source.load(range(4)), expected.load(range(4)))
    assert source.ids == expected.ids
    assert source.name == "imagenet-c:fog:3"


def test_part_of_the_published_files_is_taken_only_when_asked_for(folders: Path) -> None:
    with pytest.raises(DataError, match="holds 4 images per condition, not the 50000 of 1000 classes"):
        opened(folders, subset=False)


def test_all_missing_folders_are_listed(folders: Path) -> None:
    (next(folders.glob("**/fog")) / "2").rename(folders / "elsewhere")
    with pytest.raises(DataError, match="missing: snow, frost, fog/2;"):
        opened(folders, corruptions=("snow", "fog", "frost"))


def test_condition_with_other_images_is_named(folders: Path) -> None:
    (next(folders.glob("**/fog")) / "4/n01440764/ILSVRC2012_val_00000001.JPEG").unlink()
    with pytest.raises(DataError, match=r"fog/4: holds 3 images where .*gaussian_noise/1 holds 4 \(1 missing, 0 more"):
        opened(folders)


def test_model_of_another_size_and_files_of_another_size_are_refused(
    folders: Path, write_image: Callable[..., Path]
) -> None:
    with pytest.raises(DataError, match="published images have 224 px, but the model takes 299 px"):
        opened(folders, crop=299)
    path = next(folders.glob("**/fog")) / "5/n02102040/ILSVRC2012_val_00000000.JPEG"
    write_image(path, height=256, width=256)
    with pytest.raises(DataError, match=r"fog/5/n02102040/.*JPEG: has 256x256 px, the published images have 224x224"):
        opened(folders).source("fog", 5).load([2])


def test_damaged_file_is_named_by_the_fingerprint(folders: Path) -> None:
    published = opened(folders)
    before = published.fingerprint()
    path = next(folders.glob("**/fog")) / "5/n02102040/ILSVRC2012_val_00000001.JPEG"
    path.write_bytes(path.read_bytes()[:-500])
    assert len(before) == 64
    with pytest.raises(DataError, match=r"fog/5/n02102040/ILSVRC2012_val_00000001\.JPEG: is a damaged"):
        opened(folders).fingerprint()


def test_clean_images_choose_and_order_the_corrupted_ones(
    folders: Path, tmp_path: Path, write_image: Callable[..., Path]
) -> None:
    for wordnet_id in WORDNET_IDS:
        write_image(tmp_path / "clean" / "val" / wordnet_id / "ILSVRC2012_val_00000001.JPEG", height=300, width=280)
    clean = open_source(f"imagenet-subset:{tmp_path / 'clean'}", preprocessing=Preprocessing(256, 224))
    aligned = opened(folders).align(clean)
    assert aligned.images.ids == clean.ids
    assert aligned.images.subset == "2 of 4 images"
    source = aligned.source("gaussian_noise", 2)
    np.testing.assert_array_equal(source.load([0, 1]), opened(folders).source("gaussian_noise", 2).load([1, 3]))
    write_image(tmp_path / "clean" / "val" / "n01440764" / "other.JPEG", height=300, width=280)
    clean = open_source(f"imagenet-subset:{tmp_path / 'clean'}", preprocessing=Preprocessing(256, 224))
    with pytest.raises(DataError, match=r"1 of the 3 images .* such as 'n01440764/other\.JPEG'"):
        opened(folders).align(clean)


@pytest.fixture
def arrays(tmp_path: Path) -> Path:
    random = np.random.default_rng(0)
    for name in NAMES:
        np.save(tmp_path / f"{name}.npy", random.integers(0, 256, (30, 32, 32, 3), dtype=np.uint8))
    np.save(tmp_path / "labels.npy", np.tile([3, 1, 4, 1, 5, 9], 5))
    return tmp_path


def test_arrays_are_cut_by_severity(arrays: Path) -> None:
    published = opened(arrays, "cifar-10-c", crop=32)
    assert published.images.labels.tolist() == [3, 1, 4, 1, 5, 9]
    assert published.images.ids[2] == "cifar-10/test/00002"
    pixels = np.load(arrays / "fog.npy")
    for severity in SEVERITIES:
        expected = pixels[(severity - 1) * 6 : severity * 6].transpose(0, 3, 1, 2)
        np.testing.assert_array_equal(published.source("fog", severity).load(range(6)), expected)


def test_arrays_that_are_not_as_published_are_refused(arrays: Path) -> None:
    with pytest.raises(DataError, match="holds 6 images per condition, not the 10000"):
        opened(arrays, "cifar-10-c", crop=32, subset=False)
    with pytest.raises(DataError, match=r"missing: snow\.npy, frost\.npy"):
        opened(arrays, "cifar-10-c", ("fog", "snow", "frost"), crop=32)
    np.save(arrays / "fog.npy", np.zeros((30, 3, 32, 32), dtype=np.uint8))
    with pytest.raises(DataError, match=r"fog\.npy: has the shape \(30, 3, 32, 32\)"):
        opened(arrays, "cifar-10-c", crop=32)
    (arrays / "fog.npy").write_bytes((arrays / "gaussian_noise.npy").read_bytes()[:-100])
    with pytest.raises(DataError, match=r"fog\.npy: is not an array that can be read"):
        opened(arrays, "cifar-10-c", crop=32)
    np.save(arrays / "labels.npy", np.arange(30) % 7)
    with pytest.raises(DataError, match="same labels 5 times"):
        opened(arrays, "cifar-10-c", ("gaussian_noise",), crop=32)


def test_pickled_array_is_not_opened(arrays: Path) -> None:
    np.save(arrays / "fog.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match=r"fog\.npy: is not an array that can be read"):
        opened(arrays, "cifar-10-c", crop=32)


def test_labels_of_the_clean_images_must_agree(arrays: Path) -> None:
    published = opened(arrays, "cifar-10-c", crop=32)
    pixels = np.zeros((2, 32, 32, 3), dtype=np.uint8)
    clean = SimpleNamespace(images=pixels, labels=[3, 2], ids=["cifar-10/test/00000", "cifar-10/test/00001"])
    with pytest.raises(DataError, match="image 'cifar-10/test/00001' has the label 1, but 2"):
        published.align(open_source(clean, preprocessing=Preprocessing()))


def test_arrays_are_paired_by_order_with_the_same_labels_in_the_same_order(arrays: Path) -> None:
    # Oracle: the rows of the array itself; CIFAR-10 as Parquet or as torchvision's object has other ids.
    published, pixels = opened(arrays, "cifar-10-c", crop=32), np.load(arrays / "fog.npy")
    clean = open_source((np.zeros((6, 32, 32, 3), dtype=np.uint8), [3, 1, 4, 1, 5, 9]), preprocessing=Preprocessing())
    whole = published.align(clean)
    assert whole.images.ids == clean.ids
    np.testing.assert_array_equal(whole.source("fog", 2).load(range(6)), pixels[6:12].transpose(0, 3, 1, 2))
    part = published.align(clean.take(3))
    assert part.images.ids == clean.take(3).ids
    assert part.images.subset == "3 of 6 images"
    rows = [clean.ids.index(name) for name in part.images.ids]
    np.testing.assert_array_equal(part.source("fog", 5).load(range(3)), pixels[24:][rows].transpose(0, 3, 1, 2))


@pytest.mark.parametrize(
    ("labels", "why"),
    [
        ([3, 1, 4, 1, 9, 5], "4 of 6 labels agree"),
        ([3, 1, 4, 1, 5, 9, 2], "7 images, not 6"),
        ([9, 9, 9, 9, 9, 3], "0 of 6 labels agree"),
    ],
)
def test_arrays_are_not_paired_with_images_in_another_order(arrays: Path, labels: list[int], why: str) -> None:
    pixels = np.zeros((len(labels), 32, 32, 3), dtype=np.uint8)
    clean = open_source((pixels, labels), preprocessing=Preprocessing())
    with pytest.raises(DataError, match=f"not the published ones in their order .{why}.; give .*torchvision:CIFAR10"):
        opened(arrays, "cifar-10-c", crop=32).align(clean.take(3))


def test_unknown_corruptions_and_severities(folders: Path) -> None:
    published = opened(folders)
    with pytest.raises(UnknownNameError, match="did you mean 'fog'"):
        published.source("fogs", 1)
    with pytest.raises(UnknownNameError, match="severity"):
        published.source("fog", 6)
    with pytest.raises(DataError, match="there is no such folder of published"):
        opened(folders / "nowhere")


@pytest.mark.parametrize("folders", ["with family"], indirect=True)
def test_corruption_that_is_there_twice_is_refused(folders: Path) -> None:
    shutil.copytree(folders / "weather", folders / ".trash")
    assert len(opened(folders).images) == 4
    shutil.copytree(folders / "weather" / "fog", folders / "other" / "fog")
    with pytest.raises(DataError, match=r"holds fog in \S+/other/fog and in \S+/weather/fog; keep one of the two"):
        opened(folders)


@pytest.mark.parametrize(
    ("suite", "side", "wordnet_ids", "file", "labels"),
    [
        ("imagenet-3dcc", 224, ("n01440764", "n02102040"), "ILSVRC2012_val_00000293.JPEG", [0, 217]),
        ("imagenet-c-bar", 224, ("n01440764", "n02102040"), "ILSVRC2012_val_00000293.JPEG", [0, 217]),
    ],
)
def test_folders_of_other_suites_lie_as_imagenet_c_s(
    tmp_path: Path,
    write_image: Callable[..., Path],
    suite: str,
    side: int,
    wordnet_ids: tuple[str, ...],
    file: str,
    labels: list[int],
) -> None:
    names = tuple(one.name for one in load_corruption_suite(catalog_folder("corruptions") / suite).corruptions)
    for number, name in enumerate(names):
        for severity in SEVERITIES:
            for seed, wordnet_id in enumerate(wordnet_ids):
                path = tmp_path / name / str(severity) / wordnet_id / file
                write_image(path, seed=seed + 2 * severity + 10 * number, height=side, width=side)
    published = opened(tmp_path, suite, names, crop=side)
    assert published.images.labels.tolist() == labels
    assert published.images.ids == tuple(f"{one}/{file}" for one in wordnet_ids)
    source = published.source(names[-1], 4)
    expected = open_source(f"imagefolder:{tmp_path / names[-1] / '4'}", preprocessing=Preprocessing())
    np.testing.assert_array_equal(source.load(range(2)), expected.load(range(2)))
    (tmp_path / names[0] / "1" / "n99999999").mkdir()
    with pytest.raises(DataError, match="n99999999 is not one of the"):
        opened(tmp_path, suite, names, crop=side)


def test_tiny_imagenet_c_has_the_labels_of_its_own_folders(tmp_path: Path, write_image: Callable[..., Path]) -> None:
    folder = catalog_folder("corruptions") / "tiny-imagenet-c"
    layout = load_header(CorruptionHeader, folder).published
    assert layout is not None
    assert (layout.images, layout.side, layout.classes) == (10000, 64, 200)
    for severity in SEVERITIES:
        for seed, wordnet_id in enumerate(("n01443537", "n12267677")):
            for name in NAMES:
                path = tmp_path / name / str(severity) / wordnet_id / "val_0.JPEG"
                write_image(path, seed=seed + severity, height=64, width=64)
    arguments = {"corruptions": dict.fromkeys(NAMES, SEVERITIES), "preprocessing": Preprocessing(), "subset": True}
    with pytest.raises(DataError, match="holds 2 folders of classes, not 200; labels are the order"):
        open_published("tiny-imagenet-c", layout, tmp_path, **arguments)
    small = layout.model_copy(update={"classes": 2})
    published = open_published("tiny-imagenet-c", small, tmp_path, **arguments)
    clean = open_source(f"imagefolder:{tmp_path / 'fog' / '1'}", preprocessing=Preprocessing())
    aligned = published.align(clean)
    assert aligned.images.labels.tolist() == [0, 1]
    assert aligned.images.class_names == ("n01443537", "n12267677")


def test_cifar_100_c_has_the_classes_and_ids_of_cifar_100(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (15, 32, 32, 3), dtype=np.uint8)
    for name in NAMES:
        np.save(tmp_path / f"{name}.npy", pixels)
    np.save(tmp_path / "labels.npy", np.tile(np.array([7, 99, 0], dtype=np.int64), 5))
    published = opened(tmp_path, "cifar-100-c", crop=None)
    assert published.images.ids == ("cifar-100/test/00000", "cifar-100/test/00001", "cifar-100/test/00002")
    assert published.images.class_names is not None
    assert [published.images.class_names[label] for label in published.images.labels] == ["beetle", "worm", "apple"]
    np.testing.assert_array_equal(published.source("fog", 2).load([1])[0], pixels[4].transpose(2, 0, 1))


def test_what_is_published_as_files_alone_is_not_made_here() -> None:
    for name in ("imagenet-3dcc", "tiny-imagenet-c"):
        suite = load_corruption_suite(catalog_folder("corruptions") / name)
        assert all(list(one.severities) == list(SEVERITIES) for one in suite.corruptions)
        with pytest.raises(UsageError, match="cannot be made here"):
            open_corrupted(suite, None, SimpleNamespace(), subset=False)
