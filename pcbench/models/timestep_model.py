"""What every model can be asked: the logits of all timesteps, for images in [0,1] or for e_0 itself."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from pcbench.errors import RunError, UsageError
from pcbench.network.gradient import Gradient
from pcbench.network.network import PredictiveNetwork


class TimestepModel(nn.Module):
    """A model that answers at every timestep."""

    limit: int | None = None
    """The largest T it can be asked for; None where there is none."""

    def normalise(self, images: Tensor) -> Tensor:
        """Return e_0 for images in [0,1]."""
        return images

    def logits_of_input(self, inputs: Tensor, timesteps: int, gradient: Gradient = "exact") -> Tensor:
        """Return the logits (T+1, batch, classes) of e_0."""
        raise NotImplementedError

    def forward(self, images: Tensor, timesteps: int, gradient: Gradient = "exact") -> Tensor:
        """Return the logits (T+1, batch, classes) of images in [0,1]."""
        return self.logits_of_input(self.normalise(images), timesteps, gradient)

    def check(self, timesteps: int) -> None:
        """Refuse a T beyond the limit.

        Raises:
            UsageError: The model does not answer that late.
        """
        if self.limit is not None and timesteps > self.limit:
            raise UsageError(f"this model answers at t = 0 to {self.limit}; use timesteps={self.limit} or fewer")


class PredictiveModel(TimestepModel):
    """A predictive network.

    Args:
        network: The network.
        recompute: Trade time for memory where an attack's graph is built; see `PredictiveNetwork.unroll_input`.
    """

    def __init__(self, network: PredictiveNetwork, *, recompute: bool = False) -> None:
        super().__init__()
        self.network = network
        self.recompute = recompute

    def normalise(self, images: Tensor) -> Tensor:
        """Return e_0 for images in [0,1]."""
        return self.network.normalise(images)

    def logits_of_input(self, inputs: Tensor, timesteps: int, gradient: Gradient = "exact") -> Tensor:
        """Return the logits of all timesteps from one unrolled pass."""
        return self.network.unroll_input(inputs, timesteps, gradient, recompute=self.recompute).logits


class FeedforwardModel(TimestepModel):
    """A classifier without time: it answers at t = 0.

    Args:
        module: The classifier, from e_0 to logits.
        mean: Per channel, subtracted from images in [0,1]; with `std`, or neither.
        std: Per channel, what the difference is divided by.
    """

    limit = 0

    def __init__(
        self, module: nn.Module, mean: Sequence[float] | None = None, std: Sequence[float] | None = None
    ) -> None:
        super().__init__()
        self.module = module
        self.mean: Tensor | None
        self.std: Tensor | None
        for name, values in (("mean", mean), ("std", std)):
            tensor = None if values is None else torch.tensor(list(values)).reshape(1, -1, 1, 1)
            self.register_buffer(name, tensor, persistent=False)

    def normalise(self, images: Tensor) -> Tensor:
        """Return e_0 for images in [0,1]."""
        return images if self.mean is None or self.std is None else (images - self.mean) / self.std

    def logits_of_input(self, inputs: Tensor, timesteps: int, gradient: Gradient = "exact") -> Tensor:
        """Return the logits of t = 0, (1, batch, classes)."""
        del gradient
        self.check(timesteps)
        return self.module(inputs)[None]


class RecurrentModel(TimestepModel):
    """Any other network that gives logits (T+1, batch, classes) for images in [0,1].

    Args:
        module: The network. Where its forward method takes `timesteps`, that is T; otherwise its answers are cut
            after t = T.
        limit: The T it answers to by itself.
    """

    def __init__(self, module: nn.Module, limit: int) -> None:
        super().__init__()
        self.module = module
        self._told = "timesteps" in inspect.signature(module.forward).parameters
        self.limit = None if self._told else limit

    def logits_of_input(self, inputs: Tensor, timesteps: int, gradient: Gradient = "exact") -> Tensor:
        """Return the logits of all timesteps."""
        del gradient
        self.check(timesteps)
        options: dict[str, Any] = {"timesteps": timesteps} if self._told else {}
        logits: Tensor = self.module(inputs, **options)
        if logits.dim() != 3 or len(logits) <= timesteps:
            raise RunError(
                f"the network gives logits {tuple(logits.shape)}; ({timesteps + 1}, batch, classes) is needed"
            )
        return logits[: timesteps + 1]


class LowPrecisionModel(TimestepModel):
    """Another model, computed with bfloat16 where PyTorch's autocast finds that safe."""

    def __init__(self, inner: TimestepModel) -> None:
        super().__init__()
        self.inner = inner
        self.limit = inner.limit

    def normalise(self, images: Tensor) -> Tensor:
        """Return e_0 for images in [0,1]."""
        return self.inner.normalise(images)

    def logits_of_input(self, inputs: Tensor, timesteps: int, gradient: Gradient = "exact") -> Tensor:
        """Return the logits of all timesteps, as float32."""
        with torch.autocast(inputs.device.type, dtype=torch.bfloat16):
            return self.inner.logits_of_input(inputs, timesteps, gradient).float()


class CompiledModel(TimestepModel):
    """Another model, sent through `torch.compile`."""

    def __init__(self, inner: TimestepModel) -> None:
        super().__init__()
        self.inner = inner
        self.limit = inner.limit
        self._compiled = torch.compile(inner.logits_of_input)

    def normalise(self, images: Tensor) -> Tensor:
        """Return e_0 for images in [0,1]."""
        return self.inner.normalise(images)

    def logits_of_input(self, inputs: Tensor, timesteps: int, gradient: Gradient = "exact") -> Tensor:
        """Return the logits of all timesteps."""
        return self._compiled(inputs, timesteps, gradient)


class ClassifierAt(nn.Module):
    """A model as it answers at one timestep: an ordinary classifier of images in [0,1]."""

    def __init__(self, inner: TimestepModel, timestep: int, gradient: Gradient) -> None:
        super().__init__()
        self.inner = inner
        self.timestep = timestep
        self.gradient: Gradient = gradient
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits of this timestep, (batch, classes)."""
        return self.inner(images, self.timestep, self.gradient)[-1]
