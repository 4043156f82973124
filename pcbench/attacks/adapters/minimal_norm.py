"""Attacks that look for the nearest adversarial image run once an image; every budget reads the same answer."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pcbench.attacks.adapters.base import Adapter, Found, Task


class MinimalNorm:
    """A minimal-norm attack whose answers are kept.

    At a budget the harness shortens the answer to the ball, so it counts where the shortened one still fools the model.

    Args:
        adapter: The attack.
    """

    mixes_epsilons = True

    def __init__(self, adapter: Adapter) -> None:
        self._adapter = adapter
        self._nearest: dict[tuple[str, int], Tensor] = {}

    def perturb(self, classifier: nn.Module, task: Task) -> Found:
        """Return each image's nearest adversarial image, whatever its radius; queries count where it is found."""
        keys = [(image_id, task.restart) for image_id in task.ids]
        new = [index for index, key in enumerate(keys) if key not in self._nearest]
        queries = torch.zeros(len(keys), dtype=torch.int64)
        if new:
            found = self._adapter.perturb(classifier, task.some(new))
            queries[new] = found.queries
            self._nearest.update({keys[index]: found.images[row].detach() for row, index in enumerate(new)})
        return Found(torch.stack([self._nearest[key] for key in keys]), queries)
