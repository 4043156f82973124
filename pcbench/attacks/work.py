"""The inside of a sweep: which images are attacked next, at which budget, and how an attempt is judged."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pcbench.attacks.adapters.base import Adapter, Task
from pcbench.attacks.budget import perturbation_norms, within_budget
from pcbench.attacks.classify import Answers, Judge, classify
from pcbench.attacks.definitions import AttackDefinition
from pcbench.attacks.ledger import Ledger, Scored, positions


@dataclass(frozen=True)
class Work:
    """One sweep's inputs, checked.

    Attributes:
        classifier: What the attack attacks, images in [0, 1] -> logits.
        judge: What its images are scored by, logits (S, batch, classes).
        adapter: The attack, ready to run.
        definition: What it was made from.
        images: (N, channels, height, width).
        classes: Labels to leave or targets to reach, (N,), int64.
        clean: The judge's answers to the clean images.
        ids: N ids.
        seed: The run's seed.
        epsilons: Budgets, ascending, 0 first.
        plain: Attack every image at every budget.
        batch_size: Images at a time.
        on_progress: Called with the number of pairs settled.
    """

    classifier: nn.Module
    judge: Judge
    adapter: Adapter
    definition: AttackDefinition
    images: Tensor
    classes: Tensor
    clean: Answers
    ids: tuple[str, ...]
    seed: int
    epsilons: tuple[float, ...]
    plain: bool
    batch_size: int
    on_progress: Callable[[int], None] | None = None
    _queue: deque[tuple[int, int]] = field(default_factory=deque[tuple[int, int]], init=False)

    def run(self, *, keep_images: bool) -> Ledger:
        """Work through the queue and return all outcomes."""
        denominator = ~self._reached(self.clean.predictions, self.classes)
        kept = self.images if keep_images else None
        ledger = Ledger(self.clean, denominator.cpu().numpy(), len(self.epsilons), kept)
        to_attack = positions(denominator.any(dim=0))
        self._report((len(self.images) - len(to_attack)) * len(self.epsilons))
        self._queue.extend((0, int(place)) for place in to_attack)
        while self._queue:
            budgets, places = self._take()
            self._attack(budgets, places, ledger)
            self._put_back(budgets, places, ledger.broken(budgets, places, within=True))
        return ledger

    def _reached(self, predictions: Tensor, classes: Tensor) -> Tensor:
        """Return whether predictions (S, batch) are the goal: the target, or anything but the label."""
        at_class = predictions == classes
        return at_class if self.definition.targeted else ~at_class

    def _take(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Take the next batch; pairs come in ascending order of budget, which only some adapters can mix."""
        taken = [self._queue.popleft()]
        while self._queue and len(taken) < self.batch_size:
            if not self.adapter.mixes_epsilons and self._queue[0][0] != taken[0][0]:
                break
            taken.append(self._queue.popleft())
        pairs = np.asarray(taken, dtype=np.intp)
        return pairs[:, 0], pairs[:, 1]

    def _put_back(self, budgets: NDArray[np.intp], places: NDArray[np.intp], broken: NDArray[np.bool_]) -> None:
        last = len(self.epsilons) - 1
        settled = 0
        for budget, place, done in zip(budgets.tolist(), places.tolist(), broken.tolist(), strict=True):
            if done and not self.plain:
                settled += last - budget + 1
            else:
                settled += 1
                if budget < last:
                    self._queue.append((budget + 1, place))
        self._report(settled)

    def _attack(self, budgets: NDArray[np.intp], places: NDArray[np.intp], ledger: Ledger) -> None:
        """Run all restarts, each on the images that the earlier ones did not break at this budget."""
        for restart in range(self.definition.restarts):
            radii = torch.tensor([self.epsilons[budget] for budget in budgets], dtype=torch.float64)
            ledger.record(budgets, places, self._score(radii, places, restart))
            standing = ~ledger.broken(budgets, places, within=False)
            budgets, places = budgets[standing], places[standing]
            if not len(places):
                return

    def _score(self, radii: Tensor, places: NDArray[np.intp], restart: int) -> Scored:
        """Attack, clip, classify, measure."""
        device = self.images.device
        here, radii = torch.from_numpy(places).to(device), radii.to(device)
        clean, classes = self.images[here], self.classes[here]
        ids = tuple(self.ids[int(place)] for place in places)
        task = Task(clean, classes, radii, ids, self.seed, self.definition.name, restart, self.clean.classes)
        found = self.adapter.perturb(self.classifier, task)
        images = within_budget(found.images.detach().to(clean), clean, radii, self.definition.norm)
        # An image that was not changed keeps its answer: the same bits in another batch may be rounded differently.
        same = (images == clean).flatten(1).all(dim=1)
        answers = self.clean.at(here).where(same, classify(self.judge, images, self.batch_size))
        linf, l2 = perturbation_norms(images, clean)
        success = self._reached(answers.predictions, classes)
        return Scored(images, answers, success, linf, l2, found.queries.to(device))

    def _report(self, settled: int) -> None:
        if self.on_progress is not None:
            self.on_progress(settled)
