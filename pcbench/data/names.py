"""The forms that the text of a data source takes; light, so that listings load no library."""

from __future__ import annotations

import os
from pathlib import Path

from pcbench.errors import DataError, UnknownNameError
from pcbench.plugins import plugins

_SOURCES = {
    "digits": "1,797 handwritten digits at 32 px, embedded, in 1 or 3 channels as the network takes; three splits",
    "imagenet:PATH": "ImageNet in torchvision's layout: PATH/val/<wnid>/*.JPEG, all 1,000 classes",
    "imagenet-subset:PATH": "a part of ImageNet's classes in the same layout; labels stay those of all classes",
    "imagenet-a:PATH": "ImageNet-A, PATH/<wnid>/*: a network chooses among its 200 classes alone",
    "imagenet-r:PATH": "ImageNet-R, the same",
    "imagefolder:PATH": "one folder per class; sorted folder names are the labels",
    "parquet:PATH": "Parquet files with image and label columns, as on the Hugging Face hub",
    "torchvision:CIFAR10": "CIFAR-10 (or CIFAR100), downloaded on first use",
}

_SETS = ("CIFAR10", "CIFAR100")

PLACE = "(?!torchvision:)[^:]+:(?P<place>.+)"
"""A pattern whose group `place` finds the file or folder in the text of a source."""


_IMAGENET = "there is no such folder; give the folder of ImageNet that holds val/<wnid>/*.JPEG, as imagenet:PATH"
_MISSING = {
    "imagenet": _IMAGENET,
    "imagenet-subset": _IMAGENET,
    "imagenet-a": "there is no such folder; give that of imagenet-a, which holds <wnid>/*.jpg",
    "imagenet-r": "there is no such folder; give that of imagenet-r, which holds <wnid>/*.jpg",
    "imagefolder": "there is no such folder of images",
    "parquet": "there is no such Parquet file or folder",
}


def names_scheme(source: str) -> bool:
    """Return whether a text begins with a scheme of `source_names`."""
    return source.partition(":")[0] in {form.partition(":")[0] for form in source_names()}


def scheme_of(source: str) -> tuple[str, str]:
    """Return how a text names data, and its file, folder or data set.

    Args:
        source: One of the forms of `source_names`, and no name that another package registers.

    Raises:
        UnknownNameError: It begins with no known scheme.
        DataError: It is written otherwise.
    """
    scheme, _, place = source.partition(":")
    forms = {form.partition(":")[0]: form for form in source_names()}
    if scheme not in forms and scheme.casefold() in forms:
        raise DataError(f"{source}: write it as {forms[scheme.casefold()]}")
    if scheme not in forms and os.path.exists(source):  # noqa: PTH110 - of a text that may be too long for a path
        raise DataError(f"{source}: is a path; say what lies there, as in imagefolder:{source} or parquet:{source}")
    if scheme not in forms:
        raise UnknownNameError("data source", source, [*source_names(), *plugins("data")])
    if (scheme == "digits") is bool(place):
        raise DataError(f"{source}: write it as {forms[scheme]}")
    return scheme, place


def no_such_place(scheme: str, path: Path) -> DataError:
    """Return the error about a file or folder of images that is not there."""
    return DataError(f"{path}: {_MISSING[scheme]}")


def refuse_unknown_set(name: str) -> None:
    """Refuse a name that is none of torchvision's data sets that can be measured.

    Raises:
        UnknownNameError: The nearest is suggested.
    """
    if name not in _SETS:
        raise UnknownNameError("torchvision data set", name, _SETS)


def refuse_missing_data(source: str) -> None:
    """Refuse a text that names no data, or a file or folder that is not there, before any library is loaded.

    Raises:
        UnknownNameError: It begins with no known scheme.
        DataError: It is written otherwise, or what it names is not there.
    """
    if not names_scheme(source) and source.partition(":")[0] in plugins("data"):
        return
    scheme, place = scheme_of(source)
    if scheme == "torchvision":
        refuse_unknown_set(place)
    path = Path(place)
    # A pattern, as of several Parquet files, and a home folder are read when the images are opened.
    if scheme in _MISSING and path.name and not set("*?[~") & set(place) and not os.path.lexists(path):
        raise no_such_place(scheme, path)


def source_names() -> dict[str, str]:
    """Return every form of a source's text, with what it means."""
    return dict(_SOURCES)
