"""Oracles: Mintun, Kirillov and Xie's description, pixel by pixel in plain Python; closed forms; shares of draws."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from pcbench.corruptions.api import corrupt, find_corruption
from pcbench.corruptions.corruption import Corruption, Drawn
from pcbench.corruptions.definitions import CorruptionSuite
from pcbench.corruptions.functions import FUNCTIONS

SIDE = 12


@pytest.fixture(scope="module")
def image() -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(3).integers(20, 230, (1, 3, SIDE, SIDE))).float()


def made(name: str, **parameters: float) -> Corruption:
    return FUNCTIONS[name](**parameters)


def drawn(corruption: Corruption, seed: int = 1) -> Drawn:
    return corruption.draw(np.random.default_rng(seed), 3, SIDE, SIDE)


def applied(corruption: Corruption, image: torch.Tensor, parts: Drawn) -> NDArray[np.float64]:
    """Return the corrupted image, (height, width, channels), cut off to 0 to 255."""
    result = corruption.apply(image, tuple(torch.from_numpy(np.asarray(part))[None] for part in parts))
    return result[0].double().clamp(0, 255).permute(1, 2, 0).numpy()


def by_pixel(image: torch.Tensor, value: Any) -> NDArray[np.float64]:
    levels = image[0].permute(1, 2, 0).double().numpy()
    rows = [[value(levels[y, x], x, y) for x in range(SIDE)] for y in range(SIDE)]
    return np.clip(np.array(rows), 0, 255)


def test_a_wave_is_the_sine_of_its_phase(image: torch.Tensor) -> None:
    wave = made("single_frequency_greyscale", amplitude=40.0)
    for seed in range(3):
        ((along_x, along_y, phase),) = drawn(wave, seed)
        expected = by_pixel(image, lambda p, x, y: p + 40 * math.sin(along_x * x + along_y * y + phase))  # noqa: B023
        np.testing.assert_allclose(applied(wave, image, drawn(wave, seed)), expected, atol=1e-4)


def test_rings_are_a_saw_tooth_around_their_centre(image: torch.Tensor) -> None:
    rings = made("cocentric_sine_waves", amplitude=60.0)
    ((x0, y0, swings, height, width),) = drawn(rings)

    def value(pixel: Any, x: int, y: int) -> Any:
        radius = math.hypot(x - x0, y - y0) + height * math.sin(swings * math.atan2(x - x0, y - y0))
        return pixel + 60 * (radius / width - math.floor(radius / width) - 0.5)

    np.testing.assert_allclose(applied(rings, image, drawn(rings)), by_pixel(image, value), atol=1e-3)


def test_plasma_follows_its_displacements(image: torch.Tensor) -> None:
    plasma = made("plasma_noise", amplitude=51.0)
    for seed in range(4):
        ((time, iterations, sharpness, scale),) = drawn(plasma, seed)

        def value(pixel: Any, column: int, row: int) -> Any:
            x, y, finer, slower, weaker = column / scale, row / scale, 1.0, 1.0, 1.0  # noqa: B023
            for _ in range(int(iterations)):  # noqa: B023
                first = math.cos(y * finer + time / slower) / weaker  # noqa: B023
                second = math.sin(x * finer + time / slower) / weaker  # noqa: B023
                x, y = x + first - 0.3 * second, y + second + 0.3 * first
                finer, slower, weaker = finer * 1.93, slower * 1.15, weaker * (2.25 - sharpness)  # noqa: B023
            green = math.sin((x + y + math.sin(time)) / 2)  # noqa: B023
            return 0.8 * pixel + 51 * np.array([math.sin(x - time), green, math.sin(y + time)])  # noqa: B023

        np.testing.assert_allclose(applied(plasma, image, drawn(plasma, seed)), by_pixel(image, value), atol=1e-3)


def test_perlin_noise_is_even_at_the_points_of_its_lattice() -> None:
    perlin = made("perlin_noise", share=0.5)
    image = torch.full((1, 3, 224, 224), 100.0)
    parts = perlin.draw(np.random.default_rng(0), 3, 224, 224)
    noise = (applied(perlin, image, parts) - 50) / 127.5
    # All octaves are zero where the coarsest one is.
    np.testing.assert_allclose(noise[::32, ::32], 0.5, atol=1e-5)
    assert noise.min() >= 0.5 - 1e-5
    assert noise.std() > 0.03
    # The slope at a point of the lattice is its gradient, 1.5 times, in cells of 32 pixels, in each of five octaves.
    order, gradients = parts
    slope = gradients[order[(order[3] + 2) % 256]]
    nearby = 0.5 + 0.5 * abs(1.5 * slope[1] / 32)
    assert noise[96, 65, 0] >= nearby - 0.01


def test_coloured_noise_has_the_spectrum_and_the_strength_that_are_said() -> None:
    brown = made("brownish_noise", standard_deviation=10.0)
    image = torch.full((1, 3, 64, 64), 128.0)
    noise = applied(brown, image, brown.draw(np.random.default_rng(2), 3, 64, 64)) - 128
    np.testing.assert_allclose(noise.std(axis=(0, 1)), 10, rtol=1e-4)
    powers = np.abs(np.fft.fftshift(np.fft.fft2(noise, axes=(0, 1)), axes=(0, 1))) ** 2
    rows, columns = np.mgrid[:64, :64] - 32
    near, far = (powers[np.abs(np.hypot(rows, columns) - radius) < 0.5].mean() for radius in (3, 12))
    assert math.sqrt(near / far) == pytest.approx((12**2 + 1) / (3**2 + 1), rel=0.3)


@pytest.mark.parametrize("severity", range(1, 6))
def test_blue_noise_samples_as_many_pixels_as_its_threshold_says(severity: int) -> None:
    threshold = float(find_corruption("blue_noise_sample").parameters["threshold"][severity - 1])
    kept = (corrupt(torch.ones(8, 3, 64, 64), "blue_noise_sample", severity) > 0.5).float().mean()
    assert float(kept) == pytest.approx(NormalDist().cdf(-threshold), abs=0.01)


def test_sparkles_are_white_at_their_centres_and_dark_far_away() -> None:
    stars = made("sparkles", radius=0.02)
    image = torch.zeros(1, 3, 100, 100)
    centres, counts, deviations = stars.draw(np.random.default_rng(5), 3, 100, 100)
    centres = np.array([[50.0, 50.0]] * 5)
    counts[:], deviations[:] = 60, 0
    found = applied(stars, image, (centres, counts, deviations))
    assert (found[50, 50] == 255).all()
    turn = (math.atan2(20, 0) + math.pi) / (2 * math.pi) * 60
    glow = (1 - (turn - math.floor(turn) - 0.5) ** 2) * 2**2 / (20**2 + 1e-4)
    np.testing.assert_allclose(found[50, 70], 255 * (1 - (1 - glow) ** 5), rtol=1e-3)


def test_inverse_sparkles_leave_the_middle(image: torch.Tensor) -> None:
    star = made("inverse_sparkles", falloff=10.0)
    _, counts, deviations = drawn(star)
    deviations[:] = 0
    found = applied(star, image, (np.array([5.0, 5.0]), counts, deviations))
    np.testing.assert_allclose(found[4:7, 4:7], image[0].permute(1, 2, 0)[4:7, 4:7], atol=1e-3)
    assert (found[11, 11] > 254).all()


def test_a_chessboard_is_cut_out_square_by_square(image: torch.Tensor) -> None:
    board = made("checkerboard_cutout", share=0.5)
    for seed in range(4):
        (angle, side), numbers = drawn(board, seed)
        cells = int(4 * SIDE // side)

        def value(pixel: Any, x: int, y: int) -> Any:
            first = (math.cos(angle) * y + math.sin(angle) * x) / side  # noqa: B023
            second = (math.cos(angle) * x - math.sin(angle) * y) / side  # noqa: B023
            black = math.floor(first) % 2 == math.floor(second) % 2
            cut = numbers[int(first) % cells, int(second) % cells] < 0.5  # noqa: B023
            return np.full(3, 128.0) if black and cut else pixel

        np.testing.assert_allclose(applied(board, image, drawn(board, seed)), by_pixel(image, value))


def test_water_that_bends_little_leaves_the_image(image: torch.Tensor) -> None:
    water = made("caustic_refraction", bending=1e-6, lighting=0.0)
    np.testing.assert_allclose(applied(water, image, drawn(water)), image[0].permute(1, 2, 0), atol=1e-3)
    lit = made("caustic_refraction", bending=1e-6, lighting=1.0)
    change = applied(lit, image, drawn(lit)) - image[0].permute(1, 2, 0).numpy()
    assert np.abs(change).max() > 5
    inside = (change > -20) & (change < 20)
    assert inside.any()
    np.testing.assert_allclose(change[..., 0][inside.all(-1)], change[..., 1][inside.all(-1)], atol=1e-3)


def test_the_severities_are_the_published_ones(suites: dict[str, CorruptionSuite]) -> None:
    # Oracle: the levels of ImageNet-C-bar, from 0 to 10, times what each function makes of a level.
    known = {one.name: one.parameters for one in suites["imagenet-c-bar"].corruptions}
    for name, parameter, factor, offset, levels in (
        ("blue_noise_sample", "threshold", 0.3, -2.5, (0.8, 1.6, 2.4, 4.0, 5.6)),
        ("brownish_noise", "standard_deviation", 6.4, 0, (1, 2, 3, 4, 5)),
        ("caustic_refraction", "bending", 0.05, 0, (2.35, 3.2, 4.9, 6.6, 9.15)),
        ("caustic_refraction", "lighting", 0.2, 0, (2.35, 3.2, 4.9, 6.6, 9.15)),
        ("checkerboard_cutout", "share", 0.1, 0, (2, 3, 4, 5, 6)),
        ("cocentric_sine_waves", "amplitude", 12.8, 0, (3, 5, 8, 9, 10)),
        ("inverse_sparkles", "falloff", 0.13, 0, (1, 2, 4, 9, 10)),
        ("perlin_noise", "share", 0.05, 0, (4.6, 5.2, 5.8, 7.6, 8.8)),
        ("plasma_noise", "amplitude", 6.4, 0, (4.75, 7, 8.5, 9.25, 10)),
        ("single_frequency_greyscale", "amplitude", 19.6, 0, (1, 1.5, 2, 4.5, 5)),
        ("sparkles", "radius", 0.01, 0, (1, 2, 3, 5, 6)),
    ):
        np.testing.assert_allclose(known[name][parameter], [factor * level + offset for level in levels], atol=1e-9)
