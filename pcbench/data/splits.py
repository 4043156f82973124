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


def train_note(names: Iterable[str]) -> str | None:
    """Return the note for tables where what is measured is training data by its name; None where it is not."""
    training = [name for name in names if splits_in(name) == ("train",)]
    if not training:
        return None
    more = f" and {len(training) - 1} more" if len(training) > 1 else ""
    return f"measured on training data: {training[0]!r}{more} is a train split by its name, not test data"
