"""Attack again where a gradient was zero or not finite: by another loss, from random starts, as an attack of its own.

The attack's own numbers stay what its paper defines. The second attempt follows the difference of two logits, which
has a slope where the cross-entropy of a network that is too certain has none, starts at random points, and takes pixels
whose gradient is not finite as flat. Source of the loss: Carlini and Wagner, S&P 2017, arXiv:1608.04644, f_6.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch import nn

from pcbench.attacks.adapters.registry import is_descent
from pcbench.attacks.all_timesteps import loss_over_timesteps
from pcbench.attacks.classify import Judge
from pcbench.attacks.definitions import AttackDefinition
from pcbench.attacks.descent import GradientDescent, logit_difference
from pcbench.attacks.eval_batch import EvalBatch
from pcbench.attacks.sweep import Sweep, SweepOptions, sweep_batch
from pcbench.results.columns import GRADIENT_STATES
from pcbench.results.conditions import RETRIED

RESTARTS = 3
"""How many random starts it has at least."""


def lost_gradient(sweep: Sweep) -> NDArray[np.bool_]:
    """Return where an attack failed and found a gradient that was zero or not finite at any step, (E, N)."""
    lost = np.zeros(sweep.attacked.shape, np.bool_)
    for column in ("first_step_gradient", "later_step_gradient"):
        states = np.ma.asarray(sweep.columns[column])
        lost |= ~np.ma.getmaskarray(states) & (np.ma.getdata(states) != GRADIENT_STATES[0])
    return lost & sweep.attacked & ~sweep.success


def retry(
    eval_batch: EvalBatch,
    definition: AttackDefinition,
    classifier: nn.Module,
    judge: Judge,
    sweeps: Sequence[Sweep],
    options: SweepOptions,
) -> tuple[Sweep, ...]:
    """Attack the images again that a sweep left standing because it had no gradient to follow.

    Args:
        eval_batch: The images of the sweep.
        definition: Its attack.
        classifier: What was attacked, images in [0, 1] -> logits of one timestep, or of all where the attack is on all.
        judge: What scores images, logits (S, batch, classes).
        sweeps: What came out, one for each timestep that was scored.
        options: The sweep's options.

    Returns:
        One sweep for each timestep scored, of these images alone, named after the attack with ``"_retried"``; none
        where there is no such image.
    """
    if not is_descent(definition):
        return ()
    stuck = np.logical_or.reduce([lost_gradient(one).any(axis=0) for one in sweeps])
    if not stuck.any():
        return ()
    again = definition.model_copy(
        update={
            "name": definition.name + RETRIED,
            "title": f"{definition.title}, retried",
            "random_start": True,
            "restarts": max(RESTARTS, definition.restarts),
        }
    )
    loss = logit_difference
    if definition.over_timesteps is not None:
        loss = loss_over_timesteps(definition, loss)
    changed: SweepOptions = {**options, "on_progress": None}
    descent = GradientDescent(again, loss, mend=True)
    return sweep_batch(eval_batch.some(stuck), again, descent, classifier, judge, changed)
