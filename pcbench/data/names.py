"""The forms that the text of a data source takes; light, so that listings load no library."""

from __future__ import annotations

_SOURCES = {
    "digits": "1,797 handwritten digits at 32 px, embedded; splits train, validation, test",
    "imagenet:PATH": "ImageNet in torchvision's layout: PATH/val/<wnid>/*.JPEG, all 1,000 classes",
    "imagenet-subset:PATH": "a part of ImageNet's classes in the same layout; labels stay those of all classes",
    "imagenet-a:PATH": "ImageNet-A, PATH/<wnid>/*: a network chooses among its 200 classes alone",
    "imagenet-r:PATH": "ImageNet-R, the same",
    "imagefolder:PATH": "one folder per class; sorted folder names are the labels",
    "parquet:PATH": "Parquet files with image and label columns, as on the Hugging Face hub",
    "torchvision:CIFAR10": "CIFAR-10 (or CIFAR100), downloaded on first use",
}

PLACE = "(?!torchvision:)[^:]+:(?P<place>.+)"
"""A pattern whose group `place` finds the file or folder in the text of a source."""


def source_names() -> dict[str, str]:
    """Return every form of a source's text, with what it means."""
    return dict(_SOURCES)
