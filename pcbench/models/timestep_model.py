"""Models that answer at every timestep without being predictive networks, and other ways to compute one."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from pcbench.errors import RunError
from pcbench.network.controls import Control
from pcbench.network.gradient import Gradient
from pcbench.network.outputs import Output, picked_logits
from pcbench.network.own_modules import computed_in, logits_of
from pcbench.network.timestep_model import TimestepModel


class _Normalising(TimestepModel):
    """A model around any module, which takes e_0.

    Args:
        module: The module.
        mean: Per channel, subtracted from images in [0,1]; with `std`, or neither.
        std: Per channel, what the difference is divided by.
    """

    def __init__(self, module: nn.Module, mean: Sequence[float] | None, std: Sequence[float] | None) -> None:
        super().__init__()
        self.module = module
        self._kind = computed_in(module)
        self.mean: Tensor | None
        self.std: Tensor | None
        for name, values in (("mean", mean), ("std", std)):
            tensor = None if values is None else torch.tensor(list(values)).reshape(1, -1, 1, 1)
            self.register_buffer(name, tensor, persistent=False)

    def normalise(self, images: Tensor) -> Tensor:
        """Return e_0 for images in [0,1]."""
        return images if self.mean is None or self.std is None else (images - self.mean) / self.std


class FeedforwardModel(_Normalising):
    """A classifier without time: it answers at t = 0.

    Args:
        module: The classifier, from e_0 to logits.
        mean: Per channel, subtracted from images in [0,1]; with `std`, or neither.
        std: Per channel, what the difference is divided by.
        output: Which of its outputs are the logits, where it has several.
        control: What is done to e_0 first.
    """

    limit = 0

    def __init__(
        self,
        module: nn.Module,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        *,
        output: Output = None,
        control: Control | None = None,
    ) -> None:
        super().__init__(module, mean, std)
        self._output = output
        self._control = control

    def logits_of_input(self, inputs: Tensor, timesteps: int, gradient: Gradient = "exact") -> Tensor:
        """Return the logits of t = 0, (1, batch, classes)."""
        del gradient
        self.check(timesteps)
        entered = inputs if self._control is None else self._control.entered(inputs)
        return picked_logits(self.module(entered.to(self._kind)), self._output)[None]


class RecurrentModel(_Normalising):
    """Any other network that gives logits (T+1, batch, classes).

    Args:
        module: The network. Where its forward method takes `timesteps`, that is T; otherwise its answers are cut
            after t = T.
        limit: The T it answers to by itself.
        mean: Per channel, subtracted from images in [0,1]; with `std`, or neither.
        std: Per channel, what the difference is divided by.
    """

    def __init__(
        self,
        module: nn.Module,
        limit: int,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
    ) -> None:
        super().__init__(module, mean, std)
        self._told = "timesteps" in inspect.signature(module.forward).parameters
        self.limit = None if self._told else limit

    def logits_of_input(self, inputs: Tensor, timesteps: int, gradient: Gradient = "exact") -> Tensor:
        """Return the logits of all timesteps."""
        del gradient
        self.check(timesteps)
        options: dict[str, Any] = {"timesteps": timesteps} if self._told else {}
        logits: Tensor = logits_of(self.module(inputs.to(self._kind), **options))
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


class CountedModel(TimestepModel):
    """Another model, of whose classes some count: it chooses among these alone.

    Args:
        inner: The model.
        counted: The classes that count, in the order of the labels.
    """

    def __init__(self, inner: TimestepModel, counted: Sequence[int]) -> None:
        super().__init__()
        self.inner = inner
        self.limit = inner.limit
        self.counted: Tensor
        self.register_buffer("counted", torch.tensor(list(counted)), persistent=False)

    def normalise(self, images: Tensor) -> Tensor:
        """Return e_0 for images in [0,1]."""
        return self.inner.normalise(images)

    def logits_of_input(self, inputs: Tensor, timesteps: int, gradient: Gradient = "exact") -> Tensor:
        """Return the logits of the classes that count, at all timesteps."""
        return self.inner.logits_of_input(inputs, timesteps, gradient).index_select(-1, self.counted)


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
