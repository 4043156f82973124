"""A training that starts from given predictors.

Oracle: at a learning rate that changes no float32, the predictors of the file are those of the result.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from pcbench.errors import DataError, UsageError, WeightsError
from pcbench.files import file_sha256
from pcbench.models import load
from pcbench.models.weights import part, read_weights, tensors_sha256
from pcbench.models.zoo import zoo_entry
from pcbench.options import resolved
from pcbench.training.job import Trained, train_model
from pcbench.training.options import TrainOptions, TuneOptions
from pcbench.training.record import CARD
from pcbench.training.request import held_out_images, preprocessing_of, training_images
from pcbench.training.tuning import tune_model

pytestmark = pytest.mark.usefixtures("no_figures")
SMALL: dict[str, Any] = {
    "model": "started:network",
    "data": "digits",
    "images": 20,
    "batch_size": 20,
    "epochs": 1,
    "method": "descent",
}
STILL: dict[str, Any] = {**SMALL, "optimizer": "sgd", "learning_rate": 1e-30, "weight_decay": 0.0}


@pytest.fixture(autouse=True)
def folder(own_network: Callable[[str, bool], Path]) -> Path:
    return own_network("started", True)


def predictors(seed: int) -> list[dict[str, Tensor]]:
    network = load("started:network", random_predictors=seed).network
    assert network is not None
    return [predictor.state_dict() for predictor in network.predictors]


def epochs_of_the_reference(folder: Path) -> Path:
    """Two epochs, as the reference's script saves them; the first of epoch 3 is missing its second file."""
    for epoch in (1, 2, 3):
        for number, given in enumerate(predictors(epoch), 1):
            held = {f"pmodule.{name}": tensor for name, tensor in given.items()} | {"C_sqrt": torch.tensor(7.0)}
            if (epoch, number) != (3, 2):
                torch.save(
                    {"pcoderweights": held, "optimizer": {"state": {}}, "epoch": epoch},
                    folder / f"pnet_pretrained_pc{number}_{epoch:03d}.pth",
                )
    return folder


def started(weights: str | Path, out: str = "out", **more: Any) -> Trained:
    return train_model(resolved(TrainOptions, {**STILL, "weights": weights, "out": out, **more}))


def held(trained: Trained) -> list[dict[str, Tensor]]:
    state = part(read_weights(trained.weights), "predictors.")
    return [{name: t for name, t in part(state, f"{n}.").items() if name != "C_sqrt"} for n in (0, 1)]


def same(one: list[dict[str, Tensor]], other: list[dict[str, Tensor]]) -> bool:
    pairs = list(zip(one, other, strict=True))
    return all(a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a) for a, b in pairs)


def test_it_starts_from_the_newest_complete_epoch(folder: Path) -> None:
    (folder / "epochs").mkdir()
    newest = started(epochs_of_the_reference(folder / "epochs"))
    assert same(held(newest), predictors(2))
    # The file states C, and so does the trained one: it still decides the gradient scale.
    network = load("started:network", weights=newest.weights).network
    assert network is not None
    assert network.error_windows == (49.0, 49.0)


def test_it_starts_from_the_epoch_that_is_asked_for_and_names_it(folder: Path) -> None:
    (folder / "epochs").mkdir()
    epochs_of_the_reference(folder / "epochs")
    first = started("epochs@1")
    assert same(held(first), predictors(1))
    card = json.loads((folder / "out" / CARD).read_text())
    assert card["started_from"] == "epochs@1"
    assert "--weights epochs@1" in card["made_by"]
    assert card["started_from_sha256"] == tensors_sha256(part(read_weights(first.weights), "predictors."))
    # A finished one is not repeated.
    assert started("epochs@1").sha256 == file_sha256(first.weights)


def test_it_starts_from_the_state_of_a_whole_network_and_from_our_own_file(folder: Path) -> None:
    given = {
        f"module.pcoder{number}.pmodule.{name}": tensor
        for number, one in enumerate(predictors(5), 1)
        for name, tensor in one.items()
    }
    network = load("started:network", random_predictors=0).network
    assert network is not None
    backbone = {f"module.backbone.{name}": tensor + 1 for name, tensor in network.backbone.module.state_dict().items()}
    torch.save({**given, **backbone}, folder / "pnet-5-regular.pth")
    whole = started("pnet-5-regular.pth")
    assert same(held(whole), predictors(5))
    # Its backbone, which is not the function's, is the one that was trained on, and is written again.
    written = part(read_weights(whole.weights), "backbone.")
    assert all(torch.equal(tensor, written[name.removeprefix("module.backbone.")]) for name, tensor in backbone.items())
    assert same(held(started(whole.weights, "again")), predictors(5))


def test_predictors_that_learn_end_elsewhere_than_from_random_ones(folder: Path) -> None:
    # Oracle: the same training whose random predictors come from the seed of those in the file, bit for bit.
    epochs_of_the_reference(folder)
    learning: dict[str, Any] = {"learning_rate": 0.01, "optimizer": "adam", "seed": 2}
    one = started(folder, **learning)
    other = train_model(resolved(TrainOptions, {**STILL, **learning, "out": "random"}))
    assert same(held(one), held(other))
    assert not same(held(one), predictors(2))


def test_another_networks_predictors_are_refused_before_anything_is_made(folder: Path) -> None:
    pdigits = zoo_entry("pdigits").weights_path
    assert pdigits is not None
    with pytest.raises(WeightsError, match=r"pdigits.safetensors, PCoder 1: is made for another network"):
        started(pdigits)
    with pytest.raises(WeightsError, match="there is no such weights file"):
        started("missing.pth")
    assert not (folder / "out").exists()


def test_other_predictors_at_the_same_place_are_another_training(folder: Path) -> None:
    epochs_of_the_reference(folder)
    trained = started("pnet_pretrained_pc1_001.pth")
    for number, given in enumerate(predictors(9), 1):
        torch.save(given, folder / f"pnet_pretrained_pc{number}_001.pth")
    with pytest.raises(UsageError, match="another training \\(predictors_sha256 was"):
        started("pnet_pretrained_pc1_001.pth")
    with pytest.raises(UsageError, match="is the file that this training writes"):
        started(trained.weights)


def test_a_backbone_that_the_file_holds_stays_and_is_written_again(folder: Path) -> None:
    # pdigits' own backbone is trained unless there are predictors that belong to one.
    shipped = zoo_entry("pdigits").weights_path
    assert shipped is not None
    trained = train_model(resolved(TrainOptions, {**STILL, "model": "pdigits", "weights": shipped, "out": "out"}))
    one, other = read_weights(trained.weights), read_weights(shipped)
    assert one.keys() == other.keys()
    assert all(torch.equal(tensor, other[name]) for name, tensor in one.items())
    assert not (folder / "out" / "backbone").exists()


def test_more_epochs_of_a_backbone_are_refused_where_predictors_were_trained_on_it(folder: Path) -> None:
    asked: dict[str, Any] = {"model": "pdigits", "images": 20, "batch_size": 20, "out": folder / "out"}
    train_model(resolved(TrainOptions, {**asked, "epochs": 1}))
    with pytest.raises(UsageError, match=r"another training \(epochs was 1, now 2\).*`weights` starts from"):
        train_model(resolved(TrainOptions, {**asked, "epochs": 2}))


def test_a_training_of_ones_own_network_goes_on_from_the_verb(folder: Path) -> None:
    # Oracle: the same command in one go, file by file.
    more: dict[str, Any] = {"learning_rate": 0.01, "noise": [0.5, 1], "noise_target": "clean", "shuffle": "rows"}
    whole = train_model(resolved(TrainOptions, {**STILL, **more, "epochs": 2, "out": folder / "whole"}))
    for epochs in (1, 2):
        went_on = train_model(resolved(TrainOptions, {**STILL, **more, "epochs": epochs, "out": folder / "parts"}))
    assert went_on.sha256 == whole.sha256
    cards = [(folder / name / CARD).read_text() for name in ("whole", "parts")]
    assert cards[0] == cards[1]
    assert "--noise 0.5,1 --noise-target clean --shuffle rows" in cards[0]
    assert json.loads(cards[0])["settings"]["predictors"]["noise"] == [0.5, 1.0]


def test_a_training_that_went_on_at_a_rate_for_fewer_epochs_says_so(folder: Path) -> None:
    for epochs in (1, 2):
        train_model(resolved(TrainOptions, {**STILL, "schedule": "cosine", "epochs": epochs, "out": folder / "cosine"}))
    card = json.loads((folder / "cosine" / CARD).read_text())
    assert card["went_on_after_epochs"] == {"predictors": [1]}


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"noise": "much"}, "noise is one or several standard deviations"),
        ({"noise": []}, "noise is one or several standard deviations"),
        ({"shuffle": "pixels"}, "rows"),
        ({"model": "alexnet_digits", "noise": 0.5}, "alexnet_digits has no predictors, and `noise` is for these"),
    ],
)
def test_options_that_make_no_sense_are_refused(more: dict[str, Any], told: str, folder: Path) -> None:
    with pytest.raises(UsageError, match=told):
        train_model(resolved(TrainOptions, {**STILL, **more, "out": folder / "out"}))
    assert not (folder / "out").exists()


def test_images_are_resized_as_the_references_scripts_have_it_where_that_is_asked_for() -> None:
    # Oracle: what pvgg16 states (256, then 224), and what is asked for in its place.
    stated = preprocessing_of(resolved(TrainOptions, {"model": "pvgg16"}))
    asked = preprocessing_of(resolved(TrainOptions, {"model": "pvgg16", "resize": 224}))
    assert (stated.resize, stated.crop) == (256, 224)
    assert (asked.resize, asked.crop) == (224, 224)
    with pytest.raises(UsageError, match=r"does not fit .* change `resize` or `crop`"):
        preprocessing_of(resolved(TrainOptions, {"model": "pvgg16", "resize": 200}))


def test_predictors_learn_from_a_flat_folder_of_images(folder: Path) -> None:
    # Oracle: the images' ids in the record of what was trained on; tuning, which needs labels, refuses them.
    (folder / "pictures").mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), np.uint8)
    for number in range(4):
        Image.fromarray(pixels[number]).save(folder / "pictures" / f"{number}.png")
    options = resolved(TrainOptions, {**STILL, "data": "imagefolder:pictures", "images": None, "out": "out"})
    held = held_out_images(options)
    assert held is not None
    assert sorted(Path(name).name for name in (*training_images(options).ids, *held.ids)) == [
        "0.png", "1.png", "2.png", "3.png",
    ]  # fmt: skip
    assert (len(training_images(options)), len(held)) == (3, 1)
    assert train_model(options).weights.is_file()
    with pytest.raises(DataError, match="pictures: "):
        tune_model(
            resolved(TuneOptions, {"model": "started:network", "data": "imagefolder:pictures", "out": "tuned.toml"})
        )
