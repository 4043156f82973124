"""Oracles: pandas' reading of the same tables and Pillow's decoding; counts printed in the data's own README."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from pcbench.data.checks import check
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
    check(source, classes=1000)
    with pytest.raises(DataError, match=r"the label 566 of image .* outside the model's 10 classes"):
        check(source, classes=10)


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
