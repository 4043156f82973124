"""Choosing β, λ and α by gradient: the cross-entropy of the answers, differentiated through all timesteps."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from typing import Literal, get_args

import torch
import torch.nn.functional as F

from pcbench.arguments import a_word
from pcbench.errors import DivergenceError, UsageError
from pcbench.network.network import PredictiveNetwork
from pcbench.network.update import Hyperparameters
from pcbench.training.hyperparameters import LEARNED, FreeHyperparameters, rounded
from pcbench.training.search import Tuned
from pcbench.training.validation import Batches, Score, Validation, evaluate, prepared

Lowered = Literal["last", "mean"]
"""The cross-entropy at t = T, or its mean over t = 0..T."""


def descend(
    network: PredictiveNetwork,
    validation: Validation,
    *,
    steps: int = 60,
    learning_rate: float = 0.1,
    loss: Lowered = "last",
    learn: Collection[str] = LEARNED,
    report: Callable[[int, int, float], None] | None = None,
) -> Tuned:
    """Tune the hyperparameters of every PCoder by gradient descent (Adam), starting from the network's own.

    β, λ and α stay feasible (see `FreeHyperparameters`). Steps whose representations grow without bound are discarded,
    and counted.

    Args:
        network: The network whose hyperparameters are chosen; it is not changed.
        validation: The images and conditions that decide.
        steps: Number of steps, each over all images and conditions.
        learning_rate: Of Adam, on the logarithms of β, λ, memory and α.
        loss: ``"last"``: the cross-entropy at t = T, averaged over conditions and images; the result is the best of
            all steps by validation accuracy at T. ``"mean"``: its mean over t = 0..T as well, as the scripts of
            Predify's users have it; the result is the step at which that is lowest. Either is never worse than the
            start, by its measure.
        learn: Which of ``"feedforward"``, ``"feedback"`` and ``"error_weight"`` are learned; the others stay.
        report: Called after each step with (done, all, best validation accuracy at T so far).

    Raises:
        DivergenceError: The start and every step diverged.
        UsageError: An argument is none of the above.
    """
    if steps < 1:
        raise UsageError(f"the number of steps is at least 1 (got {steps})")
    if not (math.isfinite(learning_rate) and learning_rate > 0):
        raise UsageError(f"the learning rate is above 0 (got {learning_rate})")
    a_word("loss", loss, get_args(Lowered))
    free = FreeHyperparameters(network.hyperparameters, learn, network.targets.feedback)
    free = free.to(next(network.parameters()).device)
    batches = prepared(network, validation)
    optimizer = torch.optim.Adam(free.parameters(), lr=learning_rate)
    before = evaluate(network, validation, batches=batches)
    found: list[tuple[tuple[Hyperparameters, ...], Score]] = []
    if not before.diverged:
        found.append((rounded(network.hyperparameters), before))
    for number in range(steps):
        optimizer.zero_grad(set_to_none=True)
        if not add_gradients(network, validation, free, batches, loss):
            break
        optimizer.step()
        entries = rounded(free())
        if not all(math.isfinite(value) for entry in entries for value in vars(entry).values()):
            break
        score = evaluate(network, validation, entries, batches)
        if not score.diverged:
            found.append((entries, score))
        if report is not None:
            report(number + 1, steps, max((held.value for _, held in found), default=0.0))
    if not found:
        raise DivergenceError("the dynamics diverge at the start and after every step; start from smaller α and λ")
    best, score = max(found, key=lambda pair: pair[1].value if loss == "last" else -pair[1].loss)
    method = f"gradient descent through {validation.timesteps} timesteps (Adam, {steps} steps, rate {learning_rate:g})"
    method += _more(before, score, loss, learn)
    return Tuned(best, score, before, steps + 1, steps + 1 - len(found), method)


def _more(before: Score, score: Score, loss: Lowered, learn: Collection[str]) -> str:
    """Return what the method's text says of choices that are not the defaults."""
    parts: list[str] = []
    if loss == "mean":
        last = len(score.accuracies[0]) - 1
        parts.append(f" on the mean cross-entropy of t = 0..{last}, lowered from {before.loss:.4f} to {score.loss:.4f}")
    if set(learn) != set(LEARNED):
        parts.append(f"; learned: {', '.join(name for name in LEARNED if name in learn)}")
    return "".join(parts)


def add_gradients(
    network: PredictiveNetwork, validation: Validation, free: FreeHyperparameters, batches: Batches, loss: Lowered
) -> bool:
    """Add the gradient of the loss over all images and conditions to the free numbers; return whether it is finite."""
    share = 1 / (len(validation.source) * len(validation.conditions))
    for condition in validation.conditions:
        for inputs, labels in batches(condition):
            logits = network.unroll_input(inputs, validation.timesteps, hyperparameters=free()).logits
            if loss == "last":
                total = F.cross_entropy(logits[-1], labels, reduction="sum") * share
            else:
                every = labels.repeat(len(logits))
                total = F.cross_entropy(logits.flatten(0, 1), every, reduction="sum") * (share / len(logits))
            torch.autograd.backward(total)
    gradients = [parameter.grad for parameter in free.parameters()]
    return all(gradient is None or bool(gradient.isfinite().all()) for gradient in gradients)
