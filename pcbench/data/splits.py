"""The words by which files and folders say which split of a data set they hold."""

from __future__ import annotations

import re
from collections.abc import Iterable

#: The words of each split, as the Hugging Face hub's library knows them.
SPLIT_WORDS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test", "testing", "eval", "evaluation"),
}
_SPLIT_OF = {word: split for split, words in SPLIT_WORDS.items() for word in words}


def splits_in(name: str) -> tuple[str, ...]:
    """Return the splits that a name speaks of, each once: none, one, or several (``"train-test"``).

    Args:
        name: The name of a file or folder, such as ``"test-00000-of-00001.parquet"`` or ``"train2017"``. A word
            counts where it stands alone between figures, dots, dashes, underscores and spaces.
    """
    words = re.split(r"[^a-z]+", name.casefold())
    return tuple(dict.fromkeys(_SPLIT_OF[word] for word in words if word in _SPLIT_OF))


def is_split_name(name: str) -> bool:
    """Return whether a name is that of a split and nothing else, such as ``"val"`` or ``"Train"``."""
    return name.casefold() in _SPLIT_OF


def split_twins(names: Iterable[str]) -> list[str]:
    """Return those names that differ from another in the word of the split alone: ``seg_train`` and ``seg_test``."""
    splits: dict[str, set[str]] = {}
    rest_of: dict[str, str] = {}
    for name in names:
        if len(found := splits_in(name)) == 1:
            rest_of[name] = re.sub(r"[a-z]+", lambda word: "*" if word[0] in _SPLIT_OF else word[0], name.casefold())
            splits.setdefault(rest_of[name], set()).update(found)
    return [name for name, rest in rest_of.items() if len(splits[rest]) > 1]


def train_note(names: Iterable[str]) -> str | None:
    """Return the note for tables where what is measured is training data by its name; None where it is not."""
    training = [name for name in names if splits_in(name) == ("train",)]
    if not training:
        return None
    more = f" and {len(training) - 1} more" if len(training) > 1 else ""
    return f"measured on training data: {training[0]!r}{more} is a train split by its name, not test data"
