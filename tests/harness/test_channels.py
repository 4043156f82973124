"""Runs of networks with one, two and four channels.

Oracles: the network itself on arrays made here; a run of the same images in another form; NumPy's distances.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch import nn

import pcbench
from pcbench.attacks.definitions import load_attack_suite
from pcbench.corruptions.definitions import load_corruption_suite
from pcbench.errors import UsageError
from pcbench.network.network import PredictiveNetwork
from pcbench.results.directory import Run

RANDOM = np.random.default_rng(5)
# From dark to bright, so that the networks see several classes in them.
IMAGES = (RANDOM.integers(0, 256, (6, 16, 20, 4)) * np.linspace(0.1, 1, 6).reshape(6, 1, 1, 1)).astype(np.uint8)
LABELS = np.array([0, 1, 2, 0, 1, 2])
Measure = Callable[..., Run]


class TwoBranches(nn.Module):
    """Two branches on one stem, each with its own convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(channels, 3, 3, padding=1)
        self.act = nn.ReLU()
        self.left = nn.Conv2d(3, 4, 3, stride=2, padding=1)
        self.right = nn.Conv2d(3, 4, 3, stride=2, padding=1)
        self.head = nn.Linear(8, 3)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return logits (batch, 3)."""
        stem = self.act(self.stem(images))
        branches = [self.left(stem).relu(), self.right(stem).tanh()]
        return self.head(torch.cat([branch.mean((2, 3)) for branch in branches], 1))


def network_of(channels: int) -> PredictiveNetwork:
    """Return a predictive network with seeded weights that takes images of 16 x 20 px."""
    with torch.random.fork_rng():
        torch.manual_seed(channels)
        backbone = TwoBranches(channels)
        backbone.head.weight.data *= 9
        levels = torch.tensor(IMAGES[..., :channels].transpose(0, 3, 1, 2))
        backbone.head.bias.data -= backbone((levels / 255 - 0.4) / 0.2).mean(0)  # so that no class wins everywhere
        configuration = {"input_size": [channels, 16, 20], "pcoders": [{"module": "act"}, {"module": "left"}]}
        return pcbench.predify(backbone, configuration, mean=[0.4] * channels, std=[0.2] * channels)


@pytest.fixture
def measured(tmp_path: Path) -> Measure:
    def measure(channels: int, suites: list[str], data: Any, **options: Any) -> Run:
        out = tmp_path / f"run-{len(list(tmp_path.iterdir()))}"
        options = {"timesteps": 1, **options}
        return pcbench.run(network_of(channels), suites, data=data, out=out, progress=False, **options)

    return measure


def suite(folder: Path, files: dict[str, str], *, applied_to: str = "pixels") -> str:
    """Write a suite of corruptions: for each name its function and parameters."""
    made = folder / "corruptions" / f"own-{len(list(folder.iterdir()))}"
    made.mkdir(parents=True)
    (made / "suite.toml").write_text(f'version = 1\ntitle = "A"\nsource = "a test"\napplied_to = "{applied_to}"\n')
    for name, text in files.items():
        function, parameters = text.split(": ")
        (made / f"{name}.toml").write_text(
            f'title = "{name}"\nfamily = "noise"\nfunction = "{function}"\nsource = "a test"\n'
            f"[parameters]\n{parameters}\n"
        )
    return str(made)


def attacks(folder: Path, text: str) -> str:
    """Write a suite of one attack."""
    made = folder / "attacks" / "own"
    made.mkdir(parents=True)
    (made / "suite.toml").write_text('version = 1\ntitle = "A"\nsource = "a test"\n')
    (made / "one.toml").write_text(f'title = "A"\nsource = "a test"\n{text}\n')
    return str(made)


def answers(run: Run) -> pd.DataFrame:
    columns = ["kind", "name", "severity", "timestep", "label", "prediction", "margin"]
    found = run.outcomes()[["image_id", *columns]].sort_values(["name", "severity", "timestep", "image_id"])
    return found[columns].astype({"kind": str, "name": str}).reset_index(drop=True)


def test_grey_files_arrays_and_tensors_give_the_answers_of_the_network_itself(
    measured: Measure, tmp_path: Path
) -> None:
    grey = IMAGES[..., 0]
    for label in range(3):
        (tmp_path / "images" / str(label)).mkdir(parents=True)
    for number, (image, label) in enumerate(zip(grey, LABELS, strict=True)):
        Image.fromarray(image).save(tmp_path / "images" / str(label) / f"{number}.png")
    chosen = suite(tmp_path, {"contrast": "contrast: factor = [0.5]", "pixelate": "pixelate: scale = [0.5]"})
    order = np.argsort(LABELS, kind="stable")
    forms: list[Any] = [torch.tensor(grey)[:, None], np.repeat(grey[..., None], 3, axis=3) / 255]
    found = [answers(measured(1, [chosen], (form[order], LABELS[order]))) for form in forms]
    found.append(answers(measured(1, [chosen], f"imagefolder:{tmp_path / 'images'}")))
    for other in found[1:]:
        pd.testing.assert_frame_equal(found[0], other)
    with torch.no_grad():
        logits = network_of(1)(torch.tensor(grey[order])[:, None] / 255, 1)
    clean = found[0][found[0]["kind"] == "clean"].reset_index(drop=True)
    assert clean["prediction"].tolist() == logits.argmax(2).flatten().tolist()
    assert clean["prediction"].nunique() > 1


def test_what_is_inside_is_written_for_grey_pictures_without_labels(tmp_path: Path) -> None:
    (tmp_path / "flat").mkdir()
    for number, image in enumerate(IMAGES[:3, ..., 0]):
        Image.fromarray(image).save(tmp_path / "flat" / f"{number}.png")
    made = pcbench.extract(
        network_of(1), data=f"imagefolder:{tmp_path / 'flat'}", out=tmp_path / "out", timesteps=1, progress=False
    )
    with torch.no_grad():
        images = torch.tensor(IMAGES[:3, ..., 0])[:, None] / 255
        expected = network_of(1).unroll(images, 1, keep=("representations",)).representations
    np.testing.assert_array_equal(made.array("representations/2")[:, 1], expected[1][1].numpy())


@pytest.mark.parametrize("channels", [2, 4])
def test_two_and_four_channels_run_from_arrays_and_files(channels: int, measured: Measure, tmp_path: Path) -> None:
    pixels = IMAGES[..., :channels]
    chosen = suite(tmp_path, {"blur": "gaussian_blur: sigma = [1, 2]", "noise": "impulse_noise: share = [0.1]"})
    run = measured(channels, [chosen], (pixels, LABELS))
    assert run.spec.data.preprocessing["channels"] == channels
    first = torch.tensor(pixels.transpose(0, 3, 1, 2))
    pd.testing.assert_frame_equal(answers(run), answers(measured(channels, [chosen], (first, LABELS))))
    blurred = pcbench.corrupt(first, load_corruption_suite(Path(chosen)).corruption("blur"), 2)
    with torch.no_grad():
        expected = network_of(channels)(blurred / 255, 1).argmax(2)
    rows = answers(run).query("name == 'blur' and severity == 2")
    assert rows["prediction"].tolist() == expected.flatten().tolist()


def test_what_needs_colours_is_refused_before_anything_is_computed(measured: Measure, tmp_path: Path) -> None:
    data = (IMAGES, LABELS)
    with pytest.raises(UsageError) as caught:
        measured(4, ["gaussian-noise", "imagenet-c"], data)
    assert str(caught.value) == (
        "network takes images of 4 channels, and snow, frost, brightness, jpeg_compression of imagenet-c are made for "
        "colours or grey: give a copy of the suite's folder, corruptions/NAME, without these files "
        "and their names in suite.toml"
    )
    with pytest.raises(
        UsageError, match=r"1 channel, and saturate of imagenet-c-extra is made for colours: give a copy"
    ):
        measured(1, ["imagenet-c-extra"], (IMAGES[..., 0], LABELS))
    fog = suite(tmp_path, {"fog": "fog: density = [0.5]\ndecay = [2]"})
    for options, says in (
        ({"jpeg_quality": 85}, "a JPEG has 1 or 3"),
        ({"backend": "reference"}, "leave `backend` out"),
    ):
        with pytest.raises(UsageError, match=f"network takes images of 4 channels, and .*{says}"):
            measured(4, [fog], data, **options)
    smooth = attacks(tmp_path, 'library = "torchattacks"\nattack = "TIFGSM"\nnorm = "linf"\nepsilons = ["8/255"]')
    with pytest.raises(UsageError, match=r"4 channels, and one of own is made for colours: .* attacks/NAME, without"):
        measured(4, [smooth], data)
    assert not list(tmp_path.glob("run-*"))


@pytest.mark.parametrize("channels", [1, 2, 4])
@pytest.mark.parametrize(
    ("library", "attack", "norm", "more"),
    [
        ("foolbox", "LinfPGD", "linf", "steps = 3\nrelative_step_size = 0.5"),
        ("foolbox", "L2FastGradientAttack", "l2", ""),
        ("pyautoattack", "square", "linf", "steps = 20\nwhite_box = false"),
    ],
)
def test_attacks_keep_to_their_budget_and_are_scored_again(
    channels: int, library: str, attack: str, norm: str, more: str, tmp_path: Path
) -> None:
    folder = attacks(tmp_path, f'library = "{library}"\nattack = "{attack}"\nnorm = "{norm}"\nepsilons = [0.3]\n{more}')
    images = torch.tensor(IMAGES[:3, ..., :channels].transpose(0, 3, 1, 2)) / 255
    network = network_of(channels)
    with torch.no_grad():
        labels = network(images, 1)[1].argmax(1).numpy()
    definition = load_attack_suite(Path(folder)).attack("one")
    found = pcbench.attack(network, images, labels, definition, timestep=1, keep_images=True)
    assert found.images is not None
    moved = (found.images[-1] - images).flatten(1).double()
    sizes = moved.abs().amax(1) if norm == "linf" else moved.square().sum(1).sqrt()
    assert 0 < float(sizes.max()) <= 0.3 * (1 + 1e-5)
    with torch.no_grad():
        again = network(found.images[-1], 1)[1].argmax(1).numpy()
    np.testing.assert_array_equal(found.columns["prediction"][-1], again)


def test_saved_images_of_four_channels_are_scored_by_another_network(measured: Measure, tmp_path: Path) -> None:
    folder = attacks(
        tmp_path, 'library = "foolbox"\nattack = "LinfFastGradientAttack"\nepsilons = [0.1]\nnorm = "linf"'
    )
    run = measured(4, [folder], (IMAGES, LABELS), save_adversarials=True, images=3, checks=False)
    made = run.outcomes().query("kind == 'attack' and attacked_timestep == 1 and timestep == 1 and epsilon > 0")
    scored = pcbench.run(
        network_of(4), adversarials=run.folder, out=tmp_path / "again", timesteps=1, progress=False
    ).outcomes()
    again = scored.query("kind == 'attack' and attacked_timestep == 1 and timestep == 1 and epsilon > 0")
    both = made.merge(again, on=["image_id", "epsilon"], suffixes=("", "_again"))
    assert len(both) == len(made) > 0
    assert (both["prediction"] == both["prediction_again"]).all()


def test_every_noise_runs_on_the_network_s_own_input_at_its_levels(measured: Measure, tmp_path: Path) -> None:
    levels = [0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6]
    noises = {
        "normal": "gaussian_noise: standard_deviation = [0.5]",
        "salt_and_pepper": f"impulse_noise: share = {levels}",
        "shot": "shot_noise: photons = [20, 5]",
    }
    run = measured(4, [suite(tmp_path, noises, applied_to="network_input")], (IMAGES, LABELS), timesteps=0)
    rows = run.outcomes().query("kind == 'noise'")
    found = {str(name): sorted(set(part["epsilon"])) for name, part in rows.groupby("name", observed=True)}
    assert found == {"normal": [0.5], "salt_and_pepper": levels, "shot": [20**-0.5, 5**-0.5]}
    chosen = suite(tmp_path, {"salt_and_pepper": noises["salt_and_pepper"]}, applied_to="representations")
    inner = measured(4, [chosen], (IMAGES, LABELS)).representations()
    moved = inner[(inner["metric"].astype(str) == "correlation_distance") & (inner["pcoder"] == 1)]
    by_level = moved[moved["timestep"] == 0].groupby("epsilon")["value"].mean()
    assert by_level.index.tolist() == levels
    assert by_level.is_monotonic_increasing


@pytest.mark.with_pictures
@pytest.mark.usefixtures("two_figures")
def test_pictures_of_four_channels_are_side_by_side(measured: Measure, tmp_path: Path) -> None:
    run = measured(4, [suite(tmp_path, {"contrast": "contrast: factor = [0.5]"})], (IMAGES, LABELS), images=3)
    shown = Image.open(next(iter(sorted((run.folder / "examples").glob("*clean.png")))))
    assert (shown.mode, shown.size) == ("L", (40, 32))
    pixels = next(image for image in IMAGES if np.array_equal(np.asarray(shown)[:16, :20], image[..., 0]))
    rows = [np.hstack([pixels[..., 0], pixels[..., 1]]), np.hstack([pixels[..., 2], pixels[..., 3]])]
    np.testing.assert_array_equal(np.asarray(shown), np.vstack(rows))
    assert "its 4 channels as grey pictures" in (run.folder / "report" / "index.html").read_text()
