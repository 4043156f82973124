"""Oracles: foolbox's own PGD under the same seeds, and the answers to the images that it makes."""

# ruff: noqa: TID252 - tests are not an installed package, so an absolute import has nothing to name
from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch

from pcbench.attacks.adapters.registry import select
from pcbench.attacks.checks.plain_pgd import cheap_subject, plain_rows
from pcbench.attacks.checks.rivals import attack_timestep
from pcbench.attacks.definitions import load_attack_suite
from pcbench.attacks.sweep import scored_images
from pcbench.catalog import catalog_folder

from ..conftest import Case, attack
from .conftest import two_timesteps, victims_of

EPSILON = 14 / 255


@pytest.mark.parametrize(
    ("suite", "judged", "norm", "swept"),
    [
        ("linf", "pgd", "linf", "pgd"),
        ("minimal-norm", "plain_pgd", "linf", "deepfool"),
        ("autoattack", "plain_pgd", "linf", "autoattack"),
        ("blackbox", "plain_pgd", "l2", "hop_skip_jump"),
        ("all-timesteps", "plain_pgd", "linf", "pgd_mean"),
    ],
)
def test_every_suite_has_something_to_judge(suite: str, judged: str, norm: str, swept: str) -> None:
    subject = cheap_subject(load_attack_suite(catalog_folder("attacks") / suite).attacks)
    assert (subject.judged.name, subject.judged.norm, subject.swept.name) == (judged, norm, swept)
    assert subject.is_own == (suite == "linf")


def test_it_breaks_what_foolbox_breaks_and_its_images_are_scored_at_every_timestep(digits: Case) -> None:
    model, definition = two_timesteps(digits), cheap_subject([attack("fgsm")]).judged
    few = victims_of(digits, 16)
    attacked = few.some((model.at(0)(few.images).argmax(dim=1) == few.labels).numpy())
    rows_of = partial(
        plain_rows, model, timestep=0, epsilon=EPSILON, timesteps=range(2), gradient="exact", definition=definition
    )
    success, rows = rows_of(attacked=attacked)
    made = attack_timestep(
        model.at(0),
        attacked,
        definition,
        select(definition, library_only=True),
        epsilons=[EPSILON],
        keep_images=True,
        batch_size=len(attacked.ids),
    )
    assert success == dict(zip(attacked.ids, made.success[-1].tolist(), strict=True))
    assert 0 < sum(success.values()) < len(success)
    with torch.no_grad():
        wrong = model.at(1)(scored_images(made)[-1]).argmax(dim=1) != attacked.labels
    assert {(row["timestep"], row["image_id"]): bool(row["value"]) for row in rows} == {
        (1, name): bool(broken) for name, broken in zip(attacked.ids, wrong, strict=True)
    }
    assert rows_of(attacked=attacked.some(np.zeros(len(attacked.ids), bool))) == ({}, [])
