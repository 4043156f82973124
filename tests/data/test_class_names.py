"""Oracles: pairs of lists written out by hand; the lists of ImageNet's classes that torchvision and timm publish."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torchvision.models import VGG16_Weights

from pcbench.data.checks import check_source
from pcbench.data.class_names import are_comparable, as_class_names, first_difference
from pcbench.data.image_source import ImageSource
from pcbench.data.labels import as_labels
from pcbench.data.preprocessing import Preprocessing
from pcbench.data.stores import ArrayStore
from pcbench.errors import DataError

# What timm's ImageNetInfo reads, without the second that importing timm takes.
TIMM = Path(importlib.util.find_spec("timm").submodule_search_locations[0], "data", "_info")
WORDNET_IDS = (TIMM / "imagenet_synsets.txt").read_text(encoding="utf-8").split()
_LEMMAS = dict(line.split("\t") for line in (TIMM / "imagenet_synset_to_lemma.txt").read_text("utf-8").splitlines())
DESCRIPTIONS = [_LEMMAS[wordnet_id] for wordnet_id in WORDNET_IDS]
CATEGORIES = VGG16_Weights.IMAGENET1K_V1.meta["categories"]
# torchvision.datasets.ImageNet holds a tuple of synonyms for each class; Keras writes underscores.
TUPLES = as_class_names([tuple(name.split(", ")) for name in DESCRIPTIONS])
KERAS = [name.replace(" ", "_") for name in CATEGORIES]
# The lines of synset_words.txt, and the folders of Stanford Dogs.
LINES = [f"{wnid} {names}" for wnid, names in zip(WORDNET_IDS, DESCRIPTIONS, strict=True)]


def source(names: tuple[str, ...] | None, labels: list[int]) -> ImageSource:
    store = ArrayStore("made", np.zeros((len(labels), 4, 4, 3), dtype=np.uint8))
    ids = tuple(map(str, range(len(labels))))
    return ImageSource("made", ids, as_labels(labels), store, Preprocessing(), names, len(names) if names else None)


@pytest.mark.parametrize(
    ("data", "model"),
    [
        (["cat", "polar bear"], ["Cat", "polar_bear"]),
        ([" cat ", "polar  bear"], ["CAT", "Polar_Bear"]),
        (["café", "owl"], ["cafe\u0301", "OWL"]),
        (["tench, Tinca tinca"], ["Tinca tinca"]),
        (["n01440764", "n02102040"], ["tench", "English springer, English springer spaniel"]),
        (["n02085620-Chihuahua", "n02085782-Japanese_spaniel"], ["Chihuahua", "Japanese spaniel"]),
        (["0", "1", "2"], ["00", "01", "02"]),
        (["straße"], ["STRASSE"]),
        (["0 - zero", "1 - one"], ["0", "1"]),
        (["0 - zero", "1 - one"], ["zero", "one"]),
    ],
)
def test_names_that_mean_the_same(data: list[str], model: list[str]) -> None:
    assert first_difference(data, model) is None
    assert first_difference(model, data) is None


@pytest.mark.parametrize(
    ("data", "model", "label"),
    [
        (["cat", "cattle"], ["cattle", "cat"], 0),
        (["eel", "car"], ["eel", "carpet"], 1),
        (["bear"], ["polar bear"], 0),
        (["bus"], ["minibus"], 0),
        (["polarbear"], ["polar bear"], 0),
        (["truck, big", "truck, small"], ["truck, small", "truck, big"], 0),
        # WordNet's "missile" is a synonym of two classes.
        (["missile", "projectile, missile"], ["projectile, missile", "missile"], 0),
        (["n01440764", "n02102040"], ["n02102040", "n01440764"], 0),
        # Both are called "crane".
        (["n02012849"], ["n03126707"], 0),
        (["n03126707", "n02012849"], ["crane bird", "crane"], 0),
        (["n01440764"], ["goldfish"], 0),
        (["1", "2"], ["0", "1"], 0),
        (["0 - zero", "1 - one"], ["one", "zero"], 0),
        ([""], ["cat"], 0),
    ],
)
def test_names_that_differ(data: list[str], model: list[str], label: int) -> None:
    assert first_difference(data, model) == label
    assert first_difference(model, data) == label


@pytest.mark.parametrize("other", [WORDNET_IDS, DESCRIPTIONS, CATEGORIES, TUPLES, KERAS, LINES])
@pytest.mark.parametrize("one", [WORDNET_IDS, DESCRIPTIONS, CATEGORIES, LINES])
def test_every_published_list_of_imagenet_is_the_same(one: list[str], other: list[str]) -> None:
    assert first_difference(one, other) is None
    for swapped in (0, 133, 516, 638, 743, 836):
        moved = list(other)
        moved[swapped], moved[swapped + 1] = moved[swapped + 1], moved[swapped]
        if moved != list(other):
            assert first_difference(one, moved) == swapped


@pytest.mark.parametrize(
    ("names", "read"),
    [
        ([("tench", "Tinca tinca"), ("goldfish",)], ("tench, Tinca tinca", "goldfish")),
        (np.array(["cat", "dog"]), ("cat", "dog")),
        ({0: "cat", 1: "dog"}, ("cat", "dog")),
        ({"1": "dog", "0": "cat"}, ("cat", "dog")),
        ({1: "cat", 2: "dog"}, None),
        ({"dog": 1, "cat": 0}, ("cat", "dog")),
        ({"dog": 5, "cat": 0}, None),
        ({"cat", "dog"}, None),
        ("cat", None),
        (10, None),
        (None, None),
    ],
)
def test_names_are_read_from_what_libraries_hold(names: Any, read: tuple[str, ...] | None) -> None:
    assert as_class_names(names) == read


def test_numbers_are_no_names() -> None:
    assert not are_comparable(["0", "1"], ["cat", "dog"])
    assert are_comparable(["0", "1"], ["0 - zero", "1 - one"])
    assert are_comparable(["0", "cat"], ["cat", "dog"])


@pytest.mark.parametrize(
    ("data", "model", "why"),
    [
        (("cat", "dog"), None, "from 'cat' = 0 to 'dog' = 1: the model does not name them"),
        (None, ["cat", "dog"], "the data does not name them"),
        (None, None, "data and model do not name them"),
        (("0", "1"), ["cat", "dog"], "one side has numbers for names"),
    ],
)
def test_order_alone_is_taken_with_a_note(data: tuple[str, ...] | None, model: list[str] | None, why: str) -> None:
    (note,) = check_source(source(data, [0, 1]), classes=2, class_names=model).notes
    assert note.startswith("classes are matched by their order alone")
    assert why in note


def test_numbers_that_were_sorted_as_texts_are_refused_where_the_model_has_names() -> None:
    """torchvision's ImageFolder on ImageNetV2, whose folders are called 0 to 999, gives the label 2 to class 10."""
    texts = tuple(sorted(map(str, range(12))))
    words = [f"class {letter}" for letter in "abcdefghijkl"]
    with pytest.raises(DataError, match=r"class 4 is called '2' and the class before it '11': .* sorted as texts"):
        check_source(source(texts, [0, 1]), classes=12, class_names=words)
    numbers = tuple(map(str, range(12)))
    assert len(check_source(source(numbers, [0, 1]), classes=12, class_names=words).notes) == 1
    assert check_source(source(texts, [0, 1]), classes=12, class_names=texts).notes == ()
    # A network that was trained on these folders by the same class.
    assert len(check_source(source(texts, [0, 1]), classes=12).notes) == 1


def test_compared_names_leave_no_note() -> None:
    assert check_source(source(("cat", "dog"), [0, 1]), classes=2, class_names=["Cat", "DOG"]).notes == ()


def test_part_of_imagenet_finds_its_outputs_by_wordnet_ids() -> None:
    part = source(("n01440764", "n02102040", "n15075141"), [2, 0, 1, 1])
    found = check_source(part, classes=1000, class_names=CATEGORIES)
    assert found.labels.tolist() == [999, 0, 217, 217]
    assert found.subset == "3 of 1000 classes"
    assert "found by their WordNet ids" in found.notes[0]
    assert found.class_names == tuple(DESCRIPTIONS)


@pytest.mark.parametrize(
    ("names", "model"),
    [
        (("n01440764", "n99999999"), CATEGORIES),
        (("n01440764", "n01440764"), CATEGORIES),
        (("tench", "goldfish"), CATEGORIES),
        (("n01440764", "n02102040"), CATEGORIES[1:] + CATEGORIES[:1]),
        (("n01440764", "n02102040"), None),
        (("n01440764", "n02102040"), ["other"] * 1000),
    ],
)
def test_other_parts_are_refused_by_their_number(names: tuple[str, ...], model: list[str] | None) -> None:
    with pytest.raises(DataError, match="has 2 classes, the model has 1000") as error:
        check_source(source(names, [0, 1]), classes=1000, class_names=model)
    assert ("give imagenet-subset:PATH" in str(error.value)) is (names != ("tench", "goldfish"))


def test_a_model_that_names_fewer_classes_than_it_has_is_refused() -> None:
    with pytest.raises(DataError, match="the model names 2 classes but has 3 outputs"):
        check_source(source(None, [0, 1]), classes=3, class_names=["cat", "dog"])


def test_unlabelled_split_is_called_so() -> None:
    with pytest.raises(DataError, match="all labels are -1: this split was published without labels"):
        check_source(source(None, [-1, -1]), classes=3)
    with pytest.raises(DataError, match=r"label -1 of image '1'.*1 of 3 images have no label"):
        check_source(source(None, [0, -1, 2]), classes=3)
