"""The three ways in which predictors learn, their seeds, and what each leaves in the files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from torch import Tensor, nn

from pcbench.cli.main import main
from pcbench.errors import DataError, UsageError
from pcbench.models import load
from pcbench.models.weights import read_weights, tensors_sha256
from pcbench.models.zoo import zoo_entry
from pcbench.options import resolved
from pcbench.training import solving
from pcbench.training.fitted import NOT_THE_PAPERS
from pcbench.training.job import Trained, train_model
from pcbench.training.loop import CHECKPOINT
from pcbench.training.options import TrainOptions
from pcbench.training.record import CARD
from pcbench.training.request import held_out_images, settings_of, training_images
from pcbench.training.settings import default_settings

pytestmark = pytest.mark.usefixtures("no_figures")
SMALL: dict[str, Any] = {"model": "three_ways:network", "data": "digits", "images": 64, "held_out": 32, "epochs": 1}


@pytest.fixture(autouse=True)
def folder(own_network: Callable[[str, bool], Path]) -> Path:
    return own_network("three_ways", False)


def asked(**more: Any) -> TrainOptions:
    return resolved(TrainOptions, {**SMALL, **more})


def trained(**more: Any) -> Trained:
    return train_model(asked(**more))


def notes(found: Trained) -> dict[str, Any]:
    opened: Any = safe_open(found.weights, framework="pt")
    with opened as file:
        return json.loads(file.metadata()["training"])


def reached(found: Trained) -> tuple[float, ...]:
    assert found.fitted is not None
    return found.fitted.r_squared


def test_the_reference_recipe_is_that_of_an_independent_loop() -> None:
    # Oracle: PyTorch's own loop over the same images in the same order, written as the paper's scripts have it.
    found = trained(method="reference", images=40, batch_size=8)
    network = load("three_ways:network", random_predictors=0).network
    assert network is not None
    layers = list(network.backbone.module.children())
    optimizer = torch.optim.SGD(network.predictors.parameters(), lr=0.001, weight_decay=5e-4)
    source = training_images(asked(images=40))
    for some in np.random.default_rng([0, 0]).permutation(40).reshape(5, 8):
        images = source.load(some).float() / 255
        with torch.no_grad():
            first = nn.Sequential(*layers[:2])(images)
            second = nn.Sequential(*layers[2:4])(first)
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(_plain(network.predictors[0], first), images)
        loss = loss + nn.functional.mse_loss(_plain(network.predictors[1], second), first)
        loss.backward()
        optimizer.step()
    state = read_weights(found.weights)
    for name, tensor in network.predictors.state_dict().items():
        torch.testing.assert_close(state[f"predictors.{name}"], tensor, rtol=1e-5, atol=1e-7)


def _plain(predictor: nn.Module, value: Tensor) -> Tensor:
    return predictor(value)


def test_the_reference_has_the_values_of_the_scripts() -> None:
    # Source: the scripts published with Choksi et al. 2021 (arXiv 2106.02749).
    for model, optimizer in (("pvgg16", "sgd"), ("pefficientnet_b0", "rmsprop"), ("pdigits", "sgd")):
        found = default_settings("predictors", zoo_entry(model), "reference")
        assert (found.epochs, found.batch_size, found.learning_rate, found.weight_decay) == (50, 64, 0.001, 5e-4)
        assert (found.optimizer, found.schedule, found.augmentation) == (optimizer, "constant", False)


def test_the_closed_form_beats_steps_and_is_not_made_worse_by_those_that_follow() -> None:
    solved = trained(out="solved")
    steps = trained(out="steps", method="descent")
    assert all(one > other for one, other in zip(reached(solved), reached(steps), strict=True))
    assert notes(solved)["method"] == "ridge"
    assert notes(solved)["r_squared"] == [round(value, 4) for value in reached(solved)]
    assert notes(solved)["r_squared_on"].startswith("32 held-out images of digits:validation")
    assert solved.fitted is not None
    assert min(one.course[-1][1] for one in solved.fitted.solved) <= min(reached(solved)) + 1e-6
    # The same command again gives the same: what is finished, and what is computed anew.
    assert trained(out="solved").sha256 == trained(out="again").sha256 == solved.sha256


def test_a_training_that_lost_its_last_files_solves_nothing_again(monkeypatch: pytest.MonkeyPatch) -> None:
    # Oracle: the bytes of the training that was not stopped.
    first = trained(out="stopped")
    for file in (first.weights, Path("stopped") / CARD, Path("stopped/predictors") / CHECKPOINT):
        file.unlink()
    monkeypatch.setattr(solving, "solve_predictors", lambda *_: pytest.fail("solved again"))
    assert trained(out="stopped").sha256 == first.sha256
    with pytest.raises(UsageError, match=r"closed-form.safetensors is of another training \(held_out was"):
        trained(out="stopped", held_out=16)


def test_each_seed_changes_what_it_is_for_alone() -> None:
    own = asked()
    images, held = training_images(own).ids, held_out_images(own)
    assert held is not None
    assert not set(images) & set(held.ids)
    assert training_images(asked(images_seed=1)).ids != images
    for name in ("initialisation_seed", "order_seed", "noise_seed"):
        assert training_images(asked(**{name: 1})).ids == images
    assert settings_of(asked(order_seed=3), "predictors").seed == 3
    assert settings_of(asked(order_seed=3, seed=2), "predictors").change.seed == 3
    assert settings_of(asked(noise_seed=3), "predictors").change.seed == 3
    assert settings_of(asked(noise_seed=3), "predictors").seed == 0


def test_denoising_predictors_say_that_they_are_not_the_papers(capsys: pytest.CaptureFixture[str]) -> None:
    # Oracle: what the clean layer below is predicted from is noisy, so R² is lower than without noise.
    words = ["--model", "three_ways:network", "--data", "digits", "--images", "64", "--held-out", "32"]
    with pytest.raises(SystemExit) as ended:
        main(["train", *words, "--noise", "0.5", "--noise-target", "clean", "--out", "noisy"])
    assert ended.value.code == 0
    assert NOT_THE_PAPERS in capsys.readouterr().out
    denoising = trained(out="noisy", noise=[0.5], noise_target="clean", epochs=None)
    assert notes(denoising)["denoising"] == NOT_THE_PAPERS
    for weights in (denoising.weights, "noisy"):  # the file, and the folder that a training leaves
        assert load("three_ways:network", weights=weights).marked_name.endswith("+denoising-predictors")
    assert "with noise of 0.5 on e_0" in notes(denoising)["r_squared_on"]
    assert tensors_sha256(read_weights(denoising.weights)) != tensors_sha256(read_weights(trained(out="plain").weights))


def test_a_poor_predictor_is_named_and_ends_with_1(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--model", "three_ways:network", "--data", "digits", "--images", "8", "--held-out", "8", "--epochs", "1"]
    words += ["--method", "descent", "--learning-rate", "1e-6", "--out", "poor"]
    for more, code in (([], 1), (["--allow-poor"], 0)):
        with pytest.raises(SystemExit) as ended:
            main(["train", *words, *more])
        assert ended.value.code == code
        printed = capsys.readouterr()
        assert "(worse than the mean)" in printed.out
        assert ("PCoder 1 (1)" in printed.err and "--allow-poor" in printed.err) is (code == 1)


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"optimizer": "sgd"}, UsageError, "`optimizer` belongs to a training by steps alone"),
        ({"weights": "any.safetensors"}, UsageError, "`weights` belongs to a training by steps alone"),
        ({"data": "imagefolder:one", "images": None, "held_out": None}, DataError, "none is left to learn from"),
        ({"images": 2000}, UsageError, "holds 1077 images"),
        (
            {"data": "imagefolder:large", "images": None, "held_out": 2},
            DataError,
            "images are 3x40x40, .* takes 3x32x32",
        ),
        ({"data": "imagefolder:none", "images": None}, DataError, "none: holds no images"),
        ({"configuration": "other.toml"}, UsageError, "its PCoders are on 0 instead of 1, 3"),
    ],
)
def test_what_cannot_be_is_refused(options: dict[str, Any], error: type[Exception], said: str, folder: Path) -> None:
    from PIL import Image

    for name, side, count in (("one", 32, 1), ("large", 40, 6), ("none", 32, 0)):
        (folder / name).mkdir()
        for number in range(count):
            Image.new("RGB", (side, side)).save(folder / name / f"{number}.png")
    (folder / "other.toml").write_text('input_size = [3, 32, 32]\n[[pcoders]]\nmodule = "0"\n')
    with pytest.raises(error, match=said) as refused:
        trained(**options)
    assert "\n" not in str(refused.value)
