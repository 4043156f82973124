"""Oracles: passes counted by hand, and passes that a real run makes, counted where the network answers."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from pcbench.attacks.api import find_attack
from pcbench.catalog import suite_folder
from pcbench.harness.blocks import Unit
from pcbench.harness.context import Context, Inputs, Job, Made
from pcbench.harness.costs import ASCENDING_SHARE, BRACKETED_SHARE, Passes, SweepCost, evidence_passes
from pcbench.harness.plan import Plan, make_plan
from pcbench.harness.request import request_from
from pcbench.harness.work import attacks, growth, scores
from pcbench.harness.work import evidence as evidence_work
from pcbench.network.network import PredictiveNetwork

WORK: dict[str, Callable[[Unit, Inputs, Context], Made]] = {
    "attacks": attacks.compute,
    "growth": growth.compute,
    "scores": scores.compute,
    "evidence": evidence_work.compute,
}


class Images:
    """Images that a network sees as their labels at every timestep, so that all of them are attacked."""

    def __init__(self, network: PredictiveNetwork, timesteps: int) -> None:
        drawn = np.random.default_rng(0).integers(0, 256, (400, 32, 32, 3)).astype(np.uint8)
        pixels = torch.from_numpy(drawn).permute(0, 3, 1, 2).float() / 255
        with torch.no_grad():
            answers = network(pixels, timesteps).argmax(dim=2).numpy()
        same = np.flatnonzero((answers == answers[0]).all(axis=0))[:12]
        self.images, self.labels = drawn[same], answers[0][same]


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Passes of images through timesteps, counted where every answer of the network comes from."""
    found = {"forward": 0, "gradients": 0, "backward": 0}
    unroll = PredictiveNetwork.unroll_input

    def counting(self: PredictiveNetwork, inputs: Tensor, timesteps: int, *more: Any, **options: Any) -> Any:
        answered = unroll(self, inputs, timesteps, *more, **options)
        passes = len(inputs) * (timesteps + 1)
        found["gradients" if answered.logits.requires_grad else "forward"] += passes
        if answered.logits.requires_grad:

            def back(_: Tensor) -> None:
                found["backward"] += passes

            answered.logits.register_hook(back)
        return answered

    monkeypatch.setattr(PredictiveNetwork, "unroll_input", counting)
    return found


def planned(network: PredictiveNetwork, suite: Path | str, **options: Any) -> Plan:
    data = Images(network, 2)
    assert len(data.labels) == 12
    return make_plan(request_from({"model": network, "suites": [suite], "data": data, **({"timesteps": 2} | options)}))


def done(plan: Plan, counted: dict[str, int]) -> list[tuple[Unit, Passes]]:
    """Do the units of a plan; return each with the passes that it made for an image, in the mean."""
    context = Context(Job(plan.spec, plan.locations, plan.objects), plan.model)
    made: dict[str, Any] = {}
    found: list[tuple[Unit, Passes]] = []
    for unit in plan.units:
        if unit.work in WORK:
            counted.update(forward=0, gradients=0, backward=0)
            made[unit.path] = WORK[unit.work](unit, {path: made[path] for path in unit.after}, context).table
            assert counted["backward"] == counted["gradients"]
            each = {name: counted[name] / len(unit.block) for name in ("forward", "gradients")}
            found.append((unit, Passes(each["forward"], each["gradients"])))
    return found


def test_a_tiny_plan_costs_what_is_counted_by_hand(network: PredictiveNetwork, attack_suite: Path) -> None:
    units = planned(network, attack_suite, checks=False).units
    # T = 2, so three timesteps; three budgets besides 0; FGSM takes 1 step, PGD 4 from a random start.
    fgsm, pgd = (
        [unit.passes for unit in units if unit.work == "attacks" and unit.condition.name == name]
        for name in ("fgsm", "pgd")
    )
    # Clean images, then the images of each budget. One gradient, at the clean image, serves all budgets.
    assert [(one.forward, one.gradients) for one in fgsm] == [(4, 1), (8, 2), (12, 3)]
    # The guess where to start takes a gradient and an answer more.
    assert [(one.forward, one.gradients) for one in pgd] == [(5, 13), (10, 26), (15, 39)]
    assert [one.usual for one in (fgsm[0], pgd[0])] == [ASCENDING_SHARE, BRACKETED_SHARE]
    assert pgd[0].most == 5 + 3 * 13
    first = next(unit for unit in units if unit.work == "scores")
    assert (first.passes.forward, first.passes.gradients, first.cost) == (3, 0, 36)


def test_without_skipping_a_run_makes_as_many_passes_as_planned(
    network: PredictiveNetwork, attack_suite: Path, counted: dict[str, int]
) -> None:
    found = done(planned(network, attack_suite, plain_sweep=True, checks=False), counted)
    assert {unit.work for unit, _ in found} == {"growth", "scores", "attacks"}
    for unit, passes in found:
        assert (unit.title, passes) == (unit.title, unit.passes)


@pytest.mark.parametrize("checks", [True, None])
def test_no_unit_makes_more_passes_than_planned(
    checks: bool | None, network: PredictiveNetwork, attack_suite: Path, counted: dict[str, int]
) -> None:
    found = done(planned(network, attack_suite, checks=checks, timesteps=1, images=4), counted)
    assert {unit.work for unit, _ in found} == {"growth", "scores", "attacks", "evidence"}
    for unit, passes in found:
        assert passes.forward <= unit.passes.forward, unit.title
        assert passes.gradients <= unit.passes.gradients, unit.title
    if checks:
        kinds = {unit.detail for unit, _ in found if unit.work == "evidence"}
        assert kinds >= {"smoothed", "square"}
    else:
        assert {unit.detail for unit, _ in found if unit.work == "evidence"} == {"cheap"}
    assert any(passes.gradients < unit.passes.gradients for unit, passes in found)


def with_fewer_steps(suite: str, folder: Path) -> Path | str:
    """Write a shipped suite of long attacks with a quarter of their steps: what is planned grows with them alike."""
    if suite not in {"autoattack", "blackbox", "minimal-norm"}:
        return suite
    written = Path(shutil.copytree(suite_folder(suite)[1], folder / "attacks" / suite))
    for path in written.glob("*.toml"):
        fewer = re.sub(
            r"^steps = (\d+)$", lambda found: f"steps = {-(-int(found[1]) // 4)}", path.read_text(), flags=re.MULTILINE
        )
        path.write_text(fewer)
    return written


@pytest.mark.parametrize(
    "attack",
    ["minimal-norm/ddn", "minimal-norm/deepfool", "minimal-norm/fmn", "autoattack/autoattack", "blackbox/square",
     "blackbox/hop_skip_jump", "all-timesteps/pgd_mean", "l2/bim"],
)  # fmt: skip
def test_no_shipped_attack_makes_more_passes_than_planned(
    attack: str, network: PredictiveNetwork, counted: dict[str, int], tmp_path: Path
) -> None:
    definition = find_attack(attack)
    suite = with_fewer_steps(attack.partition("/")[0], tmp_path)
    plan = planned(network, suite, epsilons=["8/255", "64/255"], images=1, timesteps=0)
    context = Context(Job(plan.spec, plan.locations, plan.objects), plan.model)
    clean = next(unit for unit in plan.units if unit.work == "scores")
    inputs = {clean.path: scores.compute(clean, {}, context).table}
    (unit,) = (one for one in plan.units if one.work == "attacks" and one.condition.name == definition.name)
    counted.update(forward=0, gradients=0)
    attacks.compute(unit, {path: inputs[path] for path in unit.after}, context)
    assert 0 < counted["forward"] <= unit.passes.forward
    assert counted["gradients"] <= unit.passes.gradients


def test_shares_of_work_together_are_weighted_by_it() -> None:
    both = Passes(10, 0, usual=1.0) + Passes(0, 10, usual=0.5)
    assert (both.forward, both.gradients, both.most) == (10, 10, 40)
    assert both.work == pytest.approx(10 + 15)
    assert (Passes() + Passes()).work == 0


def test_a_plain_sweep_skips_nothing() -> None:
    pgd = find_attack("linf/pgd")
    assert SweepCost(plain=True).passes(pgd, 1, 8).usual == 1
    assert SweepCost(bracketing=False).passes(pgd, 1, 8).usual == ASCENDING_SHARE
    assert evidence_passes("square", [pgd], 0, 1).forward > 300
