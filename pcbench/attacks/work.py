"""The inside of a sweep: which images are attacked next, at which budget, and how an attempt is judged."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pcbench.attacks.adapters.base import Adapter, Task
from pcbench.attacks.classify import Judge, classify, eligible_images
from pcbench.attacks.definitions import AttackDefinition
from pcbench.attacks.descent import GradientDescent, linear_reach
from pcbench.attacks.ledger import Ledger, ScoredBatch, distances, positions
from pcbench.attacks.schedule import Ascending, Bracketing, BudgetSchedule, Pair
from pcbench.attacks.starts import image_seed
from pcbench.models.draws import drawing
from pcbench.models.scores import Scores
from pcbench.norms import within_budget

BEYOND_LINEAR = 1.4
"""By how much a network stands longer than a linear one, from measurements of BIM and PGD (1.1 to 1.8)."""


@dataclass(frozen=True)
class Work:
    """One sweep's inputs, checked."""

    classifier: nn.Module
    """What the attack attacks, images in [0, 1] -> logits."""
    judge: Judge
    """What its images are scored by, logits (S, batch, classes)."""
    adapter: Adapter
    """The attack, ready to run."""
    definition: AttackDefinition
    """What it was made from."""
    images: Tensor
    """(N, channels, height, width)."""
    labels: Tensor
    """The images' classes, (N,), int64."""
    classes: Tensor
    """Labels to leave or targets to reach, (N,), int64."""
    clean: Scores
    """The judge's scores of the clean images."""
    ids: tuple[str, ...]
    """N ids."""
    seed: int
    """The run's seed."""
    epsilons: tuple[float, ...]
    """Budgets, ascending, 0 first."""
    plain: bool
    """Attack every image at every budget."""
    bracketing: bool
    """Look for the smallest budget that breaks an image from both sides."""
    batch_size: int
    """Images at a time."""
    on_progress: Callable[[int], None] | None = None
    """Called with the number of pairs settled."""

    def run(self, *, keep_images: bool) -> Ledger:
        """Work through the queue and return all outcomes."""
        eligible = eligible_images(
            self.clean.prediction, self.labels, self.classes if self.definition.targeted else None
        )
        kept = self.images if keep_images else None
        ledger = Ledger(self.clean, eligible.cpu().numpy(), len(self.epsilons), kept)
        to_attack = positions(eligible.any(dim=0))
        schedule = self._schedule(to_attack)
        queue = deque[Pair](schedule.start(to_attack.tolist()))
        settled = 0
        while queue:
            budgets, indices = self._take(queue)
            self._attack(budgets, indices, ledger)
            broken = ledger.broken(budgets, indices, within=True)
            for budget, index, done in zip(budgets.tolist(), indices.tolist(), broken.tolist(), strict=True):
                margin = None if done else float(ledger.carried["margin"][0, budget, index])
                queue.extend(schedule.after((budget, index), margin))
            settled += len(indices)
            self._report(len(indices))
            if not queue:
                queue.extend(schedule.last())
        for pair in schedule.spot_checked:
            ledger.spot_checked[pair] = True
        self._report(len(self.epsilons) * len(self.images) - settled)
        return ledger

    def _schedule(self, to_attack: NDArray[np.intp]) -> BudgetSchedule:
        """Look from both sides where the attack follows gradients; else, or if asked to, try all budgets from below.

        One step may overshoot, so FGSM tries all; so does an attack on all timesteps, whose images have many margins.
        """
        iterative = isinstance(self.adapter, GradientDescent) and (self.definition.steps or 1) > 1
        if not self.bracketing or not iterative or self.definition.targeted or self.definition.over_timesteps:
            return Ascending(len(self.epsilons), plain=self.plain)
        guesses = np.zeros(len(self.images))
        for start in range(0, len(to_attack), self.batch_size):
            chosen = to_attack[start : start + self.batch_size]
            here = torch.from_numpy(chosen).to(self.images.device)
            with drawing(self.seed, [self.ids[int(index)] for index in chosen], "reach", repeated=True):
                reach = linear_reach(self.classifier, self.images[here], self.classes[here], self.definition.ball)
            guesses[chosen] = BEYOND_LINEAR * reach.double().cpu().numpy()
        return Bracketing(self.epsilons, guesses, self.clean.columns["margin"][0].double().cpu().numpy(), self._draw)

    def _draw(self, pair: Pair) -> float:
        budget, index = pair
        # A word of former versions: another one would draw other spot checks.
        return image_seed(self.seed, self.ids[index], f"audit of {self.definition.name}", budget) / 2**63

    def _reached(self, predictions: Tensor, classes: Tensor) -> Tensor:
        """Return whether predictions (S, batch) are the goal: the target, or anything but the label."""
        at_class = predictions == classes
        return at_class if self.definition.targeted else ~at_class

    def _take(self, queue: deque[Pair]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Take the next batch; only some adapters can mix budgets, and ε = 0 costs nothing alone."""
        taken = [queue.popleft()]
        while queue and len(taken) < self.batch_size:
            budget = queue[0][0]
            if budget != taken[0][0] and (not self.adapter.mixes_epsilons or 0 in (budget, taken[0][0])):
                break
            taken.append(queue.popleft())
        pairs = np.asarray(taken, dtype=np.intp)
        return pairs[:, 0], pairs[:, 1]

    def _attack(self, budgets: NDArray[np.intp], indices: NDArray[np.intp], ledger: Ledger) -> None:
        """Run all restarts, each on the images that the earlier ones did not break at this budget."""
        for restart in range(self.definition.restarts):
            radii = torch.tensor([self.epsilons[budget] for budget in budgets], dtype=torch.float64)
            ledger.record(budgets, indices, self._score(radii, indices, restart))
            standing = ~ledger.broken(budgets, indices, within=False)
            budgets, indices = budgets[standing], indices[standing]
            if not len(indices):
                return

    def _score(self, radii: Tensor, indices: NDArray[np.intp], restart: int) -> ScoredBatch:
        """Attack, clip, classify, measure."""
        device = self.images.device
        here, radii = torch.from_numpy(indices).to(device), radii.to(device)
        clean, classes = self.images[here], self.classes[here]
        ids = tuple(self.ids[int(index)] for index in indices)
        task = Task(clean, classes, radii, ids, self.seed, self.definition.name, restart, self.clean.classes)
        with drawing(self.seed, ids, f"attack {self.definition.name} {restart}"):
            found = self.adapter.perturb(self.classifier, task)
        images = within_budget(found.images.detach().to(clean), clean, radii, self.definition.ball)
        # An image that was not changed keeps its scores: the same bits in another batch may be rounded differently.
        same = (images == clean).flatten(1).all(dim=1)
        scores = self.clean.at(here)
        if not bool(same.all()):
            with drawing(self.seed, ids):
                seen = classify(self.judge, images, self.labels[here], self.batch_size)
            scores = scores.where(same, seen)
        success = self._reached(scores.prediction, classes)
        return ScoredBatch(images, scores, success, distances(images, clean), found.queries, found.gradients)

    def _report(self, settled: int) -> None:
        if self.on_progress is not None and settled:
            self.on_progress(settled)
