"""Noise on the network's own input e_0, after normalisation and without clipping.

Black and white are what normalisation makes of 0 and 1, b_c = -mean_c / std_c and w_c = (1 - mean_c) / std_c in channel
c. Normal noise is added to e_0 in units of e_0, whatever black and white are, as Predify's authors do. The others are
defined by a pixel's light, p = (e_0 - b_c) / (w_c - b_c), and are not cut off at white: impulse noise puts b_c or w_c
in place of a value, shot noise counts p, speckle noise adds to e_0 normal noise times e_0 - b_c.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import torch

from pcbench.corruptions import randomness
from pcbench.corruptions.corruption import as_float
from pcbench.corruptions.definitions import CorruptionDefinition
from pcbench.corruptions.noise import GaussianNoise, Noise
from pcbench.data.ids import as_ids
from pcbench.errors import UsageError

Normalise = Callable[[torch.Tensor], torch.Tensor]
"""From images in [0,1], and beyond white, to e_0."""


def noisy_input(
    definition: CorruptionDefinition,
    severity: int,
    images: torch.Tensor,
    normalise: Normalise,
    *,
    seed: int,
    ids: Iterable[object],
) -> torch.Tensor:
    """Return e_0 of some images with noise on it.

    Args:
        definition: A corruption of a suite whose `applied_to` is not `pixels`; its function is a noise.
        severity: One of the definition's.
        images: (batch, channels, height, width), uint8, on the CPU.
        normalise: Makes e_0 of images in [0,1], on the network's device.
        seed: The run's seed.
        ids: Names of the images.

    Returns:
        The shape of e_0, on its device. An image's noise depends on seed, id, noise and severity only.

    Raises:
        UsageError: Another function than a noise, or ids that do not fit.
    """
    if isinstance(_noise(definition, severity), GaussianNoise):
        clean = normalise(as_float(images) / 255)
        return clean + network_input_noise(definition, severity, clean.shape, seed=seed, ids=ids).to(clean)
    names = _names(ids, images.shape)
    function, (channels, height, width) = _noise(definition, severity), images.shape[1:]
    noisy = torch.empty(images.shape, dtype=torch.float32)
    for index, name in enumerate(names):  # one by one: what is computed of an image does not depend on the others
        generator = randomness.corruption_generator(seed, name, definition.name, severity)
        drawn = tuple(torch.from_numpy(part)[None] for part in function.draw(generator, channels, height, width))
        noisy[index] = function.apply(as_float(images[index : index + 1]), drawn)[0]
    return normalise(noisy / 255)


def network_input_noise(
    definition: CorruptionDefinition, severity: int, shape: Sequence[int], *, seed: int, ids: Iterable[object]
) -> torch.Tensor:
    """Draw the normal noise that is added to e_0.

    Args:
        definition: A corruption of a suite whose `applied_to` is not `pixels`; its function is `gaussian_noise`, its
            standard deviation is in units of the normalised input.
        severity: One of the definition's.
        shape: (batch, channels, height, width).
        seed: The run's seed.
        ids: Names of the images.

    Returns:
        `shape`, float32 on the CPU: add it to the normalised images.

    Raises:
        UsageError: Another function than `gaussian_noise`, or a shape that does not fit the ids.
    """
    function = definition.at(severity)
    if not isinstance(function, GaussianNoise):
        raise UsageError(f"only gaussian_noise does not depend on the image, not {definition.function}")
    drawn = [
        torch.from_numpy(randomness.standard_normal(generator, tuple(shape[1:]), function.standard_deviation))
        for generator in (
            randomness.corruption_generator(seed, name, definition.name, severity) for name in _names(ids, shape)
        )
    ]
    return torch.stack(drawn)


def input_noise_level(definition: CorruptionDefinition, severity: int) -> float:
    """Return how strong a noise is, as the column `epsilon` of tables says it.

    Raises:
        UsageError: Another function than a noise.
    """
    return float(_noise(definition, severity).level)


def _noise(definition: CorruptionDefinition, severity: int) -> Noise:
    function = definition.at(severity)
    if not isinstance(function, Noise):
        raise UsageError(f"only a noise can be added to a network's input, not {definition.function}")
    return function


def _names(ids: Iterable[object], shape: Sequence[int]) -> Sequence[str]:
    names = as_ids(ids)
    if len(shape) != 4 or shape[0] != len(names):
        raise UsageError(
            f"the noise for {len(names)} images has the shape ({len(names)}, channels, height, width), "
            f"not {tuple(shape)}"
        )
    return names
