"""Choosing β, λ and α by gradient: the cross-entropy of late answers, differentiated through all timesteps."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from pcbench.errors import DivergenceError, UsageError
from pcbench.network.network import PredictiveNetwork
from pcbench.network.update import Hyperparameters
from pcbench.training.hyperparameters import FreeHyperparameters, rounded
from pcbench.training.search import Tuned
from pcbench.training.validation import Batches, Score, Validation, evaluate, prepared


def descend(
    network: PredictiveNetwork,
    validation: Validation,
    *,
    steps: int = 60,
    learning_rate: float = 0.1,
    report: Callable[[int, int, float], None] | None = None,
) -> Tuned:
    """Tune the hyperparameters of every PCoder by gradient descent (Adam), starting from the network's own.

    The loss is the cross-entropy at t = T, averaged over conditions and images; β, λ and α stay feasible (see
    `FreeHyperparameters`). The result is the best of all steps by validation accuracy, so it is never worse on the
    validation images than the start. Steps whose representations grow without bound are discarded, and counted.

    Args:
        network: The network whose hyperparameters are chosen; it is not changed.
        validation: The images and conditions that decide.
        steps: Number of steps, each over all images and conditions.
        learning_rate: Of Adam, on the logarithms of β, λ, memory and α.
        report: Called after each step with (done, all, best score so far).

    Raises:
        DivergenceError: The start and every step diverged.
    """
    if steps < 1:
        raise UsageError(f"the number of steps is at least 1 (got {steps})")
    batches = prepared(network, validation)
    free = FreeHyperparameters(network.hyperparameters).to(next(network.parameters()).device)
    optimizer = torch.optim.Adam(free.parameters(), lr=learning_rate)
    before = evaluate(network, validation, batches=batches)
    found: list[tuple[tuple[Hyperparameters, ...], Score]] = []
    if not before.diverged:
        found.append((rounded(network.hyperparameters), before))
    for number in range(steps):
        optimizer.zero_grad(set_to_none=True)
        if not _accumulate(network, validation, free, batches):
            break
        optimizer.step()
        entries = rounded([_constant(entry) for entry in free()])
        score = evaluate(network, validation, entries, batches)
        if not score.diverged:
            found.append((entries, score))
        if report is not None:
            report(number + 1, steps, max((held.value for _, held in found), default=0.0))
    if not found:
        raise DivergenceError("the dynamics diverge at the start and after every step; start from smaller α and λ")
    best, score = max(found, key=lambda pair: pair[1].value)
    method = f"gradient descent through {validation.timesteps} timesteps (Adam, {steps} steps, rate {learning_rate:g})"
    return Tuned(best, score, before, steps + 1, steps + 1 - len(found), method)


def _accumulate(
    network: PredictiveNetwork, validation: Validation, free: FreeHyperparameters, batches: Batches
) -> bool:
    """Add up the gradients of one step; return whether they are finite."""
    share = 1 / (len(validation.source) * len(validation.conditions))
    for condition in validation.conditions:
        for inputs, labels in batches(condition):
            out = network.unroll_input(inputs, validation.timesteps, hyperparameters=free())
            loss = F.cross_entropy(out.logits[-1], labels, reduction="sum") * share
            torch.autograd.backward(loss)
    gradients = [parameter.grad for parameter in free.parameters()]
    return all(gradient is None or bool(gradient.isfinite().all()) for gradient in gradients)


def _constant(entry: Hyperparameters) -> Hyperparameters:
    return Hyperparameters(*(_number(value) for value in (entry.feedforward, entry.feedback, entry.error_weight)))


def _number(value: float | Tensor) -> float:
    return float(value.detach()) if isinstance(value, Tensor) else value
