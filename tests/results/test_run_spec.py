"""Oracle: a walk over every field of a description, and the list here of those that cannot change a number."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pydantic import ValidationError

from pcbench.results.run_spec import ArraySpec, ExtractionSpec, RunSpec, differences, read_spec

# Names of folders, versions that are only stated, hashes that were defined otherwise once, pcbench's own version (what
# its code does is in pcbench_code). What images are known as decides whether a baseline divides errors: tables whose
# baseline changed are made again.
WITHOUT_EFFECT = {
    ("data", "name"),
    ("data", "split"),
    ("data", "data_set"),
    ("data", "former_fingerprint"),
    ("suites", 0, "version"),
    ("suites", 0, "former_sha256"),
    ("versions", "pcbench"),
}
WORDS = {
    "imagenet": "imagenet-train",
    "corruptions": "attacks",
    "exact": "stop_error",
    "fast": "reference",
    "max": "mean",
    "float16": "float32",
    "hdf5": "npy",
}
Place = tuple[str | int, ...]


def leaves(content: Any, place: Place = ()) -> Iterator[Place]:
    """Yield the place of every single value."""
    if isinstance(content, dict | list):
        for key in content if isinstance(content, dict) else range(len(content)):
            yield from leaves(content[key], (*place, key))
    else:
        yield place


def value_at(content: Any, place: Place) -> Any:
    for key in place:
        content = content[key]
    return content


def changed(spec: RunSpec, place: Place) -> RunSpec:
    """Return the description with another value at a place."""
    content = copy.deepcopy(json.loads(spec.model_dump_json()))
    inner, value = value_at(content, place[:-1]), value_at(content, place)
    inner[place[-1]] = not value if isinstance(value, bool) else WORDS.get(value, value + type(value)("1"))
    return RunSpec.model_validate_json(json.dumps(content))


@pytest.fixture
def filled(spec: RunSpec) -> RunSpec:
    """A description with every field filled: one of a run, with what an extraction has beside it."""
    array = ArraySpec(name="representations/1", module="1", shape=(4,), computed=(8, 2, 2), projected=True)
    written = ExtractionSpec(
        images=2, subset=True, arrays=(array,), pool="max", project=4, dtype="float16", format="hdf5"
    )
    return spec.model_copy(update={"extraction": written})


def test_every_field_changes_the_key_but_those_that_cannot_change_a_number(filled: RunSpec) -> None:
    places = list(leaves(json.loads(filled.model_dump_json())))
    assert len(places) > 40
    assert set(places) >= WITHOUT_EFFECT
    unchanged = {place for place in places if changed(filled, place).key() == filled.key()}
    assert unchanged == WITHOUT_EFFECT


def test_no_field_is_left_empty_here_so_that_the_walk_sees_all(filled: RunSpec) -> None:
    content = json.loads(filled.model_dump_json())
    assert [place for place in leaves(content) if value_at(content, place) is None] == []


def test_one_more_suite_library_or_hash_of_the_model_changes_the_key(spec: RunSpec) -> None:
    (suite,) = spec.suites
    more = [
        spec.model_copy(update={"suites": (suite, suite.model_copy(update={"name": "more"}))}),
        spec.model_copy(update={"versions": {**spec.versions, "timm": "1"}}),
        spec.model_copy(update={"model": {**spec.model, "code_sha256": None}}),
        spec.model_copy(update={"data": spec.data.model_copy(update={"corrupted": None})}),
    ]
    assert len({spec.key(), *(one.key() for one in more)}) == len(more) + 1


def test_a_spec_survives_the_way_through_json(filled: RunSpec) -> None:
    for place in leaves(json.loads(filled.model_dump_json())):
        one = changed(filled, place)
        if place != ("version",):
            assert read_spec(json.loads(one.model_dump_json())) == one
            assert read_spec(one.model_dump()).key() == one.key()


@pytest.mark.parametrize("content", [{}, {"version": 2}, {"version": 2, "more": 1}])
def test_something_else_is_not_read_as_a_spec(content: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        read_spec(content)


def test_each_field_that_differs_is_told_with_both_values(spec: RunSpec, other: Callable[..., RunSpec]) -> None:
    second = other(seed=7, epsilons=None)
    (suite,) = second.suites
    added = suite.model_copy(update={"name": "more"})
    second = second.model_copy(
        update={
            "suites": (suite.model_copy(update={"sha256": "f" * 64}), added),
            "data": second.data.model_copy(update={"name": "elsewhere"}),
        }
    )
    told = [str(difference) for difference in differences(spec.counting(), second.counting())]
    assert sorted(told) == [
        "settings.epsilons: [0.25, 0.5] -> nothing",
        "settings.seed: 0 -> 7",
        "suite fog-only.sha256: 0 -> ffffffffffff",
        "suite more: not run -> run",
    ]
    assert differences(spec.counting(), spec.counting()) == []


@pytest.mark.parametrize("name", ["a/b\\c:d", "ä" * 300, "x" * 300, "..", "CON", "a b\n"])
def test_the_folder_of_a_run_has_a_name_that_every_file_system_takes(spec: RunSpec, name: str) -> None:
    made = spec.model_copy(update={"model": {**spec.model, "name": name}})
    found = made.name()
    assert found.endswith(made.key())
    assert found.isprintable()
    assert not set(found) & set('/\\:*?"<>| ')
    assert len(f"{found}.partial".encode()) < 255
