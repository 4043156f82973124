"""The training loop, for backbones and for predictors, in one process or several; a training can be resumed."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn, optim

from pcbench.data.image_source import ImageSource
from pcbench.errors import DivergenceError
from pcbench.files import make_folder
from pcbench.training.checkpoint import Progress, describe, load_checkpoint, save_checkpoint
from pcbench.training.losses import LossLog
from pcbench.training.objectives import Objective
from pcbench.training.sampler import Sampler, TrainingStep, load_steps
from pcbench.training.settings import TrainingSettings, make_optimizer

CHECKPOINT = "checkpoint.safetensors"
_MEASUREMENTS = 10
"""How often a training measures R² at most."""

logger = logging.getLogger("pcbench")


class Fabric(Protocol):
    """What the loop needs of Lightning Fabric; `pcbench.training.processes` makes one."""

    @property
    def global_rank(self) -> int: ...  # noqa: D102
    @property
    def world_size(self) -> int: ...  # noqa: D102
    @property
    def device(self) -> torch.device: ...  # noqa: D102
    def setup(self, module: nn.Module, *optimizers: optim.Optimizer) -> Any: ...  # noqa: D102
    def backward(self, tensor: Tensor) -> None: ...  # noqa: D102
    def all_reduce(self, data: Tensor, reduce_op: str = "sum") -> Any: ...  # noqa: D102
    def barrier(self) -> None: ...  # noqa: D102


Reporter = Callable[[int, int, Mapping[str, float]], None]
"""Called after each step with (done, all, losses by name); it may draw a progress bar."""


@dataclass(frozen=True)
class TrainingPlan:
    """What the loop does besides learning."""

    folder: Path | None = None
    """Receives checkpoint, losses and figure; None keeps no files."""
    identity: Mapping[str, Any] | None = None
    """What is trained from what; only the same training resumes from its checkpoint."""
    goes_on: bool = True
    """Whether the folder's training may be one of another number of epochs, which then goes on."""
    checkpoint_every: int = 1000
    """Steps between checkpoints; there is one at the end of every epoch as well."""
    stop_after: int | None = None
    """Stop after this many steps in all, as if interrupted; None trains to the end."""
    workers: int = 0
    """Processes that decode images ahead of time."""
    report: Reporter | None = None
    """Called after each step."""
    measure: Callable[[], Sequence[float]] | None = None
    """Measures R² of each term on held-out images, after every tenth of the epochs."""


@dataclass
class _Training:
    """One training in one process, with what changes from step to step."""

    objective: Objective
    settings: TrainingSettings
    sampler: Sampler
    fabric: Fabric
    plan: TrainingPlan
    optimizer: optim.Optimizer
    progress: Progress
    log: LossLog | None

    def run(self, source: ImageSource) -> list[list[float]]:
        steps = self.settings.epochs * self.sampler.steps_per_epoch
        last = steps if self.plan.stop_after is None else min(steps, self.plan.stop_after)
        learner, optimizer = self.fabric.setup(self.objective, self.optimizer)
        span = range(self.progress.step, last)
        try:
            for step, *batch in load_steps(source, self.sampler, span, self.settings.change, self.plan.workers):
                for group in optimizer.param_groups:
                    group["lr"] = self.settings.rate(step.number, steps)
                sums = self._learn(learner, optimizer, step, batch)
                self._note(step, sums, steps)
        finally:
            if self.log is not None:
                self.log.close()
        if self.log is not None:
            self.log.finish(self.progress.losses)
        return self.progress.losses

    def _learn(self, learner: Any, optimizer: Any, step: TrainingStep, batch: Sequence[Tensor | None]) -> list[float]:
        """Do one step; return the sum of the losses over its images, of each term."""
        optimizer.zero_grad(set_to_none=True)
        # What a dropout layer drops depends on seed and step alone, and no other random numbers are changed.
        with torch.random.fork_rng():
            torch.manual_seed(
                self.settings.seed * 1_000_003 + step.number * self.sampler.processes + self.sampler.process
            )
            losses: Tensor = learner(*(None if one is None else one.to(self.fabric.device) for one in batch))
        # The processes' gradients are averaged, so each scales its sum to make it the mean over the whole step.
        self.fabric.backward(losses.sum() * (self.sampler.processes / step.batch))
        optimizer.step()
        sums: Tensor = self.fabric.all_reduce(losses.detach().sum(1), reduce_op="sum")
        if not bool(sums.isfinite().all()):
            worst = [term for term, total in zip(self.objective.terms, sums, strict=True) if not total.isfinite()]
            raise DivergenceError(
                f"training diverged in step {step.number}: the loss of {', '.join(worst)} is not finite; "
                "lower the learning rate"
            )
        return cast("list[float]", sums.tolist())

    def _note(self, step: TrainingStep, sums: list[float], steps: int) -> None:
        unfinished = [old + new for old, new in zip(self.progress.unfinished, sums, strict=True)]
        losses, done = self.progress.losses, step.number + 1
        ended = done % self.sampler.steps_per_epoch == 0
        if ended:
            losses = [*losses, [total / self.sampler.images for total in unfinished]]
            unfinished = [0.0] * len(unfinished)
        self.progress = replace(self.progress, step=done, losses=losses, unfinished=unfinished)
        reached: dict[str, float] = {}
        if ended and self.plan.measure is not None and self.fabric.global_rank == 0:
            reached = self._measure(len(losses), self.plan.measure)
        means = [total / step.batch for total in sums]
        if self.log is not None:
            self.log.step(step.number, means, self.settings.rate(step.number, steps))
        if self.plan.report is not None and self.fabric.global_rank == 0:
            self.plan.report(done, steps, {**dict(zip(self.objective.terms, means, strict=True)), **reached})
        due = ended or done % self.plan.checkpoint_every == 0 or done == self.plan.stop_after
        if due and self.plan.folder is not None and self.fabric.global_rank == 0:
            identity = _identity(self.settings, self.plan)
            save_checkpoint(self.plan.folder / CHECKPOINT, self.objective, self.optimizer, self.progress, identity)

    def _measure(self, epoch: int, measure: Callable[[], Sequence[float]]) -> dict[str, float]:
        """Measure R² of each term, where a tenth of the epochs has passed, and write it down."""
        epochs = self.settings.epochs
        if epoch * _MEASUREMENTS // epochs == (epoch - 1) * _MEASUREMENTS // epochs:
            return {}
        reached = list(measure())
        self.progress = replace(self.progress, r_squared=[*self.progress.r_squared, [epoch, *reached]])
        logger.info("epoch %d: R² %s", epoch, ", ".join(f"{value:.3f}" for value in reached))
        if self.log is not None:
            self.log.measured(self.progress.r_squared)
        return {f"R² {term}": value for term, value in zip(self.objective.terms, reached, strict=True)}


def fit(
    objective: Objective,
    source: ImageSource,
    settings: TrainingSettings,
    fabric: Fabric,
    plan: TrainingPlan | None = None,
) -> list[list[float]]:
    """Make the losses of an objective smaller over some images.

    A training that was stopped is resumed from the plan's folder. Its final weights equal those of a training that
    never stopped, bit for bit on a CPU. One that is asked for more epochs goes on, with the optimizer's state: bit for
    bit what all epochs in one go give, where the learning rate does not depend on their number.

    Args:
        objective: What is trained; it is changed in place.
        source: The training images.
        settings: How it is trained.
        fabric: The processes and the device, launched already.
        plan: What else is done.

    Returns:
        Mean losses, one list for each epoch, one number for each term.

    Raises:
        DivergenceError: A loss is not finite.
        UsageError: The folder holds the checkpoint of another training, or of one that is past these epochs.
        WriteError: A file cannot be written; the same training resumes from its last checkpoint.
    """
    plan = plan or TrainingPlan()
    objective.to(fabric.device)
    optimizer = make_optimizer([tensor for tensor in objective.parameters() if tensor.requires_grad], settings)
    sampler = Sampler(len(source), settings.batch_size, settings.seed, fabric.global_rank, fabric.world_size)
    progress = Progress(0, [], [0.0] * len(objective.terms))
    log = None
    if plan.folder is not None:
        path = plan.folder / CHECKPOINT
        if path.is_file():
            steps = settings.epochs * sampler.steps_per_epoch if plan.goes_on else None
            progress = load_checkpoint(path, objective, optimizer, _identity(settings, plan), steps)
        if fabric.global_rank == 0:
            make_folder(plan.folder)
            log = LossLog(plan.folder, objective.terms, progress.step)
        fabric.barrier()
    return _Training(objective, settings, sampler, fabric, plan, optimizer, progress, log).run(source)


def _identity(settings: TrainingSettings, plan: TrainingPlan) -> dict[str, Any]:
    return {**describe(settings), **(plan.identity or {})}
