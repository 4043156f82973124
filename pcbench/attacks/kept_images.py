"""The images that sweeps kept, joined into what is saved."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from pcbench.attacks.sweep import Sweep, scored_images
from pcbench.errors import DataError
from pcbench.results.adversarials import Adversarials
from pcbench.results.conditions import Condition


def join_sweeps(sweeps: Sequence[Sweep], condition: Condition, *, model: str, seed: int, data: str) -> Adversarials:
    """Join the images of a sweep that was made in batches.

    Args:
        sweeps: Sweeps made with `keep_images=True`, of different images under the same attack.
        condition: The attack.
        model: The model that was attacked.
        seed: The run's seed.
        data: The images' source.

    Raises:
        DataError: The sweeps hold no images, or do not belong together.
    """
    if not sweeps:
        raise DataError("there is no sweep to save")
    first = sweeps[0]
    if any(batch.epsilons != first.epsilons or batch.attack != first.attack for batch in sweeps):
        raise DataError("images to save together come from one attack at one list of epsilons")
    pool, index = _different(torch.cat([scored_images(batch) for batch in sweeps], dim=1))
    targets = None
    if first.targets is not None:
        targets = torch.from_numpy(np.concatenate([batch.targets for batch in sweeps if batch.targets is not None]))
    return Adversarials(
        condition=condition,
        model=model,
        seed=seed,
        data=data,
        ids=tuple(name for batch in sweeps for name in batch.ids),
        labels=torch.from_numpy(np.concatenate([batch.labels for batch in sweeps])),
        targets=targets,
        epsilons=first.epsilons,
        pool=pool,
        index=index,
    )


def _different(images: Tensor) -> tuple[Tensor, Tensor]:
    """Return the clean version of each image and every version that differs from the budget before, and which is where.

    Args:
        images: (budgets, N, channels, height, width).
    """
    pool, index = [images[0]], [torch.arange(images.shape[1])]
    for budget in range(1, len(images)):
        changed = (images[budget] != images[budget - 1]).flatten(1).any(dim=1)
        new = torch.arange(int(changed.sum())) + sum(len(part) for part in pool)
        index.append(index[-1].masked_scatter(changed, new))
        pool.append(images[budget][changed])
    return torch.cat(pool), torch.stack(index)
