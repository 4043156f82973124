"""How a published suite's files lie on a disk; each suite's `suite.toml` says it in its table `published`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, PositiveInt

from pcbench.catalog import Definition


class PublishedLayout(Definition):
    """What a suite was published as."""

    files: Literal["folders", "arrays"]
    """`folders`: `<corruption>/<severity>/<wnid>/*.JPEG`, below a folder for the family or not.
    `arrays`: `<corruption>.npy`, (severities x images, side, side, 3) of uint8, severity 1 first, and `labels.npy`."""
    images: PositiveInt
    """How many images there are at one severity."""
    side: PositiveInt
    """Their rows and columns, in pixels."""
    classes: PositiveInt
    """The number of classes."""
    class_names: tuple[str, ...] | None = None
    """Their names, for arrays; folders have ImageNet's, or their own names."""
    labels: Literal["imagenet", "folders"] = "imagenet"
    """Of folders: those of ImageNet's 1,000 WordNet ids, or the order of the folders' names, as image folders are read;
    then all classes must be there."""
    ids: str = Field(default="", max_length=200)
    """What the ids of the rows of arrays begin with: as in the clean data set, whose order is the same."""
