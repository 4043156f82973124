"""A predictor taken apart: what comes before its last learned layer, that layer, and what comes after it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

Learned = nn.ConvTranspose2d | nn.Conv2d | nn.Linear
_ORDER = (nn.Identity, nn.Flatten, nn.Unflatten)
"""Layers that only put the same cells into another shape."""
_LINEAR = (*_ORDER, nn.Upsample)
_RANGES: dict[type[nn.Module], tuple[float, float]] = {nn.ReLU: (0.0, float("inf")), nn.ReLU6: (0.0, 6.0)}
"""Layers that cut off what leaves a range: a target in that range is what they should be given."""


@dataclass(frozen=True)
class LinearParts:
    """A predictor as D(e) = after(layer(before(e)))."""

    before: tuple[nn.Module, ...]
    """It is not solved for; it may hold layers that learn."""
    layer: Learned
    """The last layer that learns; its output is linear in its weight and bias."""
    after: tuple[nn.Module, ...]
    """Holds nothing that learns."""

    @property
    def is_linear(self) -> bool:
        """Whether the predictor is linear in all that it learns, so that the closed form is the whole solution."""
        learns = any(parameter.requires_grad for module in self.before for parameter in module.parameters())
        return not learns and all(isinstance(module, _LINEAR) for module in self.after)

    @property
    def keeps_cells(self) -> bool:
        """Whether what comes after the layer keeps the number of cells, so that targets are the layer's own."""
        return all(isinstance(module, (*_ORDER, *_RANGES)) for module in self.after)

    def features(self, representation: Tensor) -> Tensor:
        """Return what the layer is given."""
        return _through(self.before, representation)

    def prediction(self, output: Tensor) -> Tensor:
        """Return the prediction that an output of the layer becomes."""
        return _through(self.after, output)

    def output(self, features: Tensor) -> Tensor:
        """Return the prediction, without what cuts off a range."""
        return _through([one for one in self.after if type(one) not in _RANGES], self.layer(features))


def _through(modules: tuple[nn.Module, ...] | list[nn.Module], value: Tensor) -> Tensor:
    for module in modules:
        value = module(value)
    return value


def taken_apart(predictor: nn.Module) -> LinearParts | None:
    """Return a predictor's parts; None where it is no chain of layers, or where no layer of it can be solved for."""
    chain = _chain(predictor)
    learned = [index for index, module in enumerate(chain) if any(True for _ in module.parameters())]
    if not learned:
        return None
    last = learned[-1]
    layer = chain[last]
    known = (*_LINEAR, *_RANGES)
    if type(layer) not in (nn.ConvTranspose2d, nn.Conv2d, nn.Linear) or not isinstance(layer, Learned):
        return None
    if not all(isinstance(module, known) for module in chain[last + 1 :]):
        return None
    return LinearParts(tuple(chain[:last]), layer, tuple(chain[last + 1 :]))


def _chain(module: nn.Module) -> list[nn.Module]:
    if type(module) is nn.Sequential:
        return [inner for child in module for inner in _chain(child)]
    return [module]


def learns_more(predictor: nn.Module) -> bool:
    """Return whether the closed form leaves something of a predictor to be learned by steps."""
    if not any(parameter.requires_grad for parameter in predictor.parameters()):
        return False
    parts = taken_apart(predictor)
    return parts is None or not parts.is_linear


def in_double(tensor: Tensor) -> Tensor:
    """Return a tensor in float64, in which sums over many images keep their digits."""
    return tensor.detach().to(torch.float64)
