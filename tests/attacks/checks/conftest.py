"""Networks and tables that tests of checks share."""

# ruff: noqa: TID252 - tests are not an installed package, so an absolute import has nothing to name
from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager

import pandas as pd
import pytest
import torch
from torch import Tensor, nn

from pcbench.attacks.checks import rivals
from pcbench.attacks.checks.evidence import evidence_kinds, gather
from pcbench.attacks.checks.rows import COLUMNS
from pcbench.attacks.eval_batch import EvalBatch

from ..conftest import Case, attack

FEW_QUERIES = 20  # Square's 300 take most of a test's time, and show nothing more
SUITE = tuple(attack(name) for name in ("bim", "fgsm", "pgd"))
EPSILON = 0.15


class Timesteps:
    """What is checked: one classifier a timestep."""

    def __init__(self, *classifiers: nn.Module) -> None:
        self.classifiers = [classifier.eval() for classifier in classifiers]

    def at(self, timestep: int, gradient: str = "exact") -> nn.Module:  # noqa: ARG002 - the interface of a model
        return self.classifiers[timestep]

    def answer(self, images: Tensor, *_: object) -> Tensor:
        return torch.stack([classifier(images) for classifier in self.classifiers])


class Before(nn.Module):
    """Does something to the image before the classifier sees it."""

    def __init__(self, change: Callable[[Tensor], Tensor], classifier: nn.Module) -> None:
        super().__init__()
        self.change, self.classifier = change, classifier

    def forward(self, images: Tensor) -> Tensor:
        return self.classifier(self.change(images))


def two_timesteps(case: Case) -> Timesteps:
    return Timesteps(case.classifier, nn.Sequential(nn.AvgPool2d(3, stride=1, padding=1), case.classifier))


def victims_of(case: Case, count: int) -> EvalBatch:
    return EvalBatch(case.images[:count], case.labels[:count], case.ids[:count], seed=0)


@contextmanager
def quick_square() -> Generator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rivals, "SQUARE_QUERIES", FEW_QUERIES)
        yield


def gathered(model: Timesteps, batches: Iterable[EvalBatch], leave_out: tuple[str, ...] = ()) -> pd.DataFrame:
    """All rows about some batches, of every kind of evidence but a few."""
    timesteps = range(len(model.classifiers))
    with quick_square():
        rows = [
            row
            for eval_batch in batches
            for timestep in timesteps
            for kind in evidence_kinds(SUITE, timestep)
            if kind not in leave_out
            for row in gather(kind, model, eval_batch, SUITE, timestep=timestep, epsilon=EPSILON, timesteps=timesteps)
        ]
    return pd.DataFrame(rows, columns=list(COLUMNS))
