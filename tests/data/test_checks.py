"""Oracle: cases written out by hand, one for each way in which data and model can fail to belong together."""

from __future__ import annotations

import numpy as np
import pytest

from pcbench.data.checks import check_source
from pcbench.data.image_source import ImageSource
from pcbench.data.labels import as_labels
from pcbench.data.preprocessing import Preprocessing
from pcbench.data.stores import ArrayStore
from pcbench.errors import DataError


def source(labels: list[int], class_names: tuple[str, ...] | None = None) -> ImageSource:
    store = ArrayStore("made", np.zeros((len(labels), 4, 4, 3), dtype=np.uint8))
    ids = tuple(f"image-{place}" for place in range(len(labels)))
    classes = None if class_names is None else len(class_names)
    return ImageSource("made", ids, as_labels(labels), store, Preprocessing(), class_names, classes)


def test_data_that_belongs_passes() -> None:
    check_source(source([0, 2, 1]), classes=3)
    check_source(source([0, 2, 1], ("a", "b", "c")), classes=3, class_names=["A", "b ", "c, sea"])
    check_source(source([0], ("polar bear",)), classes=1, class_names=["polar_bear"])


@pytest.mark.parametrize(("labels", "first"), [([0, 3, 5], "label 3 of image 'image-1'"), ([0, 1, -1], "label -1")])
def test_label_out_of_range_names_the_image(labels: list[int], first: str) -> None:
    with pytest.raises(DataError, match=rf"{first}.*outside the model's 3 classes \(0 to 2\)"):
        check_source(source(labels), classes=3)


def test_labels_that_run_from_one_are_told_so() -> None:
    with pytest.raises(DataError, match=r"label 3 of image 'image-2' .*\(0 to 2\); they run from 1: give labels - 1$"):
        check_source(source([1, 2, 3]), classes=3)
    with pytest.raises(DataError, match=r"\(0 to 2\); use data made for this model$"):
        check_source(source([0, 1, 3]), classes=3)


def test_other_number_of_classes_is_refused_although_the_labels_fit() -> None:
    with pytest.raises(DataError, match="has 3 classes, the model has 1000"):
        check_source(source([0, 1, 2], ("a", "b", "c")), classes=1000)


def test_other_names_are_refused() -> None:
    with pytest.raises(DataError, match=r"class 1 is 'b', but 'x' for the model; labels"):
        check_source(source([0], ("a", "b", "c")), classes=3, class_names=["a", "x", "c"])
    with pytest.raises(
        DataError,
        match=r"0 is 'a', but 'c' for the model; the same names in another order.*call the data's 0",
    ):
        check_source(source([0], ("a", "b", "c")), classes=3, class_names=["c", "a", "b"])
    with pytest.raises(DataError, match="names 3 classes, the model names 2"):
        check_source(source([0], ("a", "b", "c")), classes=3, class_names=["a", "b"])
