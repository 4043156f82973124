"""Oracles: the published lists' own numbers; the arg max over the counted logits, taken from the whole network."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import pcbench
from pcbench.data.counted_classes import counted_classes
from pcbench.data.imagenet_classes import imagenet_labels
from pcbench.data.preprocessing import Preprocessing
from pcbench.data.sources import open_source
from pcbench.errors import DataError, UsageError
from pcbench.models.loading import load


class Thousand(nn.Module):
    """A network of 1,000 classes that sees 8 pixels."""

    input_size = (3, 8, 8)
    preprocessing = Preprocessing(resize=8, crop=8)
    mean, std = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)

    def __init__(self, classes: int = 1000) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(1)
            self.inner = nn.Linear(192, classes)

    def forward(self, images: Tensor) -> Tensor:
        return self.inner(images.flatten(1))


@pytest.fixture
def folder(tmp_path: Path, write_image: Callable[..., Path]) -> Path:
    """Three of ImageNet-A's classes, two images each."""
    for number, wordnet_id in enumerate(("n01498041", "n01531178", "n12267677")):
        for image in range(2):
            write_image(tmp_path / "imagenet-a" / wordnet_id / f"{image}.jpg", seed=3 * number + image)
    return tmp_path / "imagenet-a"


def test_the_lists_are_the_published_ones() -> None:
    # Oracle: the indices that begin and end the lists in the authors' evaluation scripts, and their common classes.
    in_a, in_r = counted_classes("imagenet-a:PATH"), counted_classes("imagenet-r")
    assert in_a is not None
    assert in_r is not None
    assert len(set(in_a)) == len(set(in_r)) == 200
    assert list(in_a) == sorted(in_a)
    assert in_a[:8] == (6, 11, 13, 15, 17, 22, 23, 27)
    assert in_r[:8] == (1, 2, 4, 6, 8, 9, 11, 13)
    assert len(set(in_a) & set(in_r)) == 86
    assert counted_classes("imagefolder:imagenet-a") is counted_classes(3) is None


def test_labels_are_those_of_the_counted_classes(folder: Path) -> None:
    source = open_source(f"imagenet-a:{folder}", preprocessing=Preprocessing())
    counted = counted_classes("imagenet-a") or ()
    whole = open_source(f"imagenet-subset:{folder}", preprocessing=Preprocessing())
    assert [counted[label] for label in source.labels] == whole.labels.tolist()
    assert source.ids == whole.ids
    assert source.subset == "3 of 200 classes"
    (folder / "n01440764").mkdir()
    with pytest.raises(DataError, match="n01440764 is not one of the 200 classes of this data set"):
        open_source(f"imagenet-a:{folder}", preprocessing=Preprocessing())


def test_a_network_chooses_among_the_counted_classes_alone() -> None:
    model, images = load(Thousand()), torch.rand(5, 3, 8, 8)
    counted = list(counted_classes("imagenet-r") or ())
    chosen = model.choosing_among("imagenet-r:PATH")
    assert chosen.classes == 200
    assert torch.equal(chosen.answer(images, 0), model.answer(images, 0)[..., counted])
    assert torch.equal(chosen.at(0)(images), model.at(0)(images)[:, counted])
    assert chosen.description != model.description
    assert model.choosing_among("imagefolder:PATH") is model
    with pytest.raises(UsageError, match="and Thousand has 10; give a network"):
        load(Thousand(10)).choosing_among("imagenet-r:PATH")


def test_a_run_is_scored_among_the_counted_classes(folder: Path, tmp_path: Path) -> None:
    network = Thousand()
    options = {"suites": ["digits-c"], "severities": [1], "progress": False, "report": False}
    run = pcbench.run(network, data=f"imagenet-a:{folder}", out=tmp_path / "run", **options)
    outcomes = run.outcomes()
    clean = outcomes[outcomes["kind"] == "clean"]
    source = open_source(f"imagenet-a:{folder}", preprocessing=network.preprocessing)
    with torch.no_grad():
        logits = network(source.load(range(6)).float() / 255)
    expected = logits[:, list(counted_classes("imagenet-a") or ())].argmax(dim=1).numpy()
    found = clean.set_index("image_id")["prediction"].loc[list(source.ids)].to_numpy()
    np.testing.assert_array_equal(found, expected)
    assert sorted(imagenet_labels()[name] for name in ("n01498041", "n01531178", "n12267677")) != expected.tolist()
    with pytest.raises(UsageError, match="save_adversarials"):
        pcbench.run(network, "linf", data=f"imagenet-a:{folder}", save_adversarials=True, out=tmp_path / "kept")
