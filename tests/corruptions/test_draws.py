"""Oracle: NumPy's own draws and table look-ups, and SciPy's inverse of the Poisson distribution, value by value."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
import torch
from numpy.typing import NDArray
from shipped_corruptions import by_function

from pcbench.corruptions import randomness


def generator() -> np.random.Generator:
    return randomness.corruption_generator(3, "image", "any", 1)


def by_numpy(draws: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float32]:
    drawn = draws.random(shape, dtype=np.float32)
    drawn *= 3 - -1.5
    drawn += -1.5
    return drawn


def test_uniform_draws_are_numpy_s_to_the_bit() -> None:
    # An odd count leaves half a word, which NumPy keeps for the next draw of 32 bits and no other.
    ours, theirs = generator(), generator()
    for count in (6, 7, 8, 1, 0, 3, 5, 2, 4095):
        assert np.array_equal(randomness.uniform(ours, -1.5, 3, (count,)), by_numpy(theirs, (count,))), count
        assert ours.random() == theirs.random()
        assert randomness.below(ours, 100) == randomness.below(theirs, 100)
    assert np.array_equal(randomness.uniform(ours, -1.5, 3, (2, 3, 5)), by_numpy(theirs, (2, 3, 5)))


@pytest.mark.parametrize("scale", [1, 20.4, 0.1])
def test_normal_draws_are_the_same_by_an_older_opencv(monkeypatch: pytest.MonkeyPatch, scale: float) -> None:
    drawn = randomness.standard_normal(generator(), (3, 7, 9), scale)
    monkeypatch.setattr(randomness, "_OPENCV_READS_16_BIT", False)
    assert np.array_equal(randomness.standard_normal(generator(), (3, 7, 9), scale), drawn)
    assert np.array_equal(randomness.standard_normal(generator(), (3, 7, 9)) * np.float32(scale), drawn)


@pytest.mark.parametrize("photons", [3, 60, 1000])
def test_shot_noise_inverts_the_poisson_distribution(photons: float) -> None:
    # Every level with draws all over, of which some lie beside each other: both sides of steps are among them.
    function = type(by_function()["shot_noise"].at(1))(photons=photons)
    level, draw = np.meshgrid(np.arange(256, dtype=np.uint8), np.arange(0, 65536, 37, dtype=np.uint16), indexing="ij")
    drawn = (torch.from_numpy(draw)[None, None],)
    ours = function.apply(torch.from_numpy(level)[None, None], drawn)[0, 0].numpy()
    counts = scipy.stats.poisson.ppf((draw + 0.5) / 65536, level / 255 * photons)
    counts[0] = 0  # SciPy's inverse at rate 0 is -1
    assert np.array_equal(ours, np.floor(np.minimum(counts / photons, 1) * 255).astype(np.uint8))
