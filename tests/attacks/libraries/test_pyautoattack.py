"""Oracles: AutoAttack's own evaluation of the same network, and the closed form for a linear classifier."""

# ruff: noqa: TID252 - tests are not an installed package, so an absolute import has nothing to name
from __future__ import annotations

import copy
import sys

import numpy as np
import pytest
import torch
from pyautoattack.autoattack import AutoAttack

from pcbench.attacks.adapters.registry import select
from pcbench.attacks.definitions import AttackDefinition
from pcbench.attacks.starts import image_seed
from pcbench.attacks.sweep import sweep
from pcbench.errors import UnknownNameError, UsageError

from ..conftest import Case, attack


def autoattack(part: str, *, steps: int | None = None, **changes: object) -> AttackDefinition:
    plain = {"library": "pyautoattack", "relative_step_size": None, "random_start": False}
    return attack("pgd", **{**plain, "attack": part, "steps": steps, **changes})


def first(case: Case, images: int) -> Case:
    return Case(case.classifier, case.images[:images], case.labels[:images])


def test_the_standard_version_says_what_autoattack_says(digits: Case) -> None:
    few, epsilon = first(digits, 16), 28 / 255
    # A copy, for the library leaves gradients at the parameters.
    library = AutoAttack(copy.deepcopy(few.classifier), norm="Linf", eps=epsilon, seed=0)
    for part in (library.apgd, library.apgd_targeted, library.fab):
        part.n_iter = 25
    library.square.n_queries = 25
    tracer = sys.gettrace()
    adversarial, _ = library.run_standard_evaluation(few.images, few.labels)
    sys.settrace(tracer)  # the library's search for dynamic defences ends coverage's and a debugger's
    theirs = (few.classifier(adversarial).argmax(dim=1) != few.labels).numpy()
    ours = sweep(
        few.classifier,
        few.images,
        few.labels,
        autoattack("standard", steps=25),
        ids=few.ids,
        seed=0,
        epsilons=[epsilon],
    )
    # Random starts differ, so an image at the very edge may; in both, some are broken and some stand.
    assert (theirs != ours.success_within[-1]).sum() <= 2
    assert 0 < theirs.sum() < len(theirs)


def test_fewer_than_ten_classes_are_known_and_enough(digits: Case) -> None:
    class Five(torch.nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return digits.classifier(images).reshape(len(images), 5, 2).sum(dim=2)

    labels = Five()(digits.images[:3]).argmax(dim=1)
    definition = autoattack("apgd-t", steps=5)
    outcome = sweep(Five().eval(), digits.images[:3], labels, definition, ids="abc", seed=0, epsilons=[0.3])
    assert outcome.success_within[-1].all()


def test_a_loss_that_needs_more_classes_is_refused(linear: Case) -> None:
    case = Case(linear.classifier, linear.images[4:16], linear.labels[4:16])
    with pytest.raises(UsageError, match="apgd-t needs at least 4 classes; this model has 2"):
        sweep(case.classifier, case.images, case.labels, autoattack("apgd-t"), ids=case.ids, seed=0)


@pytest.mark.parametrize("part", ["apgd-ce", "square"])
def test_a_linear_model_is_broken_above_its_margin_and_never_below(linear: Case, part: str) -> None:
    case = Case(copy.deepcopy(linear.classifier).float(), linear.images[4:16].float(), linear.labels[4:16])
    layer = case.classifier[1]  # type: ignore[index]
    logits = case.classifier(case.images).detach()
    nearest = ((logits[:, 0] - logits[:, 1]).abs() / (layer.weight[0] - layer.weight[1]).abs().sum()).detach().numpy()
    epsilons = [0.002, 0.004, 0.008, 0.016]
    steps = 10 if part == "apgd-ce" else 100
    outcome = sweep(
        case.classifier,
        case.images,
        case.labels,
        autoattack(part, steps=steps),
        ids=case.ids,
        seed=0,
        epsilons=epsilons,
    )
    for row, epsilon in enumerate(outcome.epsilons):
        assert not outcome.success_within[row][nearest > epsilon].any()
        # Square moves whole squares of pixels, so it needs more than the margin.
        assert outcome.success_within[row][nearest < epsilon].all() or part == "square"
    assert outcome.success_within[-1].any()


def test_an_image_s_outcome_does_not_depend_on_its_neighbours(digits: Case) -> None:
    definition = autoattack("square", steps=50, white_box=False)
    together = sweep(
        digits.classifier, digits.images[:6], digits.labels[:6], definition, ids="abcdef", seed=0, keep_images=True
    )
    alone = sweep(
        digits.classifier, digits.images[5:6], digits.labels[5:6], definition, ids="f", seed=0, keep_images=True
    )
    assert together.images is not None
    assert alone.images is not None
    assert torch.equal(together.images[:, 5:], alone.images)
    np.testing.assert_array_equal(together.columns["queries"][:, 5:], alone.columns["queries"])
    assert together.columns["queries"].max() <= 53  # and three to look at the start


def test_a_batch_together_is_the_library_s_batch(digits: Case) -> None:
    # Oracle: pyautoattack's own call with the seed of the first image.
    few, epsilon = first(digits, 8), 40 / 255
    definition = autoattack("apgd-ce", steps=10, parameters={"together": True})
    outcome = sweep(
        few.classifier, few.images, few.labels, definition, ids=few.ids, seed=0, epsilons=[epsilon], keep_images=True
    )
    kept = torch.from_numpy(outcome.eligible)
    seed = image_seed(0, few.ids[int(kept.nonzero()[0])], definition.name, 0) % 2**32
    library = AutoAttack(copy.deepcopy(few.classifier), norm="Linf", eps=epsilon, seed=seed)
    library.apgd.n_iter, library.apgd.seed, library.apgd.loss = 10, seed, "ce"
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        theirs = library.apgd.perturb(few.images[kept], few.labels[kept])
    assert outcome.images is not None
    torch.testing.assert_close(outcome.images[-1][kept], theirs, atol=1e-6, rtol=0)


def test_global_generators_are_left_as_they_were(digits: Case) -> None:
    torch.manual_seed(1)
    before, numpy_before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002 - the global generator is the point
    definition = autoattack("square", steps=5)
    sweep(digits.classifier, digits.images[:2], digits.labels[:2], definition, ids="ab", seed=0, epsilons=[0.1])
    assert torch.equal(torch.get_rng_state(), before)
    np.testing.assert_array_equal(np.random.get_state()[1], numpy_before)  # noqa: NPY002


def test_what_autoattack_does_not_have_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="apgd-ce"):
        select(autoattack("apgd-c"))
    with pytest.raises(UsageError, match="choose both"):
        select(autoattack("square", targeted=True, target_offset=1))
