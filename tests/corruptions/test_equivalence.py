"""Oracle: imagecorruptions 1.1.2, the published code of ImageNet-C, on real photographs.

The package gets the very draws that this package's function made (its random generator is replaced by one that
replays them), so that every corruption but one can be compared grey level by grey level. Impulse noise, which is
drawn inside scikit-image, is compared by its statistics; `test_distributions.py` compares those of all.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.stats
import torch
from numpy.typing import NDArray
from PIL import Image

from pcbench.corruptions import imagecorruptions_backend, randomness
from pcbench.corruptions.engine import corrupt_batch
from pcbench.corruptions.imagenet import imagenet_definition

SIDE = 224

# Both cut values off to whole levels, so where real numbers would give a whole level, the rounding errors of double
# precision there and of single precision here decide between two levels: one apart at most. That is rare, but for
# areas of one colour (white above all) in blurs, and for colours that a factor maps onto whole levels.
LARGEST = 1


class Replay:
    """Stands for numpy.random in the package: answers its calls with given draws."""

    def __init__(self, **answers: Callable[..., Any]) -> None:
        for name, answer in answers.items():
            setattr(self, name, answer)


def generator() -> np.random.Generator:
    return randomness.corruption_generator(3, "photograph", "any", 1)


def planes_last(array: NDArray[np.generic]) -> NDArray[np.generic]:
    return np.moveaxis(array, 0, -1)


def replay_nothing(_: Any, __: int) -> Replay:
    return Replay()


def replay_normal(_: Any, side: int) -> Replay:
    noise = planes_last(randomness.standard_normal(generator(), (3, side, side)))
    return Replay(normal=lambda size, scale: noise.reshape(size) * np.float64(scale))


def replay_poisson(function: Any, side: int) -> Replay:
    probability = (planes_last(function.draw(generator(), 3, side, side)[0]) + 0.5) / 65536
    return Replay(poisson=lambda rates: scipy.stats.poisson.ppf(probability, rates))


def replay_glass(function: Any, side: int) -> Replay:
    reach = function.reach
    steps = function.draw(generator(), 3, side, side)[0]
    down = np.floor_divide(steps + side // 2, side)
    moves = np.stack((steps - down * side, down), axis=-1)
    inner = range(side - reach, reach, -1)
    visits = iter([moves[visit, row, column] for visit in range(len(steps)) for row in inner for column in inner])
    return Replay(randint=lambda *_, **__: next(visits))


def replay_angle(function: Any, side: int) -> Replay:
    angle = float(function.draw(generator(), 3, side, side)[0])
    return Replay(uniform=lambda *_: angle)


def replay_snow(function: Any, side: int) -> Replay:
    draws = generator()
    rows = int(np.ceil(side / function.zoom))
    middle = randomness.standard_normal(draws, (rows, rows))
    angle = draws.uniform(-135, -45)
    noise = np.zeros((side, side))
    top = (side - rows) // 2
    noise[top : top + rows, top : top + rows] = middle
    return Replay(normal=lambda size, loc, scale: noise.reshape(size) * scale + loc, uniform=lambda *_: angle)


def replay_frost(_: Any, __: int) -> Replay:
    draws = generator()
    return Replay(randint=lambda low, high=None: randomness.below(draws, low if high is None else high))


def replay_fog(_: Any, __: int) -> Replay:
    draws = generator()
    return Replay(uniform=lambda low, high, shape: randomness.uniform(draws, low, high, shape))


def replay_elastic(function: Any, side: int) -> Replay:
    draws = generator()
    randomness.uniform(draws, 0, 0, (3, 2))
    reach = function.displacement * side
    fields = iter(randomness.uniform(draws, -reach, reach, (1, 2, side, side))[0])
    # The package draws within half a per cent of the side and multiplies afterwards.
    return Replay(uniform=lambda _, high, size: next(fields).reshape(size) * (np.float64(high) / reach))


def replay_spatter(function: Any, side: int) -> Replay:  # noqa: ARG001 - one signature for all
    noise = randomness.standard_normal(generator(), (side, side))
    return Replay(normal=lambda size, loc, scale: noise.reshape(size).astype(np.float64) * scale + loc)


REPLAYS: dict[str, Callable[[Any, int], Replay]] = {
    "gaussian_noise": replay_normal,
    "shot_noise": replay_poisson,
    "speckle_noise": replay_normal,
    "glass_blur": replay_glass,
    "motion_blur": replay_angle,
    "snow": replay_snow,
    "frost": replay_frost,
    "fog": replay_fog,
    "elastic_transform": replay_elastic,
    "spatter": replay_spatter,
    **dict.fromkeys(
        (
            "defocus_blur",
            "zoom_blur",
            "brightness",
            "contrast",
            "pixelate",
            "jpeg_compression",
            "gaussian_blur",
            "saturate",
        ),
        replay_nothing,
    ),
}


@pytest.mark.parametrize("severity", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("name", REPLAYS)
def test_the_same_draws_give_the_package_s_image(photographs: torch.Tensor, name: str, severity: int) -> None:
    # The package's glass blur takes half a second for a whole photograph.
    side = 96 if name == "glass_blur" else SIDE
    images = photographs[severity : severity + 1, :, :side, :side].contiguous()
    function = imagenet_definition(name).at(severity)
    ours = corrupt_batch(images, function, [generator()])[0].permute(1, 2, 0).numpy()
    module = imagecorruptions_backend.repaired_module()
    module.np.random = REPLAYS[name](function, side)
    picture = Image.fromarray(np.ascontiguousarray(images[0].permute(1, 2, 0).numpy()))
    theirs = np.asarray(getattr(module, name)(picture, severity)).astype(np.uint8)
    difference = np.abs(ours.astype(int) - theirs)
    assert difference.max() <= LARGEST
