"""The norms of perturbations: what a ball is, and how its radius, the budget ε, is read, bounded and printed.

All that differs between L∞ and L2 is here. Another norm is one more subclass of `Norm`, one more entry of `NORMS` and
one more word of `NormName`; outcomes get a column for it, so `OUTCOMES_VERSION` rises.

A module that only reads tables imports this one, so PyTorch is imported only where a tensor is made.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import BeforeValidator

from pcbench.errors import UnknownNameError, UsageError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

NormName = Literal["linf", "l2"]
"""What definitions and tables call a norm."""

LEVELS = 255
"""The steps between the darkest and the brightest value of a pixel of 8 bits."""

# foolbox's guard against dividing by the norm of a zero tensor; the same value keeps the two bit-identical.
_SMALLEST = 1e-12


class Norm(ABC):
    """One norm. Perturbations are (batch, channels, height, width) of images in [0, 1]; budgets are in that unit."""

    name: ClassVar[NormName]
    """What definitions and tables call it."""
    symbol: ClassVar[str]
    """How papers write it."""
    library_name: ClassVar[str]
    """How attack libraries and RobustBench write it."""
    meaning: ClassVar[str]
    """What it measures."""
    since: ClassVar[int] = 1
    """The first version of the table of outcomes that has its column."""
    scale: ClassVar[float] = 1.0
    """Axes of figures show this times a budget."""
    unit: ClassVar[str] = "pixel values in [0, 1]"
    """The unit of such an axis."""

    @property
    def column(self) -> str:
        """The column of outcomes that holds the measured norms of perturbations."""
        return f"perturbation_{self.name}"

    @abstractmethod
    def largest(self, shape: Sequence[int] | None) -> float:
        """Return the smallest budget that already allows every image.

        Args:
            shape: The images' (channels, height, width); None means not known, and then the answer may be infinite.
        """

    @abstractmethod
    def widest(self, shape: Sequence[int]) -> float:
        """Return a budget in which any sound attack breaks nearly every image of a shape (channels, height, width)."""

    def text(self, epsilon: float) -> str:
        """Return a budget as papers write it under this norm."""
        return f"{epsilon:.4g}"

    @abstractmethod
    def length(self, perturbations: Tensor) -> Tensor:
        """Return the norm of each perturbation, (batch,), in its type."""

    @abstractmethod
    def shorten(self, perturbations: Tensor, radii: Tensor) -> Tensor:
        """Return the nearest perturbations of at most the given norms (batch,), to the rounding of their type."""

    @abstractmethod
    def ascent(self, gradients: Tensor) -> Tensor:
        """Return the perturbations of norm 1 along which the loss grows fastest, to first order."""

    @abstractmethod
    def dual(self, gradients: Tensor) -> Tensor:
        """Return the growth of the loss along `ascent`, to first order: the dual norm of the gradients, (batch,)."""

    @abstractmethod
    def point(self, shape: Sequence[int], generator: torch.Generator) -> Tensor:
        """Draw a point of the unit ball uniformly, of a shape (channels, height, width), on the CPU."""

    @abstractmethod
    def extreme(self, points: Tensor) -> Tensor:
        """Return points of the unit ball (batch, …) moved outward as far as it goes: to corners, or to the surface."""


class _Linf(Norm):
    """The largest change of a pixel."""

    name = "linf"
    symbol = "L∞"
    library_name = "Linf"
    meaning = "the largest change of a pixel"
    scale = LEVELS
    unit = f"in 1/{LEVELS} of the pixel range"

    def largest(self, shape: Sequence[int] | None) -> float:
        del shape  # where every pixel may change by 1, every image is allowed
        return 1.0

    def widest(self, shape: Sequence[int]) -> float:
        del shape  # where every pixel may change by 1, every image is allowed
        return 1.0

    def text(self, epsilon: float) -> str:
        return f"{epsilon * LEVELS:.4g}/{LEVELS}"

    def length(self, perturbations: Tensor) -> Tensor:
        return perturbations.flatten(1).abs().amax(dim=1)

    def shorten(self, perturbations: Tensor, radii: Tensor) -> Tensor:
        radius = broadcast(radii, perturbations)
        return perturbations.clamp(-radius, radius)

    def ascent(self, gradients: Tensor) -> Tensor:
        return gradients.sign()

    def dual(self, gradients: Tensor) -> Tensor:
        return gradients.flatten(1).abs().sum(dim=1)

    def point(self, shape: Sequence[int], generator: torch.Generator) -> Tensor:
        import torch

        return torch.rand(tuple(shape), generator=generator) * 2 - 1

    def extreme(self, points: Tensor) -> Tensor:
        return points.sign()


class _L2(Norm):
    """The Euclidean length of the perturbation over all pixels."""

    name = "l2"
    symbol = "L2"
    library_name = "L2"
    meaning = "the Euclidean norm of the change"

    def largest(self, shape: Sequence[int] | None) -> float:
        return math.inf if shape is None else math.prod(shape) ** 0.5

    def widest(self, shape: Sequence[int]) -> float:
        return 0.5 * math.prod(shape) ** 0.5

    def length(self, perturbations: Tensor) -> Tensor:
        return perturbations.flatten(1).square().sum(dim=1).sqrt()

    def shorten(self, perturbations: Tensor, radii: Tensor) -> Tensor:
        shrink = radii.to(perturbations) * self._guarded(perturbations).reciprocal()
        return perturbations * broadcast(shrink.clamp(max=1), perturbations)

    def ascent(self, gradients: Tensor) -> Tensor:
        return gradients * broadcast(self._guarded(gradients).reciprocal(), gradients)

    def dual(self, gradients: Tensor) -> Tensor:
        return self.length(gradients)

    def point(self, shape: Sequence[int], generator: torch.Generator) -> Tensor:
        """Draw the first n coordinates of a point on the sphere in n + 2 dimensions.

        Source: Voelker, Gosmann and Stewart, Efficiently sampling vectors and coordinates from the n-sphere and
        n-ball, 2017.
        """
        import torch

        size = math.prod(shape)
        sphere = torch.randn(size + 2, generator=generator)
        return (sphere / sphere.square().sum().sqrt())[:size].reshape(tuple(shape))

    def extreme(self, points: Tensor) -> Tensor:
        return points / broadcast(self.length(points), points)

    def _guarded(self, tensor: Tensor) -> Tensor:
        return self.length(tensor).clamp_min(_SMALLEST)


LINF: Norm = _Linf()
L2: Norm = _L2()
NORMS: dict[str, Norm] = {norm.name: norm for norm in (LINF, L2)}
"""All norms, by name."""


def norm_named(name: str) -> Norm:
    """Return a norm by its name.

    Raises:
        UnknownNameError: There is no such norm.
    """
    if name not in NORMS:
        raise UnknownNameError("norm", name, NORMS)
    return NORMS[name]


def broadcast(values: Tensor, images: Tensor) -> Tensor:
    """Shape one value per image (batch,) so that it broadcasts over images (batch, …), in their type."""
    return values.to(images).reshape(-1, *[1] * (images.ndim - 1))


def parse_epsilon(value: object) -> float:
    """Read one budget.

    Args:
        value: A number, or its text: ``0.03``, ``"0.03"``, or a fraction of grey levels such as ``"8/255"``.

    Returns:
        The budget in pixel units of images in [0, 1].

    Raises:
        ValueError: It is not a finite number, or below 0.
    """
    try:
        numerator, slash, denominator = str(value).partition("/")  # a bool, list or table is not a number as text
        epsilon = float(numerator) / float(denominator) if slash else float(numerator)
    except (ValueError, ZeroDivisionError):
        raise ValueError(f"an epsilon is a number or text such as '8/255', not {value!r}") from None
    if not math.isfinite(epsilon) or epsilon < 0:
        raise ValueError(f"an epsilon is a finite number of at least 0, not {value!r}")
    return epsilon


def parse_epsilons(values: Iterable[object]) -> tuple[float, ...]:
    """Read budgets as a user writes them, where their norm is not known yet; ascending, each once.

    Raises:
        UsageError: One of them is not a number, or below 0.
    """
    try:
        return tuple(sorted({parse_epsilon(value) for value in values}))
    except ValueError as error:
        raise UsageError(str(error)) from None


Epsilon = Annotated[float, BeforeValidator(parse_epsilon)]
"""A budget as a field of a definition: a number, or its text."""


def check_epsilons(epsilons: Iterable[float], norm: Norm, shape: Sequence[int] | None = None) -> tuple[float, ...]:
    """Return budgets in ascending order, each once.

    Args:
        epsilons: The budgets.
        norm: Their norm.
        shape: The images' (channels, height, width), where it is known.

    Raises:
        ValueError: There is none, or one is larger than every perturbation that an image allows.
    """
    ordered = tuple(sorted(set(epsilons)))
    if not ordered:
        raise ValueError("at least one epsilon is needed")
    limit = norm.largest(shape)
    if ordered[-1] > limit:
        meant = f"; did you mean {ordered[-1]:g}/{LEVELS}?" if ordered[-1] <= LEVELS else ""
        raise ValueError(
            f"images lie in [0, 1], so an epsilon of {norm.symbol} is at most {limit:.4g}, not {ordered[-1]:g}{meant}"
        )
    return ordered


def read_epsilons(values: Iterable[object], norm: Norm, shape: Sequence[int] | None = None) -> tuple[float, ...]:
    """Read a list of budgets as a user writes them.

    Args:
        values: Numbers or texts, as for `parse_epsilon`.
        norm: The norm of the attack that they are for.
        shape: The images' (channels, height, width), where it is known.

    Returns:
        The budgets, ascending, each once.

    Raises:
        UsageError: One of them is not a number, or out of range.
    """
    try:
        return check_epsilons(parse_epsilons(values), norm, shape)
    except ValueError as error:
        raise UsageError(str(error)) from None


def norm_symbol(norm: str | None) -> str:
    """Return how papers write the norm that a table names: L∞ or L2; an unknown name is returned unchanged."""
    return NORMS[norm].symbol if norm in NORMS else norm or ""


def epsilon_text(epsilon: float, norm: str | None) -> str:
    """Return a budget as papers write it under the norm that a table names, or as a plain decimal."""
    return NORMS[norm].text(epsilon) if norm in NORMS else f"{epsilon:.4g}"


def epsilon_label(norm: str | None) -> str:
    """Return the label of an axis of budgets, with its unit."""
    return f"ε ({norm_symbol(norm)}, {NORMS[norm].unit if norm in NORMS else Norm.unit})"


def epsilon_scale(norm: str | None) -> float:
    """Return what budgets are multiplied by on an axis with that label."""
    return NORMS[norm].scale if norm in NORMS else Norm.scale


def project(images: Tensor, clean: Tensor, epsilons: Tensor, norm: Norm) -> Tensor:
    """Move images into the balls around the clean ones.

    Args:
        images: (batch, channels, height, width).
        clean: The centres, the same shape.
        epsilons: Radii, (batch,).
        norm: The balls' norm.

    Returns:
        The nearest images in the balls, to float32 rounding; they may lie outside [0, 1].
    """
    return clean + norm.shorten(images - clean, epsilons)


def within_budget(images: Tensor, clean: Tensor, epsilons: Tensor, norm: Norm) -> Tensor:
    """Return an attack's images as they may be fed to the network: inside the ball and inside [0, 1].

    A pixel that the attack made NaN or infinite becomes the clean one.
    """
    finite = clean.where(~images.isfinite(), images)
    return project(finite, clean, epsilons, norm).clamp(0, 1)


def perturbation_norms(images: Tensor, clean: Tensor) -> dict[str, Tensor]:
    """Measure perturbations.

    Returns:
        By the name of each norm, (batch,), float64, in pixel units of images in [0, 1].
    """
    difference = images.double() - clean.double()
    return {name: norm.length(difference) for name, norm in NORMS.items()}
