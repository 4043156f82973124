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
from pcbench.attacks.classify import Answers, classify
from pcbench.attacks.definitions import AttackDefinition
from pcbench.attacks.ledger import Ledger, Scored, positions


@dataclass(frozen=True)
class Work:
    """One sweep's inputs, checked.

    Attributes:
        classifier: Images in [0, 1] -> logits.
        adapter: The attack, ready to run.
        definition: What it was made from.
        images: (N, channels, height, width).
        classes: Labels to leave or targets to reach, (N,), int64.
        clean: The classifier's answers to the clean images.
        ids: N ids.
        seed: The run's seed.
        epsilons: Budgets, ascending, 0 first.
        plain: Attack every image at every budget.
        batch_size: Images at a time.
        on_progress: Called with the number of pairs settled.
    """

    classifier: nn.Module
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

    @property
    def denominator(self) -> Tensor:
        """Images over which success is a rate, (N,): correct, or, under a targeted attack, not at the target."""
        at_class = self.clean.predictions == self.classes
        return ~at_class if self.definition.targeted else at_class

    def run(self, *, keep_images: bool) -> Ledger:
        """Work through the queue and return all outcomes."""
        ledger = Ledger(
            len(self.epsilons), self.images, self.clean.predictions, self.clean.confidences, keep_images=keep_images
        )
        to_attack = positions(self.denominator)
        self._report((len(self.images) - len(to_attack)) * len(self.epsilons))
        self._queue.extend((0, int(place)) for place in to_attack)
        while self._queue:
            budgets, places = self._take()
            scored = self._attempt(budgets, places)
            ledger.record(budgets, places, scored)
            self._put_back(budgets, places, scored.success.cpu().numpy())
        return ledger

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

    def _attempt(self, budgets: NDArray[np.intp], places: NDArray[np.intp]) -> Scored:
        """Run all restarts, each on the images that the earlier ones did not break."""
        radii = torch.tensor([self.epsilons[budget] for budget in budgets], dtype=torch.float64)
        scored = self._score(radii, places, restart=0)
        for restart in range(1, self.definition.restarts):
            standing = positions(~scored.success)
            if not len(standing):
                break
            again = self._score(radii[standing], places[standing], restart)
            scored.replace(torch.from_numpy(standing).to(self.images.device), again)
        return scored

    def _score(self, radii: Tensor, places: NDArray[np.intp], restart: int) -> Scored:
        """Attack, clip, classify, measure."""
        device = self.images.device
        here, radii = torch.from_numpy(places).to(device), radii.to(device)
        clean, classes = self.images[here], self.classes[here]
        ids = tuple(self.ids[int(place)] for place in places)
        task = Task(clean, classes, radii, ids, self.seed, self.definition.name, restart)
        found = self.adapter.perturb(self.classifier, task)
        images = within_budget(found.images.detach().to(clean), clean, radii, self.definition.norm)
        answers = classify(self.classifier, images, self.batch_size)
        # An image that was not changed keeps its answer: the same bits in another batch may be rounded differently.
        same = (images == clean).flatten(1).all(dim=1)
        predictions = torch.where(same, self.clean.predictions[here], answers.predictions)
        confidences = torch.where(same, self.clean.confidences[here], answers.confidences)
        linf, l2 = perturbation_norms(images, clean)
        columns = {"prediction": predictions.to(torch.int32), "confidence": confidences, "linf": linf, "l2": l2}
        columns["queries"] = found.queries.to(device)
        at_class = predictions == classes
        return Scored(images, columns, at_class if self.definition.targeted else ~at_class)

    def _report(self, settled: int) -> None:
        if self.on_progress is not None:
            self.on_progress(settled)
