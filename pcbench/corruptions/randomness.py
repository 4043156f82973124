"""Random numbers as an argument: one generator for each corrupted image.

The stream depends on (run seed, image id, corruption, severity) and on nothing else, so an image gets the same noise
in whatever batch, order, process or thread it is corrupted.
"""

from __future__ import annotations

import functools
import hashlib
import json

import numpy as np
from numpy.typing import NDArray

from pcbench.corruptions.opencv import cv2

LEVELS_16_BIT = 65536

# Before, its tables end at 256 entries.
_OPENCV_READS_16_BIT = tuple(int(part) for part in cv2.__version__.split(".")[:2]) >= (4, 13)


def corruption_generator(seed: int, image_id: str, corruption: str, severity: int) -> np.random.Generator:
    """Return the generator of one corrupted image.

    Args:
        seed: The run's seed, any integer.
        image_id: The name of the image, unique in its data set.
        corruption: The name of the corruption.
        severity: 1 to 5.

    Returns:
        A NumPy generator over SFC64 whose state is a digest (BLAKE2b, 128 bits) of the four.
    """
    return np.random.Generator(np.random.SFC64(_digest(seed, image_id, corruption, severity)))


def legacy_seed(seed: int, image_id: str, corruption: str, severity: int) -> int:
    """Return a 32-bit seed for libraries that know only those, made from the same four values."""
    return _digest(seed, image_id, corruption, severity) % 2**32


def _digest(seed: int, image_id: str, corruption: str, severity: int) -> int:
    # JSON keeps the four values apart: ("a", "bc") and ("ab", "c") are different texts.
    text = json.dumps([seed, image_id, corruption, severity])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=16).digest(), "little")


def uniform_16_bit(generator: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.uint16]:
    """Draw integers, each of the values 0 to 65535 being equally likely.

    These are the generator's raw words, four to a word: the fastest draw there is, and one whose stream does not
    change between versions of NumPy.
    """
    count = int(np.prod(shape))
    words = generator.bit_generator.random_raw(-(-count // 4))
    return words.astype("<u8", copy=False).view("<u2")[:count].reshape(shape)


def standard_normal(generator: np.random.Generator, shape: tuple[int, ...], scale: float = 1.0) -> NDArray[np.float32]:
    """Draw from the normal distribution with mean 0 and variance 1, times `scale`.

    The distribution is inverted at one of 65,536 evenly spaced probabilities, by a table: values end at 4.17, the
    cumulative distribution is right to 1 / 131,072, and the table's variance is set to 1. This is four times as fast
    as an exact draw; rounding to 256 grey levels hides far more.
    """
    table, indices = _normal_quantiles(scale), uniform_16_bit(generator, shape)
    if _OPENCV_READS_16_BIT:
        return np.asarray(cv2.LUT(indices.reshape(1, -1), table[None]), np.float32).reshape(shape)
    return table.take(indices.astype(np.intp))


def uniform(generator: np.random.Generator, low: float, high: float, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Draw from the uniform distribution over [low, high)."""
    drawn = _random(generator, int(np.prod(shape))).reshape(shape)
    drawn *= high - low
    drawn += low
    return drawn


def below(generator: np.random.Generator, limit: int) -> int:
    """Draw one of the integers 0 to `limit` - 1, each being equally likely."""
    return int(generator.integers(limit, dtype=np.int64))


def _random(generator: np.random.Generator, count: int) -> NDArray[np.float32]:
    """Return what `generator.random(count, dtype=np.float32)` does, in half the time.

    A float is the upper 24 bits of half a word, the lower half first. NumPy keeps the half that an odd count leaves
    for the next draw of 32 bits: where one is left, and for an odd count's last float, NumPy draws itself.
    """
    if generator.bit_generator.state["has_uint32"]:
        return generator.random(count, dtype=np.float32)
    words = generator.bit_generator.random_raw(count // 2).astype("<u8", copy=False).view("<u4")
    words >>= 8
    drawn = np.zeros(count, np.float32)
    drawn[: len(words)] = words.view(np.int32)  # signed, since processors turn those into floats faster
    drawn *= np.float32(2**-24)
    drawn[len(words) :] = generator.random(count % 2, dtype=np.float32)
    return drawn


@functools.lru_cache(maxsize=8)
def _normal_quantiles(scale: float) -> NDArray[np.float32]:
    if scale != 1:
        return _normal_quantiles(1.0) * np.float32(scale)
    from scipy.special import ndtri  # its import takes a tenth as long as PyTorch's

    quantiles = ndtri((np.arange(LEVELS_16_BIT) + 0.5) / LEVELS_16_BIT)
    return (quantiles / quantiles.std()).astype(np.float32)
