"""Data sets of some of ImageNet's classes, on which a network of all 1,000 chooses among these alone.

So ImageNet-A and -R are published: the logits of the other 800 classes are left out. Each list, in `class_lists`, holds
the WordNet ids of the classes, sorted, which is the order of their labels.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from pcbench.data.folders import check_wordnet_ids
from pcbench.data.image_source import ImageSource
from pcbench.data.imagenet_classes import imagenet_labels, imagenet_names
from pcbench.data.labels import as_labels
from pcbench.data.listing import class_folders, list_images
from pcbench.data.names import no_such_place
from pcbench.data.preprocessing import Preprocessing
from pcbench.data.stores import FileStore

_LISTS = Path(__file__).parent / "class_lists"
_SOURCES = {
    "imagenet-a": "Hendrycks, Zhao, Basart, Steinhardt and Song, CVPR 2021, arXiv 1907.07174: 7,500 images",
    "imagenet-r": "Hendrycks et al., ICCV 2021, arXiv 2006.16241: 30,000 images",
}


def counted_schemes() -> tuple[str, ...]:
    """Return the names of the data sources whose classes alone count."""
    return tuple(_SOURCES)


def counted_classes(data: object) -> tuple[int, ...] | None:
    """Return which of ImageNet's 1,000 classes count on a data source, in the order of its labels.

    Args:
        data: The source as the user names it, ``"imagenet-a:PATH"``, or its first part; or an object.

    Returns:
        Numbers from 0 to 999; None where all classes count.
    """
    name = data.partition(":")[0] if isinstance(data, str) else ""
    return _outputs(name) if name in _SOURCES else None


@lru_cache
def _outputs(name: str) -> tuple[int, ...]:
    label_of = imagenet_labels()
    return tuple(label_of[wordnet_id] for wordnet_id in (_LISTS / f"{name}.txt").read_text().split())


def open_counted(name: str, path: Path, preprocessing: Preprocessing) -> ImageSource:
    """Open a data set of some of ImageNet's classes, `<path>/<wnid>/*`; labels count its own classes from 0.

    Raises:
        DataError: There is no such folder, or it holds other classes.
    """
    if not path.is_dir():
        raise no_such_place(name, path)
    counted = (_LISTS / f"{name}.txt").read_text().split()
    label_of = {wordnet_id: label for label, wordnet_id in enumerate(counted)}
    found = class_folders(path)
    check_wordnet_ids(path, found, label_of)
    names, indices = list_images(path, found)
    every = imagenet_names()
    return ImageSource(
        name=f"{name}:{path.resolve().name}",
        ids=names,
        labels=as_labels([label_of[found[index]] for index in indices]),
        store=FileStore(path, names),
        preprocessing=preprocessing,
        class_names=tuple(every[output] for output in counted_classes(name) or ()),
        classes=len(counted),
        subset=None if len(found) == len(counted) else f"{len(found)} of {len(counted)} classes",
        notes=(f"a network chooses among the {len(counted)} classes of {name} alone",),
    )
