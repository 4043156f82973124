"""What was computed from a layer's weights, kept until they change."""

from __future__ import annotations

import threading
from collections.abc import Callable, MutableMapping
from typing import Generic, TypeVar, cast

import torch
from torch import Tensor, nn
from torch.utils.weak import WeakIdKeyDictionary

Kept = TypeVar("Kept")


class WeightCache(Generic[Kept]):
    """Keeps one value for each layer, or for each weight; threads can share it.

    A value is made again where the weights were replaced, changed in place, or moved, or where another `variant` of the
    value is asked for.
    """

    def __init__(self) -> None:
        self._kept = cast("MutableMapping[nn.Module | Tensor, tuple[tuple[object, ...], Kept]]", WeakIdKeyDictionary())
        self._lock = threading.Lock()

    def knows(self, layer: nn.Module | Tensor) -> bool:
        """Return whether a value was made for a layer, be it of other weights than it has now."""
        with self._lock:
            return layer in self._kept

    def get(self, layer: nn.Module | Tensor, weight: Tensor, variant: object, make: Callable[[], Kept]) -> Kept:
        """Return the layer's value, from `make` where it is not known yet."""
        version = weight._version  # noqa: SLF001  # PyTorch has no public way to ask
        state = (variant, weight.data_ptr(), version, weight.dtype, weight.device)
        with self._lock:
            known = self._kept.get(layer)
            if known is None or known[0] != state:
                # What is kept must not depend on who asks first: on gradients, on autocast, or on inference mode, whose
                # tensors no later gradient may pass through.
                autocast = torch.autocast(weight.device.type, enabled=False)
                with torch.inference_mode(mode=False), torch.no_grad(), autocast:
                    known = (state, make())
                self._kept[layer] = known
            return known[1]
