"""Class labels: one rule for files, arrays and objects of Python."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

from pcbench.arguments import asked
from pcbench.errors import DataError, first_line

UNKNOWN = -1
"""The label that data sets write where they do not say the class."""


def as_labels(labels: Any, *, name: str = "labels", images: int | None = None) -> NDArray[np.int64]:
    """Return class numbers as a read-only int64 vector, shape (images,).

    Labels are whole numbers in any integer type, one per image. A column, shape (images, 1), is taken as a vector.
    -1, which many data sets write for "not known", is kept: `pcbench.data.checks.check_source` refuses it,
    with its reason.

    Args:
        labels: An array, tensor, list or other ordered collection of class numbers.
        name: What the data is called in error messages.
        images: How many images there are, if known before.

    Raises:
        DataError: A label is a fraction, a truth value, a name or missing; an image has several labels, such as a
            one-hot row; there are not as many labels as images; or an object of the user's own raised an exception.
    """
    array = asked(name, lambda: _as_array(labels, name))
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        raise DataError(f"{name}: {_shape_problem(array)}")
    if images is not None and len(array) != images:
        raise DataError(f"{name}: {images} images but {len(array)} labels; give one label for each image")
    if len(array) and array.dtype.kind not in "iu":
        raise DataError(f"{name}: {_type_problem(array)}")
    if array.dtype.kind == "u" and len(array) and array.max() > np.iinfo(np.int64).max:
        raise DataError(f"{name}: the label {array.max()} is too large to be the number of a class")
    vector = array.astype(np.int64)
    vector.setflags(write=False)
    return vector


def _as_array(labels: Any, name: str) -> NDArray[Any]:
    if isinstance(labels, torch.Tensor):
        return _from_tensor(labels)
    unordered: tuple[type, ...] = (str, bytes, Mapping, Set)
    kind = type(labels).__name__
    if isinstance(labels, unordered) or not isinstance(labels, Iterable):
        raise DataError(f"{name}: labels are a list or array of class numbers, not {kind}")
    held = cast("Iterable[Any]", labels)
    if not hasattr(held, "__array__"):
        held = [_from_tensor(entry) if isinstance(entry, torch.Tensor) else entry for entry in held]
    try:
        # Beside numbers, NumPy would take truth values for 0 and 1.
        truths = isinstance(held, list) and any(isinstance(entry, bool | np.bool_) for entry in held)
        array = np.asanyarray(held, dtype=object if truths else None)
    except (TypeError, ValueError) as error:
        raise DataError(f"{name}: labels must be one class number for each image ({error})") from error
    if np.ma.is_masked(array):
        first = int(np.flatnonzero(np.ma.getmaskarray(array))[0])
        raise DataError(f"{name}: image {first} has no label (it is masked); leave such images out")
    if array.dtype == object and all(_is_whole(entry) and abs(int(entry)) < 2**63 for entry in array.flat):
        return array.astype(np.int64)
    return np.asarray(array)


def _from_tensor(tensor: torch.Tensor) -> NDArray[Any]:
    try:
        held = tensor.detach().cpu()
        # NumPy has no bfloat16; what matters is that these are not whole numbers.
        return (held.double() if held.is_floating_point() else held).numpy()
    except (RuntimeError, TypeError, NotImplementedError) as error:
        raise DataError(f"labels are a tensor of plain numbers, one per image ({first_line(error)})") from error


def _shape_problem(array: NDArray[Any]) -> str:
    if array.ndim == 2 and array.shape[1] > 1:
        if array.dtype.kind in "biuf" and _one_hot(array):
            return f"one-hot labels of shape {array.shape}; give class numbers, labels.argmax(1)"
        row = "; for all labels in one row give labels[0]" if array.shape[0] == 1 else ""
        problem = f"labels of shape {array.shape} are {array.shape[1]} numbers per image"
        return f"{problem}; give one class number per image{row}"
    return f"labels of shape {array.shape}; give one class number per image, shape (images,)"


def _one_hot(array: NDArray[Any]) -> bool:
    return bool(np.all((array == 0) | (array == 1)) and np.all(array.sum(axis=1) == 1))


def _type_problem(array: NDArray[Any]) -> str:
    if array.dtype.kind == "b":
        return "labels are truth values (booleans); where they mean classes 0 and 1, give labels.astype(int)"
    if array.dtype.kind == "f":
        return _float_problem(array)
    from pandas import isna

    wrong = [(index, entry) for index, entry in enumerate(array.tolist()) if not _is_whole(entry)]
    if not wrong:
        return f"the label {max(array, key=abs)} is too large to be the number of a class"
    index, entry = wrong[0]
    if isinstance(entry, str | bytes):
        return f"the label of image {index} is the text {entry!r}; give the numbers of the model's classes"
    if isna(entry) is True:
        return f"image {index} has no label ({entry}); leave such images out"
    return f"the label of image {index} is {entry!r} ({type(entry).__name__}); give whole numbers from 0"


def _float_problem(array: NDArray[Any]) -> str:
    wrong = np.flatnonzero((array != np.floor(array)) | np.isinf(array))
    if len(unknown := np.flatnonzero(np.isnan(array))):
        return f"image {unknown[0]} has no label (NaN); leave such images out"
    if len(wrong):
        return f"the label of image {wrong[0]} is {array[wrong[0]]}; labels are whole numbers, the numbers of classes"
    return f"labels are {array.dtype} numbers; where they are the numbers of classes, give labels.astype(int)"


def _is_whole(entry: Any) -> bool:
    return isinstance(entry, int | np.integer) and not isinstance(entry, bool)
