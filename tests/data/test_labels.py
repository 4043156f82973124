"""Oracle: the class numbers 3, 0, 1 written in every form in which people hold them, and forms that are not valid."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from pcbench.data.labels import as_labels
from pcbench.errors import DataError

_INTEGERS = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]


@pytest.mark.parametrize(
    "labels",
    [
        [3, 0, 1],
        (3, 0, 1),
        range(3, 0, -1),
        [np.int64(3), 0, np.uint8(1)],
        [torch.tensor(3), torch.tensor(0), torch.tensor(1)],
        [[3], [0], [1]],
        np.array([[3], [0], [1]], dtype=np.int32),
        torch.tensor([[3], [0], [1]]),
        pd.Series([3, 0, 1], dtype="Int64"),
        pd.Series([3, 0, 1], dtype=object),
        pd.Series([3, 0, 1], index=[5, 7, 2]),
        *(np.array([3, 0, 1], dtype=kind) for kind in _INTEGERS),
        *(torch.tensor([3, 0, 1]).to(getattr(torch, kind)) for kind in _INTEGERS),
    ],
    ids=str,
)
def test_whole_numbers_of_any_type_are_taken(labels: Any) -> None:
    found = as_labels(labels, images=3)
    assert found.dtype == np.int64
    assert found.tolist() == ([3, 2, 1] if isinstance(labels, range) else [3, 0, 1])
    assert not found.flags.writeable


@pytest.mark.parametrize(
    ("labels", "problem"),
    [
        ([0, 1.5, 2], r"label of image 1 is 1\.5; labels are whole numbers"),
        (np.array([0.0, 1.0, 2.0]), r"float64 numbers; .*labels\.astype\(int\)"),
        (torch.tensor([0.0, 1.0, 2.0], dtype=torch.bfloat16), r"labels\.astype\(int\)"),
        ([0, float("nan"), 2], r"image 1 has no label \(NaN\)"),
        (np.array([0, np.inf, 2]), "label of image 1 is inf"),
        ([True, False, True], "label of image 0 is True"),
        ([0, 1, True], "label of image 2 is True"),
        (np.array([True, False, True]), r"truth values .*labels\.astype\(int\)"),
        (torch.tensor([True, False, True]), "truth values"),
        (np.eye(3), r"one-hot labels of shape \(3, 3\); give class numbers, labels\.argmax\(1\)"),
        (torch.eye(3, dtype=torch.bool), r"one-hot .*argmax\(1\)"),
        ([[0, 1], [1, 0], [1, 0]], r"one-hot .*argmax\(1\)"),
        (np.full((3, 4), 0.25), r"shape \(3, 4\) are 4 numbers per image"),
        (np.zeros((3, 1, 1), dtype=int), r"shape \(3, 1, 1\); give one class number per image"),
        (["cat", "dog", "cat"], "label of image 0 is the text 'cat'"),
        (np.array(["0", "1", "2"]), "label of image 0 is the text '0'"),
        ([0, None, 1], r"image 1 has no label \(None\)"),
        (pd.Series([0, None, 1], dtype="Int64"), r"image 1 has no label \(NaN\)"),
        ([0, pd.NA, 1], r"image 1 has no label \(<NA>\)"),
        (np.ma.MaskedArray([0, 1, 2], mask=[0, 1, 0]), r"image 1 has no label \(it is masked\)"),
        ([[0], [1, 2], [0]], "one class number for each image"),
        ([0, 2**70, 1], "1180591620717411303424 is too large"),
        (np.array([0, 2**64 - 1, 1], dtype=np.uint64), "18446744073709551615 is too large"),
        ([0, 1 + 0j, 2], "whole numbers"),
        ({0: 1, 1: 2, 2: 3}, "list or array of class numbers, not dict"),
        ({0, 1, 2}, "not set"),
        ("012", "not str"),
        (5, "not int"),
        (None, "not NoneType"),
        ([0, 1], "3 images but 2 labels"),
        ([0, 1, 2, 3], "3 images but 4 labels"),
    ],
    ids=str,
)
def test_what_is_no_class_number_is_refused_in_one_line(labels: Any, problem: str) -> None:
    with pytest.raises(DataError, match=f"^birds: .*(?:{problem})") as error:
        as_labels(labels, name="birds", images=3)
    assert "\n" not in str(error.value)
