"""Whether data and model belong together, asked before anything is computed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from pcbench.data.class_names import are_comparable, are_imagenet, first_difference, sorted_as_texts, wordnet_id
from pcbench.data.image_source import ImageSource
from pcbench.data.imagenet_classes import IMAGENET_CLASSES, imagenet_labels, imagenet_names
from pcbench.data.labels import UNKNOWN, as_labels
from pcbench.errors import DataError


def check_source(source: ImageSource, *, classes: int, class_names: Sequence[str] | None = None) -> ImageSource:
    """Refuse data whose labels do not mean what the model's outputs mean.

    Args:
        source: The images and labels.
        classes: Number of the model's outputs.
        class_names: Names of the model's classes by label, or None where the model does not say.

    Returns:
        The images with labels that are the model's outputs. They are those of `source`, except where it holds some of
        ImageNet's classes in folders named by WordNet ids: those find their outputs among the model's 1,000. Its notes
        tell so, and where the names of classes could not be compared.

    Raises:
        DataError: A label is outside 0 … classes - 1, the data set has another number of classes, or the names
            of the classes differ. The message names the first offending image or class.
    """
    _check_labels(source, classes)
    if source.class_names is not None and class_names is not None and len(source.class_names) != classes:
        part = _part_of_imagenet(source, source.class_names, tuple(class_names))
        if part is not None:
            return part
    if source.classes is not None and source.classes != classes:
        raise DataError(
            f"{source.name}: has {source.classes} classes, the model has {classes}; use data made for this model"
            + _subset_remedy(source, classes)
        )
    if source.class_names is not None and class_names is not None and are_comparable(source.class_names, class_names):
        _check_names(source.name, source.class_names, tuple(class_names))
        return source
    if class_names is not None and len(class_names) != classes:
        raise DataError(f"the model names {len(class_names)} classes but has {classes} outputs; name each once")
    if source.class_names is not None and class_names is not None:
        _refuse_numbers_as_texts(source.name, source.class_names)
    return source.noted(_order_note(source.class_names, class_names))


def _subset_remedy(source: ImageSource, classes: int) -> str:
    """Return the remedy for folders of ImageNet's classes and a model that does not name its own."""
    known = source.class_names is not None and all(map(wordnet_id, source.class_names))
    return "; for a model of ImageNet, give imagenet-subset:PATH" if known and classes == IMAGENET_CLASSES else ""


def _check_labels(source: ImageSource, classes: int) -> None:
    unknown = int(np.count_nonzero(source.labels == UNKNOWN))
    if unknown == len(source):
        remedy = source.labelled_split or "give a split that has labels, often the validation split"
        raise DataError(f"{source.name}: all labels are {UNKNOWN}: this split was published without labels; {remedy}")
    outside = np.flatnonzero((source.labels < 0) | (source.labels >= classes))
    if len(outside) > 0:
        first = int(outside[0])
        more = f", as are {len(outside) - 1} more" if len(outside) > 1 else ""
        from_one = np.array_equal(np.unique(source.labels), np.arange(1, classes + 1))
        remedy = "they run from 1: give labels - 1" if from_one else "use data made for this model"
        if classes == 1:
            remedy = "one output alone tells no classes apart: give the model one output per class"
        unlabelled = f"; {unknown} of {len(source)} images have no label ({UNKNOWN})" if unknown else ""
        raise DataError(
            f"{source.name}: the label {source.labels[first]} of image {source.ids[first]!r} is outside the model's "
            f"{classes} classes (0 to {classes - 1}){more}{unlabelled}; {remedy}"
        )


def _part_of_imagenet(source: ImageSource, of_data: tuple[str, ...], of_model: tuple[str, ...]) -> ImageSource | None:
    """Return data on some of ImageNet's classes with ImageNet's labels; None where data or model are of other classes.

    The classes are known by their WordNet ids, which no other data set uses.
    """
    label_of = imagenet_labels()
    found = [label_of.get(wordnet_id(name) or "") for name in of_data]
    labels = [label for label in found if label is not None]
    if len(labels) < len(found) or len(set(labels)) < len(labels) or not are_imagenet(of_model):
        return None
    part = f"{len(labels)} of {IMAGENET_CLASSES} classes"
    mapped = replace(
        source,
        labels=as_labels(np.array(labels)[source.labels]),
        class_names=imagenet_names(),
        classes=IMAGENET_CLASSES,
        subset=part if source.subset is None else f"{source.subset}, {part}",
    )
    return mapped.noted(f"{part} of ImageNet, found by their WordNet ids; the model chooses among all of them")


def _check_names(name: str, of_data: tuple[str, ...], of_model: tuple[str, ...]) -> None:
    if len(of_data) != len(of_model):
        raise DataError(f"{name}: names {len(of_data)} classes, the model names {len(of_model)}")
    label = first_difference(of_data, of_model)
    if label is not None:
        reordered = sorted(of_data) == sorted(of_model)
        order = "; the same names in another order" if reordered else ""
        remedy = "call the data's 0, 1, 2 … in the order of the outputs" if reordered else "give those of the outputs"
        raise DataError(
            f"{name}: class {label} is {of_data[label]!r}, but {of_model[label]!r} for the model{order}; "
            f"labels would be counted wrong: {remedy}, and leave the model's class_names as its outputs are"
        )


def _refuse_numbers_as_texts(name: str, of_data: tuple[str, ...]) -> None:
    """Refuse numbers for names in an order that the model, which has names, cannot have been trained with."""
    label = sorted_as_texts(of_data)
    if label is not None:
        raise DataError(
            f"{name}: class {label} is called {of_data[label]!r} and the class before it {of_data[label - 1]!r}: "
            "folders were sorted as texts; give imagefolder:PATH, which sorts them as numbers, or the numbers as labels"
        )


def _order_note(of_data: Sequence[str] | None, of_model: Sequence[str] | None) -> str:
    if of_data is None:
        silent = "data and model do not name them" if of_model is None else "the data does not name them"
    else:
        silent = "the model does not name them" if of_model is None else "one side has numbers for names"
    order = "" if of_data is None else f", from {of_data[0]!r} = 0 to {of_data[-1]!r} = {len(of_data) - 1}"
    return f"classes are matched by their order alone{order}: {silent}, so names could not be compared"
