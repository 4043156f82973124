"""Choosing β, λ and α by gradient: the cross-entropy of the answers, differentiated through all timesteps.

Source: Own; the steps are Adam's (Kingma and Ba, ICLR 2015, arXiv 1412.6980).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from pcbench.arguments import a_word
from pcbench.errors import DivergenceError, UsageError
from pcbench.network.network import PredictiveNetwork
from pcbench.network.update import Hyperparameters
from pcbench.training.found import Lowered, Tried, Tuned, ranked
from pcbench.training.hyperparameters import LEARNED, FreeHyperparameters, check_learned, rounded
from pcbench.training.validation import Asked, Score, Validation, ValidationInputs, evaluate, prepared

_WHOLE, _PIECE = 64, 4
"""Passes of fewer images than the first are of large ones: a step differentiates as many as the second at a time."""


@dataclass(frozen=True)
class DescentSettings:
    """How a descent goes."""

    steps: int = 60
    learning_rate: float = 0.1
    """Of Adam, on the logarithms of β, λ, memory and α."""
    loss: Lowered = "last"
    """``"last"``: the cross-entropy at t = T. ``"mean"``: its mean over t = 0..T, as the scripts of Predify's users
    have it."""
    learn: tuple[str, ...] = LEARNED
    """Which of ``"feedforward"``, ``"feedback"`` and ``"error_weight"`` are learned; the others stay."""
    memory: bool = True
    """Whether a representation's own past has a weight."""
    minibatch: int | None = None
    """How many pairs of an image and a condition a step takes, and the rate falls to 0 by a cosine; None: a step takes
    all, and the rate stays."""
    every: int = 1
    """After how many steps, and after the last one, the hyperparameters are scored."""
    seed: int = 0
    """Seed of the order of the pairs."""

    def check(self) -> None:
        """Refuse what makes no sense.

        Raises:
            UsageError: A number is out of range, or a word is none of those above.
        """
        if self.steps < 1:
            raise UsageError(f"the number of steps is at least 1 (got {self.steps})")
        if not (math.isfinite(self.learning_rate) and self.learning_rate > 0):
            raise UsageError(f"the learning rate is above 0 (got {self.learning_rate})")
        a_word("loss", self.loss, get_args(Lowered))
        check_learned(self.learn)

    def rate(self, step: int) -> float:
        """Return the learning rate of a step, from 0."""
        if self.minibatch is None:
            return self.learning_rate
        return self.learning_rate * 0.5 * (1 + math.cos(math.pi * step / self.steps))


class Descent:
    """A descent that can be stopped after each step, and gone on with.

    Args:
        network: The network whose hyperparameters are chosen; it is not changed.
        validation: The images and conditions that decide.
        inputs: The result of `prepared`.
        start: Where it starts.
        settings: How it goes.
    """

    def __init__(
        self,
        network: PredictiveNetwork,
        validation: Validation,
        inputs: ValidationInputs,
        start: Sequence[Hyperparameters],
        settings: DescentSettings,
    ) -> None:
        settings.check()
        self.network, self.validation, self.inputs, self.settings = network, validation, inputs, settings
        free = FreeHyperparameters(start, settings.learn, network.targets.feedback, memory=settings.memory)
        self.free = free.to(next(network.parameters()).device)
        self.optimizer = torch.optim.Adam(self.free.parameters(), lr=settings.learning_rate)
        self.step = 0
        """The next step, from 0."""

    def run(self) -> Iterator[Tried | None]:
        """Go on to the end; yield after each step what was scored, if it was scored.

        It ends early where a gradient or a hyperparameter is no finite number.
        """
        settings = self.settings
        while self.step < settings.steps:
            for group in self.optimizer.param_groups:
                group["lr"] = settings.rate(self.step)
            self.optimizer.zero_grad(set_to_none=True)
            if not self._add_gradients():
                return
            self.optimizer.step()
            self.step += 1
            entries = rounded(self.free())
            if not all(math.isfinite(value) for entry in entries for value in vars(entry).values()):
                return
            scored = self.step % settings.every == 0 or self.step == settings.steps
            yield Tried(entries, evaluate(self.network, self.validation, entries, self.inputs)) if scored else None

    def _add_gradients(self) -> bool:
        size, loss = self.settings.minibatch, self.settings.loss
        if size is None:
            return add_gradients(self.network, self.validation, self.free, self.inputs, loss)
        pairs = self.validation.pairs
        chosen = [pairs[number] for number in self._chosen(len(pairs), size)]
        # The graph of a pass grows with T: where passes are small, as of large images, a step's are smaller still.
        piece = len(chosen) if self.validation.batch_size >= _WHOLE else _PIECE
        for first in range(0, len(chosen), piece):
            inputs, labels = self.inputs.of_pairs(chosen[first : first + piece])
            _backward(self.network, inputs, labels, self.validation.timesteps, self.free, loss, 1 / len(chosen))
        return _are_finite(self.free)

    def _chosen(self, count: int, size: int) -> list[int]:
        """Return the numbers of the pairs of this step: each once in a pass over all, in an order of its own."""
        size = min(size, count)
        in_pass = max(count // size, 1)
        generator = torch.Generator().manual_seed(self.settings.seed * 1_000_003 + self.step // in_pass)
        order = torch.randperm(count, generator=generator)
        first = (self.step % in_pass) * size
        return [int(number) for number in order[first : first + size]]

    def state(self) -> dict[str, list[float] | int]:
        """Return all that changes, as plain numbers that hold every bit."""
        moments = self.optimizer.state_dict()["state"]
        state: dict[str, list[float] | int] = {"step": self.step}
        for number, parameter in enumerate(self.free.parameters()):
            state[f"value{number}"] = parameter.detach().double().flatten().tolist()
            for name in ("exp_avg", "exp_avg_sq"):
                held = moments.get(number, {}).get(name, torch.zeros_like(parameter))
                state[f"{name}{number}"] = held.double().flatten().tolist()
        return state

    def restore(self, state: dict[str, list[float] | int]) -> None:
        """Go back to a state, from which it goes on as if it had not been stopped.

        Raises:
            KeyError, RuntimeError, TypeError: It is of another descent.
        """
        step, moments = int(str(state["step"])), {}
        for number, parameter in enumerate(self.free.parameters()):
            parameter.data.copy_(_as(state[f"value{number}"], parameter))
            names = ("exp_avg", "exp_avg_sq")
            moments[number] = {name: _as(state[f"{name}{number}"], parameter) for name in names}
            moments[number]["step"] = torch.tensor(float(step))
        if step:
            groups = self.optimizer.state_dict()["param_groups"]
            self.optimizer.load_state_dict({"state": moments, "param_groups": groups})
        self.step = step


def _as(values: list[float] | int, like: Tensor) -> Tensor:
    return torch.tensor(values, dtype=torch.float64).reshape(like.shape).to(like)


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
        loss: What is lowered, averaged over conditions and images. The result is the best of all steps: by validation
            accuracy at T for ``"last"``, by the loss itself for ``"mean"``. Neither is ever worse than the start.
        learn: Which of ``"feedforward"``, ``"feedback"`` and ``"error_weight"`` are learned; the others stay.
        report: Called after each step with (done, all, best validation accuracy at T so far).

    Raises:
        DivergenceError: The start and every step diverged.
        UsageError: An argument is none of the above.
    """
    inputs, settings = prepared(network, validation), DescentSettings(steps, learning_rate, loss, tuple(learn))
    descent = Descent(network, validation, inputs, network.hyperparameters, settings)
    before = evaluate(network, validation, batches=inputs)
    found = [Tried(rounded(network.hyperparameters), before)]
    for one in descent.run():
        found += [] if one is None else [one]
        if report is not None:
            report(descent.step, steps, max(held.score.value for held in found))
    held = ranked(found, loss)
    if not held:
        raise DivergenceError("the dynamics diverge at the start and after every step; start from smaller α and λ")
    best = held[0]
    method = f"gradient descent through {validation.timesteps} timesteps (Adam, {steps} steps, rate {learning_rate:g})"
    method += told_choices(before, best.score, settings)
    return Tuned(best.hyperparameters, best.score, before, steps + 1, steps + 1 - len(held), method)


def told_choices(before: Score, score: Score, settings: DescentSettings) -> str:
    """Return what the method's text says of choices that are not the defaults."""
    parts: list[str] = []
    if settings.loss == "mean":
        last = len(score.accuracies[0]) - 1
        parts.append(f" on the mean cross-entropy of t = 0..{last}, lowered from {before.loss:.4f} to {score.loss:.4f}")
    if set(settings.learn) != set(LEARNED):
        parts.append(f"; learned: {', '.join(name for name in LEARNED if name in settings.learn)}")
    return "".join(parts)


def add_gradients(
    network: PredictiveNetwork,
    validation: Validation,
    free: FreeHyperparameters,
    batches: Callable[[Asked], Iterator[tuple[Tensor, Tensor]]],
    loss: Lowered,
) -> bool:
    """Add the gradient of the loss over all images and conditions to the free numbers; return whether it is finite."""
    for condition in validation.conditions:
        share = 1 / (len(validation.indices(condition)) * len(validation.conditions))
        for inputs, labels in batches(condition):
            _backward(network, inputs, labels, validation.timesteps, free, loss, share)
    return _are_finite(free)


def _backward(
    network: PredictiveNetwork,
    inputs: Tensor,
    labels: Tensor,
    timesteps: int,
    free: FreeHyperparameters,
    loss: Lowered,
    share: float,
) -> None:
    logits = network.unroll_input(inputs, timesteps, hyperparameters=free()).logits
    if loss == "last":
        total = F.cross_entropy(logits[-1], labels, reduction="sum") * share
    else:
        every = labels.repeat(len(logits))
        total = F.cross_entropy(logits.flatten(0, 1), every, reduction="sum") * (share / len(logits))
    torch.autograd.backward(total)


def _are_finite(free: FreeHyperparameters) -> bool:
    gradients = [parameter.grad for parameter in free.parameters()]
    return all(gradient is None or bool(gradient.isfinite().all()) for gradient in gradients)
