"""Oracle: the package `datasets` itself, which makes these data sets of known images."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image
from torch.utils.data import Subset

from pcbench.data.preprocessing import Preprocessing
from pcbench.data.sources import open_source
from pcbench.errors import DataError

datasets: Any = pytest.importorskip("datasets")

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 20, 24, 3), dtype=np.uint8)
LABELS = [0, 1, 2, 0, 1, 2]


@pytest.fixture(scope="module")
def dataset() -> Any:
    kinds = {
        "img": datasets.Image(),
        "label": datasets.ClassLabel(names=["eel", "owl", "cow"]),
        "set": datasets.Value("int64"),
    }
    columns = {"img": [Image.fromarray(image) for image in PIXELS], "label": LABELS, "set": [7] * 6}
    return datasets.Dataset.from_dict(columns, features=datasets.Features(kinds))


@pytest.mark.parametrize("form", ["plain", "torch", "numpy", "undecoded", "transformed"])
def test_a_data_set_is_taken_as_it_is(dataset: Any, form: str) -> None:
    value = {
        "plain": lambda: dataset,
        "torch": lambda: dataset.with_format("torch"),
        "numpy": lambda: dataset.with_format("numpy"),
        "undecoded": lambda: dataset.cast_column("img", datasets.Image(decode=False)),
        "transformed": lambda: dataset.with_transform(lambda rows: {**rows, "label": [2 - y for y in rows["label"]]}),
    }[form]()
    source = open_source(value, preprocessing=Preprocessing())
    assert source.labels.tolist() == ([2 - label for label in LABELS] if form == "transformed" else LABELS)
    assert source.class_names == ("eel", "owl", "cow")
    np.testing.assert_array_equal(source.load(range(6)).permute(0, 2, 3, 1), PIXELS)


def test_a_stream_is_taken_with_its_number(dataset: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PCBENCH_CACHE", str(tmp_path))
    stream = dataset.to_iterable_dataset()
    source = open_source((stream, 4), preprocessing=Preprocessing())
    assert source.labels.tolist() == LABELS[:4]
    assert source.class_names == ("eel", "owl", "cow")
    assert source.subset == "the first 4 images of a stream"
    np.testing.assert_array_equal(source.load(range(4)).permute(0, 2, 3, 1), PIXELS[:4])
    with pytest.raises(DataError, match=r"does not say how many images it has; give data=\(stream, 1000\)"):
        open_source(stream, preprocessing=Preprocessing())


def test_columns_are_known_by_their_types(dataset: Any) -> None:
    renamed = dataset.rename_columns({"img": "photograph", "label": "species"})
    assert open_source(renamed, preprocessing=Preprocessing()).labels.tolist() == LABELS


def test_a_subset_has_the_names_of_the_whole(dataset: Any) -> None:
    source = open_source(Subset(dataset, [5, 0]), preprocessing=Preprocessing())
    assert source.labels.tolist() == [2, 0]
    assert source.class_names == ("eel", "owl", "cow")


def test_several_splits_are_refused(dataset: Any) -> None:
    both = datasets.DatasetDict({"train": dataset, "test": dataset})
    with pytest.raises(DataError, match=r"holds the splits train, test; give one of them, such as data\['test'\]"):
        open_source(both, preprocessing=Preprocessing())
