"""Oracles: pandas' reading of the same tables and Pillow's decoding; counts printed in the data's own README."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from pcbench.data.checks import check_source
from pcbench.data.image_source import ImageSource
from pcbench.data.preprocessing import Preprocessing
from pcbench.data.sources import open_source
from pcbench.errors import DataError

IMAGE_TYPE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


@pytest.fixture
def write_table(encode: Callable[..., bytes]) -> Callable[..., Path]:
    def write(
        path: Path,
        labels: Sequence[int | None],
        *,
        paths: bool = True,
        metadata: dict[str, str] | None = None,
        column: str = "image",
    ) -> Path:
        cells = [
            {"bytes": encode("PNG", seed=place), "path": f"{place}.png" if paths else None}
            for place in range(len(labels))
        ]
        table = pa.table({column: pa.array(cells, IMAGE_TYPE), "label": pa.array(labels, pa.int64())})
        pq.write_table(table.replace_schema_metadata(metadata), path, row_group_size=3)
        return path

    return write


def test_real_cifar_equals_pandas_and_pillow(test_data: Path) -> None:
    path = test_data / "cifar10" / "test.parquet"
    source = open_source(f"parquet:{path}", preprocessing=Preprocessing())
    frame = pd.read_parquet(path)
    assert len(source) == 10_000
    assert source.class_names[3] == "cat"
    np.testing.assert_array_equal(source.labels, frame["label"])
    rows = [0, 499, 500, 9_999, 3]
    for row, image in zip(rows, source.load(rows), strict=True):
        oracle = Image.open(io.BytesIO(frame["image"][row]["bytes"])).convert("RGB")
        np.testing.assert_array_equal(image.numpy().transpose(1, 2, 0), np.asarray(oracle))


def test_real_photographs(test_data: Path) -> None:
    source = open_source(
        f"parquet:{test_data}/imagenette/val-500.parquet", preprocessing=Preprocessing(resize=224, crop=224)
    )
    assert len(source) == 500
    assert set(source.labels.tolist()) == {0, 217, 482, 491, 497, 566, 569, 571, 574, 701}
    assert source.ids[0] == "n03394916/ILSVRC2012_val_00011691.JPEG"
    assert source.load([0, 250, 499]).shape == (3, 3, 224, 224)
    check_source(source, classes=1000)
    with pytest.raises(DataError, match=r"the label 566 of image .* outside the model's 10 classes"):
        check_source(source, classes=10)


def test_labels_run_on_over_row_groups_and_files(tmp_path: Path, write_table: Callable[..., Path]) -> None:
    write_table(tmp_path / "test-00000-of-00002.parquet", [0, 1, 2, 3, 4], paths=False)
    write_table(tmp_path / "test-00001-of-00002.parquet", [5, 6], paths=False)
    write_table(tmp_path / "train-00000-of-00001.parquet", [9], paths=False)
    source = open_source(f"parquet:{tmp_path}", preprocessing=Preprocessing())
    assert source.labels.tolist() == [0, 1, 2, 3, 4, 5, 6]
    assert source.ids[:2] == ("row/00000000", "row/00000001")
    # The second file's images were made with the seeds 0 and 1 again.
    np.testing.assert_array_equal(source.load([5, 6]), source.load([0, 1]))
    pattern = open_source(f"parquet:{tmp_path}/test-*.parquet", preprocessing=Preprocessing())
    assert pattern.fingerprint() == source.fingerprint()
    with pytest.raises(DataError, match="begin with 'validation'"):
        open_source(f"parquet:{tmp_path}", preprocessing=Preprocessing(), split="validation")


@pytest.mark.parametrize(
    "metadata",
    [
        {"class_names": json.dumps(["eel", "owl"])},
        {
            "huggingface": json.dumps(
                {"info": {"features": {"label": {"names": ["eel", "owl"], "_type": "ClassLabel"}}}}
            )
        },
    ],
)
def test_class_names_come_from_the_metadata(tmp_path: Path, write_table: Callable[..., Path], metadata: Any) -> None:
    path = write_table(tmp_path / "a.parquet", [0, 1], metadata=metadata, column="img")
    source = open_source(f"parquet:{path}", preprocessing=Preprocessing())
    assert source.class_names == ("eel", "owl")
    assert source.classes == 2


def test_metadata_without_names_says_nothing(tmp_path: Path, write_table: Callable[..., Path]) -> None:
    path = write_table(tmp_path / "a.parquet", [0, 1], metadata={"huggingface": "{}"})
    assert open_source(f"parquet:{path}", preprocessing=Preprocessing()).class_names is None


def test_tables_that_are_none_of_images(tmp_path: Path, write_table: Callable[..., Path]) -> None:
    (tmp_path / "text.parquet").write_text("not a table")
    pq.write_table(pa.table({"a": [1]}), tmp_path / "other.parquet")
    pq.write_table(pa.table({"image": pa.array([], IMAGE_TYPE)}), tmp_path / "unlabelled.parquet")
    write_table(tmp_path / "null.parquet", [0, None])
    whole = write_table(tmp_path / "whole.parquet", [0, 1]).read_bytes()
    (tmp_path / "cut.parquet").write_bytes(whole[:-20])
    for name, problem in [
        ("text", "is not a Parquet file"),
        ("cut", "is not a Parquet file"),
        ("other", "needs one column of images.*columns are a$"),
        ("unlabelled", "needs an integer column 'label'"),
        ("null", "row 1 has no label"),
        ("nowhere", "there is no such Parquet file"),
    ]:
        with pytest.raises(DataError, match=problem):
            open_source(f"parquet:{tmp_path}/{name}.parquet", preprocessing=Preprocessing())


@pytest.mark.parametrize(("labels", "kind"), [(["0", "1"], "string"), ([0.0, 1.0], "double")])
def test_labels_of_another_type_are_told_by_it(tmp_path: Path, labels: list[object], kind: str) -> None:
    cells = [{"bytes": b"", "path": "a.png"}, {"bytes": b"", "path": "b.png"}]
    pq.write_table(pa.table({"image": pa.array(cells, IMAGE_TYPE), "label": labels}), tmp_path / "a.parquet")
    with pytest.raises(
        DataError, match=rf"a\.parquet: the column 'label' holds {kind}; give class numbers as integers"
    ):
        open_source(f"parquet:{tmp_path}/a.parquet", preprocessing=Preprocessing())


def test_replaced_file_is_read_anew(tmp_path: Path, write_table: Callable[..., Path]) -> None:
    path = write_table(tmp_path / "a.parquet", [0, 1, 2])
    source = open_source(f"parquet:{path}", preprocessing=Preprocessing())
    before = source.load([0])
    pq.write_table(pq.read_table(path).take([2, 1, 0]), path)
    assert not np.array_equal(before, source.load([0]))
    path.unlink()
    with pytest.raises(DataError, match=r"a\.parquet: cannot be read \(No such file"):
        source.load([0])


def test_row_without_bytes_is_named(tmp_path: Path) -> None:
    cells = [{"bytes": None, "path": "far/away.png"}]
    pq.write_table(pa.table({"image": pa.array(cells, IMAGE_TYPE), "label": [0]}), tmp_path / "a.parquet")
    source = open_source(f"parquet:{tmp_path}/a.parquet", preprocessing=Preprocessing())
    with pytest.raises(DataError, match=r"a\.parquet, row 0: the column 'image' holds no image bytes"):
        source.fingerprint()


def opened(path: Path | str, split: str = "test") -> ImageSource:
    return open_source(f"parquet:{path}", preprocessing=Preprocessing(), split=split)


def put(write_table: Callable[..., Path], root: Path, files: dict[str, list[int]]) -> Path:
    """Write files whose images are numbered by rows; other labels make other bytes."""
    for name, labels in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        write_table(root / name, labels, paths=False)
    return root


def test_missing_shards_are_refused_in_a_folder_and_told_for_chosen_files(
    tmp_path: Path, write_table: Callable[..., Path]
) -> None:
    put(write_table, tmp_path, {f"test-0000{number}-of-00004.parquet": [number] for number in (0, 3)})
    with pytest.raises(DataError, match=r"the shard test-00001-of-00004 is missing and 1 more; fetch it"):
        opened(tmp_path)
    assert opened(f"{tmp_path}/test-*.parquet").subset == "without the shard test-00001-of-00004 and 1 more"
    one = opened(tmp_path / "test-00003-of-00004.parquet")
    assert one.subset == "without the shard test-00000-of-00004 and 2 more"
    put(write_table, tmp_path, {f"test-0000{number}-of-00004.parquet": [number] for number in (1, 2)})
    assert opened(tmp_path).labels.tolist() == [0, 1, 2, 3]
    assert opened(tmp_path).subset is None


def test_shards_that_count_from_one_are_complete(tmp_path: Path, write_table: Callable[..., Path]) -> None:
    put(write_table, tmp_path, {f"test-{number}-of-2.parquet": [number] for number in (1, 2)})
    assert opened(tmp_path).labels.tolist() == [1, 2]
    (tmp_path / "test-1-of-2.parquet").unlink()
    put(write_table, tmp_path, {"test-extra.parquet": [5]})
    with pytest.raises(DataError, match="test-1-of-2 is missing"):
        opened(tmp_path)


@pytest.mark.parametrize(
    "names",
    [
        ("test-00000-of-00001-6347e7e1f9b8b1e4.parquet", "test-00000-of-00001-0e2b3a1c5d6f7a88.parquet"),
        ("test-00000-of-00001.parquet", "test-00000-of-00002.parquet"),
    ],
)
def test_shards_of_two_versions_are_refused(
    tmp_path: Path, write_table: Callable[..., Path], names: tuple[str, str]
) -> None:
    put(write_table, tmp_path, {names[0]: [0], names[1]: [1]})
    with pytest.raises(DataError, match="is of another version of the split than"):
        opened(tmp_path)


def test_data_file_that_is_there_twice_is_refused(tmp_path: Path, write_table: Callable[..., Path]) -> None:
    put(write_table, tmp_path, {"test-a.parquet": [0, 1]})
    copy = tmp_path / "test-a (1).parquet"
    shutil.copy(tmp_path / "test-a.parquet", copy)
    with pytest.raises(DataError, match=r"is a copy of \S+/test-a \(1\)\.parquet|is a copy of \S+/test-a\.parquet"):
        opened(tmp_path)
    copy.unlink()
    copy.symlink_to(tmp_path / "test-a.parquet")
    with pytest.raises(DataError, match="is a copy of"):
        opened(f"{tmp_path}/*.parquet")


def test_two_images_with_equal_bytes_are_allowed(tmp_path: Path, encode: Callable[..., bytes]) -> None:
    cells = [{"bytes": encode("PNG"), "path": f"{row}.png"} for row in range(2)]
    pq.write_table(pa.table({"image": pa.array(cells, IMAGE_TYPE), "label": [0, 1]}), tmp_path / "a.parquet")
    assert opened(tmp_path / "a.parquet").ids == ("0.png", "1.png")


@pytest.mark.parametrize(
    ("paths", "ids"),
    [
        (["a.png", "b.png", "a.png"], r"'a\.png' stands in row 0 and in row 2; .*rows are the ids$"),
        (["a.png", None, "a.png"], r"'a\.png' stands in row 0 and in row 2"),
        ([None, None, None], ("row/00000000", "row/00000001", "row/00000002")),
        (["", "", ""], ("row/00000000", "row/00000001", "row/00000002")),
        (["x/a.png", "y/a.png", "z"], ("x/a.png", "y/a.png", "z")),
    ],
)
def test_path_that_repeats_is_an_error_and_never_becomes_a_row(
    tmp_path: Path, encode: Callable[..., bytes], paths: list[str | None], ids: tuple[str, ...] | str
) -> None:
    cells = [{"bytes": encode("PNG", seed=row), "path": path} for row, path in enumerate(paths)]
    pq.write_table(pa.table({"image": pa.array(cells, IMAGE_TYPE), "label": [0, 1, 2]}), tmp_path / "a.parquet")
    if isinstance(ids, tuple):
        assert opened(tmp_path / "a.parquet").ids == ids
    else:
        with pytest.raises(DataError, match=ids):
            opened(tmp_path / "a.parquet")


@pytest.mark.parametrize("name", ["train-00000-of-00001.parquet", "training.parquet", "my_train.parquet"])
def test_only_file_that_is_of_the_training_split_is_no_test_data(
    tmp_path: Path, write_table: Callable[..., Path], name: str
) -> None:
    put(write_table, tmp_path, {name: [0, 1]})
    with pytest.raises(DataError, match=f"begin with 'test' .it holds {name}"):
        opened(tmp_path)
    assert opened(tmp_path, "train").notes == ()
    (note,) = opened(tmp_path / name).notes
    assert note == f"measured on training data: {name!r} is a train split by its name, not test data"


def test_only_file_that_is_of_the_test_split_is_no_training_data(
    tmp_path: Path, write_table: Callable[..., Path]
) -> None:
    put(write_table, tmp_path, {"test.parquet": [0]})
    with pytest.raises(DataError, match="begin with 'train'"):
        opened(tmp_path, "train")


def test_pattern_over_splits_is_told(tmp_path: Path, write_table: Callable[..., Path]) -> None:
    put(write_table, tmp_path, {"test.parquet": [0], "train-0.parquet": [1], "train-1.parquet": [2], ".a.parquet": [3]})
    source = opened(f"{tmp_path}/*.parquet")
    assert source.labels.tolist() == [0, 1, 2]
    assert source.notes[0].startswith("measured on training data: 'train-0.parquet' and 1 more")


@pytest.mark.parametrize(
    "files",
    [
        {"data/test-00000-of-00001.parquet": [4, 5], "data/train-00000-of-00001.parquet": [1]},
        {"plain_text/test-00000-of-00001.parquet": [4, 5], "plain_text/train-00000-of-00001.parquet": [1]},
        {"test/0000.parquet": [4], "test/0001.parquet": [5], "train/0000.parquet": [1]},
        {"default/test/0000.parquet": [4, 5], "default/train/0000.parquet": [1]},
        {"snapshots/0a1b2c/data/test-00000-of-00001.parquet": [4, 5], ".cache/test.parquet": [9]},
        {"data/test-00000-of-00001.parquet": [4, 5], "previews/some.parquet": [1]},
        {"test.parquet": [4, 5], "train.parquet": [1], "data/test.parquet": [9]},
        {"test/2019.parquet": [4], "test/2021.parquet": [5]},
        {"mnist/mnist-test-00000-of-00001.parquet": [4, 5], "mnist/mnist-train-00000-of-00001.parquet": [1]},
        {"valid-00000-of-00001.parquet": [1], "imagenet-test-00000-of-00001.parquet": [4, 5]},
    ],
)
def test_repository_is_found_at_its_root(
    tmp_path: Path, write_table: Callable[..., Path], files: dict[str, list[int]]
) -> None:
    put(write_table, tmp_path, files)
    (tmp_path / "README.md").write_text("a data set")
    source = opened(tmp_path)
    assert source.labels.tolist() == [4, 5]
    assert source.notes == ()
    assert source.subset is None


@pytest.mark.parametrize(
    ("files", "problem"),
    [
        ({"a/test.parquet": [0], "b/test.parquet": [1]}, r"several folders hold Parquet files \(a, b\); name one.*/a$"),
        ({"train/0000.parquet": [0], "val/0000.parquet": [1]}, r"no one folder of the split 'test' .*train, val"),
        ({"test/0000.parquet": [0], "test/0002.parquet": [1]}, "the shard 0001 is missing"),
        ({"test/0.parquet": [0], "test/2.parquet": [1], "test/10.parquet": [2]}, "the shard 1 is missing and 7 more"),
        ({"a.parquet": [0], "b.parquet": [1]}, r"begin with 'test' \(it holds a.parquet, b.parquet\)"),
        ({"README/notes.txt": []}, "no Parquet files"),
    ],
)
def test_repository_that_does_not_say_its_test_split_is_refused(
    tmp_path: Path, write_table: Callable[..., Path], files: dict[str, list[int]], problem: str
) -> None:
    put(write_table, tmp_path, files)
    (tmp_path / "README" / "notes.txt").unlink(missing_ok=True)
    with pytest.raises(DataError, match=problem):
        opened(tmp_path)


def test_folder_of_one_split_is_taken_and_training_data_is_called_so(
    tmp_path: Path, write_table: Callable[..., Path]
) -> None:
    put(write_table, tmp_path, {"train/0000.parquet": [0], "train/0001.parquet": [1], "partial-test/0000.parquet": [2]})
    assert "'train'" in opened(tmp_path / "train").notes[0]
    assert opened(tmp_path).subset == "partial, as 'partial-test' says"


@pytest.mark.parametrize(
    ("files", "named"),
    [
        ({"data/test-00000-of-00001.parquet": [-1, -1], "data/validation-00000-of-00001.parquet": [0]}, "validation-"),
        ({"test/0000.parquet": [-1], "val/0000.parquet": [0, 1], "train/0000.parquet": [0]}, r"val/0000\.parquet"),
        ({"test.parquet": [-1], "dev-0.parquet": [0], "dev-1.parquet": [1]}, r"dev-\*\.parquet"),
        ({"test.parquet": [-1], "validation.parquet": [-1], "train.parquet": [0]}, r"train\.parquet"),
    ],
)
def test_unlabelled_split_names_the_split_beside_it(
    tmp_path: Path, write_table: Callable[..., Path], files: dict[str, list[int]], named: str
) -> None:
    put(write_table, tmp_path, files)
    with pytest.raises(DataError, match=rf"all labels are -1: .* beside it has labels, give parquet:\S+{named}"):
        check_source(opened(tmp_path), classes=10)


def test_split_without_labels_of_any_kind_names_the_split_beside_it(
    tmp_path: Path, write_table: Callable[..., Path]
) -> None:
    put(write_table, tmp_path, {"validation.parquet": [0, 1]})
    write_table(tmp_path / "test.parquet", [None, None])
    with pytest.raises(DataError, match=r"row 0 has no label; the split 'validation' beside it has labels"):
        opened(tmp_path)
    table = pq.read_table(tmp_path / "validation.parquet").drop_columns(["label"])
    pq.write_table(table, tmp_path / "test.parquet")
    with pytest.raises(DataError, match=r"needs an integer column 'label'; .*the split 'validation' beside it has"):
        opened(tmp_path)


def test_files_that_name_their_classes_otherwise_are_refused(tmp_path: Path, write_table: Callable[..., Path]) -> None:
    for number, names in enumerate((["eel", "owl"], ["owl", "eel"])):
        write_table(
            tmp_path / f"test-{number}.parquet", [0, number], metadata={"class_names": json.dumps(names)}, paths=False
        )
    with pytest.raises(DataError, match=r"test-1\.parquet: names its classes otherwise than"):
        opened(tmp_path)


def test_folder_that_spark_wrote_is_one_split(tmp_path: Path, write_table: Callable[..., Path]) -> None:
    parts = {"test.parquet/part-00000-a.snappy.parquet": [4], "test.parquet/part-00001-a.snappy.parquet": [5]}
    put(write_table, tmp_path, {**parts, "train.parquet/part-00000-b.snappy.parquet": [1]})
    (tmp_path / "test.parquet" / "_SUCCESS").write_text("")
    assert opened(tmp_path).labels.tolist() == opened(tmp_path / "test.parquet").labels.tolist() == [4, 5]
    assert "'train.parquet' is a train split" in opened(tmp_path / "train.parquet").notes[0]


def test_link_to_nothing_is_named_and_never_left_out(tmp_path: Path, write_table: Callable[..., Path]) -> None:
    put(write_table, tmp_path, {"test-a.parquet": [0]})
    (tmp_path / "test-b.parquet").symlink_to("nowhere")
    for text in (f"{tmp_path}", f"{tmp_path}/*.parquet"):
        with pytest.raises(DataError, match=r"test-b\.parquet: (is a link to nothing|cannot be read)"):
            opened(text)


def test_paths_that_are_numbers_and_names_by_label(tmp_path: Path, encode: Callable[..., bytes]) -> None:
    cells = [{"bytes": encode("PNG", seed=row), "path": row} for row in range(2)]
    table = pa.table({"image": pa.array(cells), "label": [0, 1]})
    names = {"class_names": json.dumps({"1": "owl", "0": "eel"})}
    pq.write_table(table.replace_schema_metadata(names), tmp_path / "a.parquet")
    source = opened(tmp_path / "a.parquet")
    assert source.ids == ("0", "1")
    assert source.class_names == ("eel", "owl")


def test_folder_about_training_is_not_a_split(tmp_path: Path, write_table: Callable[..., Path]) -> None:
    put(write_table, tmp_path, {"train-station/photos.parquet": [0, 1]})
    assert opened(tmp_path / "train-station").notes == ()
