"""Names of classes, and whether two lists of them mean the same classes in the same order."""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence, Set
from functools import lru_cache
from typing import Any, cast

from pcbench.data.imagenet_classes import IMAGENET_CLASSES, imagenet_labels, imagenet_names, torchvision_names

_WORDNET_ID = re.compile(r"(n\d{8})(?:[-_ ]+(.*))?")
# torchvision's MNIST calls its classes "0 - zero", "1 - one", ….
_NUMBER = re.compile(r"(\d+)(?: - .*)?")
_SEPARATOR = re.compile(r",| - ")


def as_class_names(names: Any) -> tuple[str, ...] | None:
    """Return the names of classes by label; None where these are none.

    Args:
        names: A list or other ordered collection of names, or a mapping from label to name or from name to label. A
            name is a text, or a tuple of synonyms as in torchvision's ImageNet, which are joined by commas.
    """
    if isinstance(names, Mapping):
        by_label = cast("Mapping[Any, Any]", names)
        if _are_labels_of_names(by_label):
            by_label = {label: name for name, label in by_label.items()}
        labels = [str(label) for label in range(len(by_label))]
        held = {str(label): name for label, name in by_label.items()}
        names = [held[label] for label in labels] if held.keys() == set(labels) else None
    unordered: tuple[type, ...] = (str, bytes, Set)
    if isinstance(names, unordered) or not isinstance(names, Iterable):
        return None
    return tuple(_as_name(name) for name in cast("Iterable[Any]", names))


def _are_labels_of_names(table: Mapping[Any, Any]) -> bool:
    """Return whether a table holds each name's label, as `class_to_idx` and `label2id` do, and each label once."""
    held = list(table.values())
    whole = all(isinstance(label, int) and not isinstance(label, bool) for label in held)
    return whole and all(isinstance(name, str) for name in table) and sorted(held) == list(range(len(held)))


def _as_name(name: Any) -> str:
    return ", ".join(map(str, cast("Sequence[Any]", name))) if isinstance(name, list | tuple) else str(name)


def are_comparable(one: Sequence[str], other: Sequence[str]) -> bool:
    """Return whether two lists both hold names, or both numbers: a folder called ``7`` does not name a class."""
    return _all_numbers(one) == _all_numbers(other)


def sorted_as_texts(names: Sequence[str]) -> int | None:
    """Return the first label whose name is a smaller number than the one before it; None where none is.

    So it is where folders called 0, 1, 2, …, 10 were sorted as texts: label 2 is called "10", and label 3 "2".
    """
    numbers = [_number(name) for name in names]
    pairs = enumerate(itertools.pairwise(numbers), start=1)
    return next((label for label, (one, other) in pairs if one is not None and other is not None and other < one), None)


def wordnet_id(name: str) -> str | None:
    """Return the WordNet id that a name is or begins with, such as ``"n01440764"``."""
    match = _WORDNET_ID.fullmatch(_plain(name))
    return match[1] if match else None


def first_difference(data: Sequence[str], model: Sequence[str]) -> int | None:
    """Return the first label whose names differ in two lists of the same length; None where all agree.

    Names agree that are equal after normalising case, spaces and underscores, or have a synonym in common; synonyms
    are separated by commas, and those of an ImageNet class are known (its WordNet id, torchvision's name). A name
    that stands exactly elsewhere in the other list is of that class and agrees with no other: "missile" is class 657
    of ImageNet, "projectile, missile" class 744.
    """
    plain = [_plain(name) for name in data], [_plain(name) for name in model]
    exact = [one == other for one, other in zip(*plain, strict=True)]
    elsewhere = [{name for name, agrees in zip(names, exact, strict=True) if not agrees} for names in plain]
    imagenet = len(data) == IMAGENET_CLASSES
    for label, (one, other) in enumerate(zip(*plain, strict=True)):
        if exact[label]:
            continue
        known = (_imagenet_classes(one), _imagenet_classes(other)) if imagenet else (set[int](), set[int]())
        if all(known):
            agree = label in known[0] & known[1]
        else:
            agree = one not in elsewhere[1] and other not in elsewhere[0] and _agree(one, other)
        if not agree:
            return label
    return None


def are_imagenet(names: Sequence[str]) -> bool:
    """Return whether these are the names of ImageNet's 1,000 classes in its order."""
    return len(names) == IMAGENET_CLASSES and first_difference(imagenet_names(), names) is None


def _agree(one: str, other: str) -> bool:
    ids = wordnet_id(one), wordnet_id(other)
    if None not in ids:
        return ids[0] == ids[1]
    return bool(_synonyms(one) & _synonyms(other)) or _number(one) == _number(other) is not None


def _plain(name: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", name).replace("_", " ").casefold().split())


def _synonyms(plain: str) -> set[str]:
    """Return the synonyms in a name, among them those of the ImageNet class whose WordNet id it holds."""
    match = _WORDNET_ID.fullmatch(plain)
    if match is None:
        return {part.strip() for part in _SEPARATOR.split(plain)} - {""}
    label = imagenet_labels().get(match[1])
    known: set[str] = set() if label is None else _all_synonyms()[label]
    return {match[1], *known} | ({part.strip() for part in _SEPARATOR.split(match[2] or "")} - {""})


@lru_cache(maxsize=1)
def _all_synonyms() -> list[set[str]]:
    """Return, by label, all names of each ImageNet class."""
    lists = zip(imagenet_labels(), imagenet_names(), torchvision_names(), strict=True)
    return [{wnid, *(_plain(part) for part in names.split(",")), _plain(other)} for wnid, names, other in lists]


def _imagenet_classes(plain: str) -> set[int]:
    """Return the labels of the ImageNet classes that a name may mean, of those alone whose whole name it is."""
    found = wordnet_id(plain)
    if found is not None:
        return {label} if (label := imagenet_labels().get(found)) is not None else set()
    wholes, parts = _imagenet_tables()
    if plain in wholes:
        return wholes[plain]
    return set[int]().union(*(parts.get(part, set()) for part in _synonyms(plain)))


@lru_cache(maxsize=1)
def _imagenet_tables() -> tuple[dict[str, set[int]], dict[str, set[int]]]:
    """Return the labels by whole names, and by single synonyms."""
    wholes: dict[str, set[int]] = {}
    parts: dict[str, set[int]] = {}
    for names in (imagenet_names(), torchvision_names()):
        for label, name in enumerate(names):
            wholes.setdefault(_plain(name), set()).add(label)
    for label, synonyms in enumerate(_all_synonyms()):
        for synonym in synonyms:
            parts.setdefault(synonym, set()).add(label)
    return wholes, parts


def _all_numbers(names: Sequence[str]) -> bool:
    return all(_number(name) is not None for name in names)


def _number(name: str) -> int | None:
    match = _NUMBER.fullmatch(name.strip())
    return None if match is None else int(match[1])
