"""Corruptions that are a function of the user's own: (images, severity, generator) -> images."""

from __future__ import annotations

import inspect
import logging
import threading
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias, cast

import numpy as np
import torch

from pcbench.corruptions.corruption import Corruption, Drawn
from pcbench.errors import RunError, UsageError
from pcbench.network.own_modules import own_code
from pcbench.network.seeding import seeded
from pcbench.own_code import copied

CorruptionFunction: TypeAlias = Callable[[torch.Tensor, int, np.random.Generator], torch.Tensor]
"""A corruption of the user's own: one image (1, channels, height, width), float32 in [0, 1], on the CPU, the severity
from 1, and the image's own generator -> an image of the same shape, cut off to [0, 1]. An array of NumPy may be
returned too."""

logger = logging.getLogger("pcbench")

_ONE_AT_A_TIME = threading.Lock()
"""The global generators, which such a function may draw from, are of the whole process."""
_CPU = torch.device("cpu")
_FAR = 1.0
"""Noise leaves [0, 1] and is cut off; what leaves it by more than its range is in other units, such as 0 to 255."""
_TOLD: set[str] = set()
"""The corruptions that were told of once in this process."""


ONLY_PUBLISHED = "only_published"
"""The function of a corruption that is read from files, and cannot be made here."""


class OnlyPublished(Corruption):
    """A corruption that is read from files."""

    def apply(self, images: torch.Tensor, drawn: tuple[torch.Tensor, ...]) -> torch.Tensor:
        """Refuse to make it.

        Raises:
            UsageError: Always.
        """
        del images, drawn
        raise UsageError("this corruption is published as files, and cannot be made here; give them with `corrupted`")


class OwnCorruption(Corruption):
    """One function at one severity; it is given one image at a time, each with its own generator."""

    name: str
    """What messages call it."""
    function: Any
    """The function."""
    severity: int
    """From 1."""
    arguments: dict[str, Any]
    """Further keyword arguments."""

    def draw(self, generator: np.random.Generator, channels: int, height: int, width: int) -> Drawn:
        """Draw the seed of the generator that the function is given."""
        del channels, height, width
        return (generator.integers(2**63, size=1, dtype=np.int64),)

    def apply(self, images: torch.Tensor, drawn: tuple[torch.Tensor, ...]) -> torch.Tensor:
        """Corrupt a batch, image by image, on the CPU.

        Raises:
            RunError: The function fails, or returns something else than an image like the one that it was given.
        """
        (seeds,) = drawn
        results = [self._one(one[None], int(seed)) for one, seed in zip(images.cpu(), seeds.cpu(), strict=True)]
        return torch.cat(results).to(images.device)

    def _one(self, levels: torch.Tensor, seed: int) -> torch.Tensor:
        image = levels.to(torch.float32) / 255
        generator = np.random.Generator(np.random.SFC64(seed))
        with _ONE_AT_A_TIME, own_code(f"the corruption {self.name} fails"), seeded(seed % 2**32, _CPU):
            answer: Any = self.function(image, self.severity, generator, **self.arguments)
        if isinstance(answer, np.ndarray):
            answer = torch.from_numpy(answer)
        wanted = f"it is to return an image like the one it is given, {tuple(levels.shape)}, floating point in [0, 1]"
        if not isinstance(answer, torch.Tensor):
            raise RunError(f"the corruption {self.name} returns {type(answer).__name__}; {wanted}")
        if answer.shape != levels.shape or not answer.is_floating_point():
            raise RunError(f"the corruption {self.name} returns {tuple(answer.shape)} of {answer.dtype}; {wanted}")
        if not bool(answer.isfinite().all()):
            raise RunError(f"the corruption {self.name} returns NaN or infinity; {wanted}")
        low, high = (float(end) for end in answer.aminmax())
        if low < -_FAR or high > 1 + _FAR:
            _tell_outside(self.name, low, high)
        return answer.detach().to(_CPU, torch.float32) * 255


def _tell_outside(name: str, low: float, high: float) -> None:
    if name not in _TOLD:
        _TOLD.add(name)
        logger.warning(
            "the corruption %s returns %.3g to %.3g, and images are in [0, 1]: they are cut off there", name, low, high
        )


def own_function(function: object, name: str, severity: int, arguments: Mapping[str, Any]) -> Corruption:
    """Return a user's function as a corruption at one severity.

    Raises:
        UsageError: It cannot be called with an image, a severity and a generator.
    """
    takes = "a corruption is a function (images, severity, generator) -> images"
    if not callable(function) or isinstance(function, type):
        raise UsageError(f"{name}: {takes}, not {function!r}")
    try:
        called = function.forward if isinstance(function, torch.nn.Module) else function  # a module takes anything
        inspect.signature(cast("Callable[..., Any]", called)).bind(None, severity, None, **arguments)
    except TypeError as error:
        raise UsageError(
            f"{name}: {takes}; this one does not take these and its parameters: {error}; write "
            f"lambda images, severity, generator: {name}(…)"
        ) from None
    except ValueError:
        pass  # of code that is not Python nothing is known
    return OwnCorruption(name=name, function=copied(function), severity=severity, arguments=dict(arguments))
