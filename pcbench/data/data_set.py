"""Whether images are ImageNet's, by what the data says of them. docs/reference/corruptions.md states the rule."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np

from pcbench.data.class_names import are_imagenet, wordnet_id
from pcbench.data.imagenet_classes import IMAGENET_CLASSES, imagenet_labels

if TYPE_CHECKING:  # PyTorch takes seconds to import
    from pcbench.data.image_source import ImageSource

DataSet = Literal["imagenet", "imagenet-train", "imagenet-variant", "imagenet-classes"]
"""`imagenet`: images of ImageNet's validation set, all or some, with its labels. What looks like it and is not:
`imagenet-train`, some are of its training set; `imagenet-variant`, some are of ImageNet-A, -R or -Sketch;
`imagenet-classes`, the labels are not the numbers of its 1,000 classes."""

SCHEMES = ("imagenet", "imagenet-subset")
"""What the data source is called where the user says that images are ImageNet's."""

_VALIDATION = re.compile(r"ILSVRC2012_val_\d{8}", re.IGNORECASE)
_TRAINING = re.compile(r"n\d{8}_\d+(_n\d{8})?\.\w+")
_VARIANT = re.compile(
    r"(art|cartoon|deviantart|embroidery|graffiti|graphic|misc|origami|painting|sculpture|sketch|sticker|tattoo|toy"
    r"|videogame)_\d+\.\w+|0\.\d+_.*_0\.\d+\.\w+"
)
_WORDNET_ID = re.compile(r"(?:^|[/_])(n\d{8})(?=[/_.]|$)")


def known_data_set(source: ImageSource, classes: int) -> DataSet | None:
    """Return which of ImageNet's data sets some images are of; None where nothing says that they are of one.

    Args:
        source: The images, with the labels that a network is measured by.
        classes: Among how many classes the network chooses.
    """
    files = [name.rpartition("/")[2] for name in source.ids]
    found = [_label_of(name) for name in source.ids]
    labels = [label for label in found if label is not None]
    foldered = len(labels) == len(found)
    named = source.class_names is not None and are_imagenet(source.class_names)
    published = all(_VALIDATION.search(name) for name in files)
    told = named or published or source.name.partition(":")[0] in SCHEMES
    if not (told or foldered or _are_wordnet_ids(source.class_names)):
        return None
    if any(_TRAINING.fullmatch(name) for name in files):
        return "imagenet-train"
    if any(_VARIANT.fullmatch(name) for name in files):
        return "imagenet-variant"
    if classes != IMAGENET_CLASSES or (foldered and not np.array_equal(labels, source.labels)):
        return "imagenet-classes"
    return "imagenet"


def _label_of(name: str) -> int | None:
    """Return the label of the ImageNet class whose WordNet id stands in an image's id."""
    found = _WORDNET_ID.findall(name)
    # The list of classes takes a second to import.
    return next((imagenet_labels()[one] for one in found if one in imagenet_labels()), None) if found else None


def _are_wordnet_ids(names: Sequence[str] | None) -> bool:
    found = [wordnet_id(name) for name in names or ()]
    return bool(found) and None not in found and all(one in imagenet_labels() for one in found)
