"""Ridge regression of layers whose normal equations are too large to write down, by conjugate gradients.

Each step needs the product of the normal equations with one vector, which two passes through the layer give: forward
with the vector as its weights, and backward with the result as the cotangent. It is the exact product, of any layer.

Source: Hestenes and Stiefel, "Methods of conjugate gradients for solving linear systems", 1952. The number of steps,
stopped on held-out images, is the strength of the regularisation (Hanke, "Conjugate gradient type methods for ill-posed
problems", 1995).
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.func import functional_call

from pcbench.training.linear_parts import LinearParts

Vector = dict[str, Tensor]
"""A value for each parameter of the layer."""


class Steps:
    """Conjugate gradients for one layer, from 0; its own numbers are not used.

    Args:
        parts: The predictor that the layer belongs to.
    """

    def __init__(self, parts: LinearParts) -> None:
        self._output = _Output(parts)
        self.solution: Vector = _zeros(dict(parts.layer.named_parameters()))
        """The weights so far."""
        self._residual: Vector = _zeros(self.solution)
        self._product: Vector = _zeros(self.solution)
        self._direction: Vector | None = None
        self._length = 0.0

    def add(self, features: Tensor, targets: Tensor) -> None:
        """Add some images to what the next step needs: to the gradient at first, then to a product.

        Args:
            features: What the layer is given.
            targets: What the prediction should be, before it is cut off at a range.
        """
        if self._direction is None:
            _accumulate(self._residual, self._backward(features, targets))
        else:
            output = self._forward(self._direction, features)
            _accumulate(self._product, self._backward(features, output))

    def step(self) -> None:
        """Choose the first direction, or go along a later one to the least error; all images were added before."""
        if self._direction is None:
            self._direction = {name: tensor.clone() for name, tensor in self._residual.items()}
            self._length = _inner(self._residual, self._residual)
        else:
            self._go(self._direction)

    def output(self, features: Tensor) -> Tensor:
        """Return the prediction of the weights so far, before it is cut off at a range."""
        return self._forward(self.solution, features)

    def _go(self, direction: Vector) -> None:
        """Go along the direction to the least error, once all images were added to the product."""
        curvature = _inner(direction, self._product)
        if self._length == 0 or curvature <= 0:
            return
        size = self._length / curvature
        for name, along in direction.items():
            self.solution[name] += size * along
            self._residual[name] -= size * self._product[name]
        length = _inner(self._residual, self._residual)
        self._direction = {name: self._residual[name] + (length / self._length) * direction[name] for name in direction}
        self._length, self._product = length, _zeros(self.solution)

    def _forward(self, weights: Vector, features: Tensor) -> Tensor:
        return functional_call(self._output, {f"layer.{name}": one for name, one in weights.items()}, (features,))

    def _backward(self, features: Tensor, cotangent: Tensor) -> Vector:
        with torch.enable_grad():
            weights = {name: tensor.detach().requires_grad_(True) for name, tensor in self.solution.items()}
            output = self._forward(weights, features)
            found = torch.autograd.grad(output, list(weights.values()), cotangent.reshape(output.shape))
        return dict(zip(weights, found, strict=True))


class _Output(nn.Module):
    def __init__(self, parts: LinearParts) -> None:
        super().__init__()
        self.layer = parts.layer
        self._parts = parts

    def forward(self, features: Tensor) -> Tensor:
        return self._parts.output(features)


def _zeros(vector: Mapping[str, Tensor]) -> Vector:
    return {name: torch.zeros_like(tensor) for name, tensor in vector.items()}


def _accumulate(total: Vector, more: Vector) -> None:
    for name, tensor in more.items():
        total[name] += tensor


def _inner(one: Vector, other: Vector) -> float:
    return sum(float((one[name].double() * other[name].double()).sum()) for name in one)
