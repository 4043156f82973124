"""Oracle: the arrays that a plug-in of the test hands out, and what the same object gives without one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from made_plugins import install_plugins

from pcbench.data.preprocessing import Preprocessing
from pcbench.data.sources import open_source
from pcbench.data.unlabelled import open_unlabelled
from pcbench.errors import UnknownNameError, UsageError

_SOURCE = """
import numpy as np
def flat(place, split):
    shade = {"test": 7, "train": 9}[split]
    return np.full((4, 8, 8, 3), shade + len(place), np.uint8), [0, 1, 0, 1]
def alone(place, split):
    return flat(place, split)[0], None
def text(place, split):
    return "digits"
"""


@pytest.fixture(autouse=True)
def _installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = {name: f"registered_arrays:{name}" for name in ("flat", "alone", "text")}
    entries = {"data": {**names, "nothing": "registered_arrays:np"}}
    install_plugins(tmp_path, monkeypatch, entries, sources={"registered_arrays": _SOURCE})


@pytest.mark.parametrize(
    ("text", "split", "shade", "name"),
    [("flat", "test", 7, "flat:test"), ("flat", "train", 9, "flat:train"), ("flat:/a/bc", "test", 12, "flat:bc")],
)
def test_a_registered_name_opens_what_its_function_returns(text: str, split: str, shade: int, name: str) -> None:
    source = open_source(text, preprocessing=Preprocessing(), split=split)
    batch = next(source.batches(4))
    assert np.array_equal(batch.images, np.full((4, 3, 8, 8), shade, np.uint8))
    assert list(source.labels) == [0, 1, 0, 1]
    assert source.name == name


def test_images_without_labels_are_enough_where_nobody_asks_for_them() -> None:
    source = open_unlabelled("alone", preprocessing=Preprocessing())
    assert (len(source), source.name) == (4, "alone:test")


@pytest.mark.parametrize(
    ("text", "says"),
    [("text", "returns 'digits'"), ("nothing", "not a function"), ("flat", "KeyError: 'validation'")],
)
def test_what_a_plugin_does_wrong_is_told_with_its_package(text: str, says: str) -> None:
    with pytest.raises(UsageError, match="plug-in of mypackage") as caught:
        open_source(text, preprocessing=Preprocessing(), split="validation")
    assert says in str(caught.value)


def test_a_misspelt_name_suggests_it() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'flat'"):
        open_source("flats", preprocessing=Preprocessing())
