"""Whether data and model belong together, asked before anything is computed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pcbench.data.image_source import ImageSource
from pcbench.errors import DataError


def check(source: ImageSource, *, classes: int, class_names: Sequence[str] | None = None) -> None:
    """Refuse data whose labels do not mean what the model's outputs mean.

    Args:
        source: The images and labels.
        classes: Number of the model's outputs.
        class_names: Names of the model's classes by label, or None where the model does not say.

    Raises:
        DataError: A label is outside 0 … classes - 1, the data set has another number of classes, or the names
            of the classes differ. The message names the first offending image or class.
    """
    outside = np.flatnonzero((source.labels < 0) | (source.labels >= classes))
    if len(outside) > 0:
        first = int(outside[0])
        raise DataError(
            f"{source.name}: the label {source.labels[first]} of image {source.ids[first]!r} is outside the model's "
            f"{classes} classes (0 to {classes - 1}), as are {len(outside) - 1} more; use data made for this model"
        )
    if source.classes is not None and source.classes != classes:
        raise DataError(
            f"{source.name}: has {source.classes} classes, the model has {classes}; use data made for this model"
        )
    if source.class_names is not None and class_names is not None:
        _check_names(source.name, source.class_names, tuple(class_names))


def _check_names(name: str, of_data: tuple[str, ...], of_model: tuple[str, ...]) -> None:
    if len(of_data) != len(of_model):
        raise DataError(f"{name}: names {len(of_data)} classes, the model names {len(of_model)}")
    for label, (data_name, model_name) in enumerate(zip(of_data, of_model, strict=True)):
        if not _same_class(data_name, model_name):
            order = "; the same names in another order" if sorted(of_data) == sorted(of_model) else ""
            raise DataError(
                f"{name}: class {label} is {data_name!r}, but {model_name!r} for the model{order}; "
                "labels would be counted wrong"
            )


def _same_class(one: str, other: str) -> bool:
    """Compare two names of a class, each of which may be a list of synonyms ("tench, Tinca tinca").

    One name may continue after the other ends: of two classes that WordNet both calls "crane", torchvision calls one
    "crane bird".
    """
    pairs = [(a, b) for a in _synonyms(one) for b in _synonyms(other)]
    return any(a.startswith(b) or b.startswith(a) for a, b in pairs)


def _synonyms(name: str) -> list[str]:
    return [" ".join(part.replace("_", " ").casefold().split()) for part in name.split(",")]
