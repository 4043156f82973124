"""One attack on all timesteps at once, for the attacker who does not know which timestep answers.

Source: Own, since no attack on all timesteps of a network was found; each step is PGD's (Madry et al., ICLR 2018,
arXiv 1706.06083) on the mean, or on the least, of the timesteps' losses.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Unpack

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from pcbench.attacks.adapters.registry import is_descent
from pcbench.attacks.classify import Judge
from pcbench.attacks.definitions import AttackDefinition
from pcbench.attacks.descent import GradientDescent, Loss, cross_entropy, over_timesteps
from pcbench.attacks.eval_batch import EvalBatch
from pcbench.attacks.sweep import Sweep, SweepOptions, sweep_batch
from pcbench.errors import UsageError


def sweep_all_timesteps(
    network: Judge,
    images: Tensor,
    labels: Tensor | NDArray[np.integer],
    definition: AttackDefinition,
    *,
    ids: Iterable[object],
    seed: int,
    **options: Unpack[SweepOptions],
) -> tuple[Sweep, ...]:
    """Attack all timesteps with one perturbation, and score it at each.

    An image is attacked while there is a timestep that was right from the start and still is.

    Args:
        network: Images in [0, 1] -> logits (T+1, batch, classes), differentiable.
        images: (N, channels, height, width), float, in [0, 1], on the network's device.
        labels: (N,), whole numbers.
        definition: FGSM, BIM or PGD with `over_timesteps`: ``"mean"`` follows the mean of the timesteps' losses,
            ``"worst"`` the loss of the timestep that resists best.
        ids: N ids, each once, compared as texts.
        seed: The run's seed.
        **options: See `SweepOptions`; `library_only` does not apply.

    Returns:
        One sweep for each timestep, of the same images.

    Raises:
        DataError: As for `sweep`.
        UsageError: As for `sweep`, and: the definition attacks one timestep, or is not a gradient descent.
    """
    if definition.over_timesteps is None or not is_descent(definition):
        raise UsageError(
            f"{definition.name} cannot attack all timesteps at once; that takes foolbox's FGSM, BIM or PGD "
            'with over_timesteps = "mean" or "worst"'
        )
    checked = AllTimesteps(network)
    eval_batch = EvalBatch.of(images, labels, ids, seed)
    descent = GradientDescent(definition, loss_over_timesteps(definition, cross_entropy))
    return sweep_batch(eval_batch, definition, descent, checked, checked, options)


def loss_over_timesteps(definition: AttackDefinition, loss: Loss) -> Loss:
    """Return what an attack on all timesteps increases (targeted: decreases), made of the loss of one timestep."""
    if definition.over_timesteps == "mean":
        return over_timesteps(loss, lambda losses: losses.mean(dim=0))
    if definition.targeted:
        return over_timesteps(loss, lambda losses: losses.amax(dim=0))
    return over_timesteps(loss, lambda losses: losses.amin(dim=0))


class AllTimesteps(nn.Module):
    """Images in [0, 1] -> logits (T+1, batch, classes), checked.

    Args:
        network: What gives the logits.
    """

    def __init__(self, network: Judge) -> None:
        super().__init__()
        self.network = network
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits of every timestep."""
        logits = self.network(images)
        if logits.ndim != 3 or logits.shape[1] != len(images):
            known = f"the network gives {tuple(logits.shape)} for {len(images)} images"
            raise UsageError(f"{known}; logits of all timesteps are (timesteps, images, classes)")
        return logits
