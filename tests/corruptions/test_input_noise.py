"""Oracles: the definitions in docs/reference/corruptions.md, written out on e_0; moments of published distributions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from pcbench.corruptions.definitions import CorruptionDefinition, load_corruption_suite
from pcbench.corruptions.input_noise import input_noise_level, network_input_noise, noisy_input
from pcbench.errors import DefinitionError, UsageError

MEAN, STD = torch.tensor([0.4, 0.2]).reshape(2, 1, 1), torch.tensor([0.25, 0.5]).reshape(2, 1, 1)
BLACK, WHITE = -MEAN / STD, (1 - MEAN) / STD
PARAMETERS = {
    "gaussian_noise": ("standard_deviation", [0.5, 2.0]),
    "impulse_noise": ("share", [0.3]),
    "shot_noise": ("photons", [20.0, 5.0]),
    "speckle_noise": ("standard_deviation", [0.4]),
}


def normalise(images: torch.Tensor) -> torch.Tensor:
    return (images - MEAN) / STD


def defined(function: str) -> CorruptionDefinition:
    parameter, values = PARAMETERS[function]
    return CorruptionDefinition(
        name="own", title="", family="noise", function=function, source="", parameters={parameter: tuple(values)}
    )


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    """Three images of two channels, grey levels 51 and 204 in halves."""
    levels = torch.full((3, 2, 64, 64), 51, dtype=torch.uint8)
    levels[..., 32:] = 204
    return levels


def noisy(
    function: str, images: torch.Tensor, severity: int = 1, ids: tuple[str, ...] = ("a", "b", "c")
) -> torch.Tensor:
    return noisy_input(defined(function), severity, images, normalise, seed=3, ids=ids)


@pytest.mark.parametrize("function", PARAMETERS)
def test_the_noise_of_an_image_is_its_own(function: str, images: torch.Tensor) -> None:
    whole = noisy(function, images)
    assert (whole.shape, whole.dtype) == (images.shape, torch.float32)
    assert torch.equal(noisy(function, images[1:2], ids=("b",)), whole[1:2])
    assert not torch.equal(whole[0], whole[1])
    assert not torch.equal(noisy(function, images, ids=("a", "b", "d"))[2], whole[2])


def test_normal_noise_is_added_in_units_of_the_input(images: torch.Tensor) -> None:
    drawn = network_input_noise(defined("gaussian_noise"), 2, images.shape, seed=3, ids="abc")
    found = noisy("gaussian_noise", images, 2)
    assert torch.equal(found, normalise(images / 255) + drawn)
    assert drawn.std().item() == pytest.approx(2.0, rel=0.02)
    with pytest.raises(UsageError, match="only gaussian_noise does not depend on the image, not impulse_noise"):
        network_input_noise(defined("impulse_noise"), 1, images.shape, seed=3, ids="abc")


def test_impulse_noise_puts_what_black_and_white_become_in_place_of_values(images: torch.Tensor) -> None:
    found, clean = noisy("impulse_noise", images), normalise(images / 255)
    black, white = found == BLACK, found == WHITE
    assert torch.equal(found[~(black | white)], clean[~(black | white)])  # the others to the bit
    for share in (black, white):
        assert share.float().mean().item() == pytest.approx(0.15, abs=5 * (0.15 * 0.85 / black.numel()) ** 0.5)


def test_shot_noise_counts_light_and_is_not_cut_off_at_white(images: torch.Tensor) -> None:
    light = (noisy("shot_noise", images, 2) - BLACK) / (WHITE - BLACK)
    counts = light * 5
    assert (counts - counts.round()).abs().max() < 1e-4
    for half, rate in ((counts[..., :32], 1.0), (counts[..., 32:], 4.0)):
        assert half.mean().item() == pytest.approx(rate, abs=5 * (rate / half.numel()) ** 0.5)
        assert half.var().item() == pytest.approx(rate, rel=0.06)
    assert light.max() > 1.2


def test_speckle_noise_grows_with_the_distance_from_black(images: torch.Tensor) -> None:
    found, clean = noisy("speckle_noise", images), normalise(images / 255)
    noise = (found - clean) / (clean - BLACK)
    assert noise.mean().abs() < 0.02
    for channel in range(2):
        for half in (noise[:, channel, :, :32], noise[:, channel, :, 32:]):
            assert half.std().item() == pytest.approx(0.4, rel=0.05)


def test_levels_are_what_tables_call_them() -> None:
    levels = {name: [input_noise_level(defined(name), one) for one in defined(name).severities] for name in PARAMETERS}
    assert levels["shot_noise"] == pytest.approx(
        [20**-0.5, 5**-0.5]
    )  # the deviation of a white value, in units of white
    assert levels == {**levels, "gaussian_noise": [0.5, 2.0], "impulse_noise": [0.3], "speckle_noise": [0.4]}


def write(folder: Path, function: str, text: str) -> Path:
    suite = folder / "corruptions" / "own"
    suite.mkdir(parents=True)
    (suite / "suite.toml").write_text('version = 1\ntitle = "A"\nsource = "a test"\napplied_to = "network_input"\n')
    (suite / "own.toml").write_text(
        f'title = "A"\nfamily = "noise"\nfunction = "{function}"\nsource = "a test"\n[parameters]\n{text}\n'
    )
    return suite


@pytest.mark.parametrize("count", [1, 2, 7, 12])
def test_a_suite_of_noise_has_any_number_of_levels(tmp_path: Path, count: int) -> None:
    shares = np.linspace(0.05, 0.6, count).round(3).tolist()
    suite = load_corruption_suite(write(tmp_path, "impulse_noise", f"share = {shares}"))
    assert [input_noise_level(suite.corruptions[0], one) for one in suite.corruptions[0].severities] == shares


@pytest.mark.parametrize(
    ("function", "text", "says"),
    [
        (
            "contrast",
            "factor = [0.5]",
            r"only a noise \(gaussian_noise, shot_noise, impulse_noise, speckle_noise\) can be",
        ),
        ("impulse_noise", "share = [0.0, 0.1]", "share: holds 0, which is no noise; leave it out"),
        ("gaussian_noise", "standard_deviation = [0.5, 1, 0.5]", "holds 0.5 more than once; write each level once"),
        ("gaussian_noise", "standard_deviation = [0.0]", "standard_deviation: Input should be greater than 0"),
        ("gaussian_noise", "standard_deviation = []", "standard_deviation: "),
    ],
)
def test_what_is_no_level_of_noise_is_refused(tmp_path: Path, function: str, text: str, says: str) -> None:
    with pytest.raises(DefinitionError, match=says) as caught:
        load_corruption_suite(write(tmp_path, function, text))
    assert "\n" not in str(caught.value)
