"""What units of work cost: the most passes that they can take, and what skipping and early stops usually leave.

A pass takes one image through one timestep of the network. The numbers are closed forms of the definitions, so that a
run's cost is known before anything of it is computed. For FGSM, BIM and PGD they are exact where nothing is skipped;
for attacks that a library runs by itself they are those of its documentation, and lean to the large side.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from pcbench.attacks.adapters.registry import is_descent
from pcbench.attacks.checks import cheap
from pcbench.attacks.checks.cheap import CHEAP, TRIALS, WIDEST_STEPS
from pcbench.attacks.checks.evidence import judged_attack, shown_attacks
from pcbench.attacks.checks.gradients import DIRECTIONS, FEW_DIRECTIONS, STEPS
from pcbench.attacks.checks.plain_pgd import cheap_subject
from pcbench.attacks.checks.rivals import RANDOM_TRIALS, SMOOTHED_DRAWS, SMOOTHED_STEPS, square, with_more_steps
from pcbench.attacks.definitions import AttackDefinition

PASSES_PER_GRADIENT = 3
"""A gradient takes a pass forward and one backward, which takes about twice as long."""
BRACKETED_SHARE = 0.27
"""What is usually left of a sweep that brackets an image's smallest budget."""
ASCENDING_SHARE = 0.42
"""What is usually left of a sweep that tries budgets from the smallest up, until one breaks the image."""
CHEAP_RIVALS_SHARE = 0.4
"""What the rivals of the cheap checks usually attack: what the judged attack left."""
CHEAP_WIDEST_SHARE = 0.15
"""What is usually left of the steps at the widest ε: one or two break a sound network."""
SHARES_FROM = "pdigits under digits-linf, the run of `pcbench run` without options"
"""Where the usual shares were measured, by benchmarks/time_left.py."""
_DEEPFOOL_CANDIDATES = 10
_AUTOATTACK_STEPS = 100
_AUTOATTACK_TARGETS = 9
_AUTOATTACK_RESTARTS = 5
_SQUARE_QUERIES = 5000
_HOP_SKIP_JUMP_SEARCH = 50


@dataclass(frozen=True)
class Passes:
    """Passes of one image, at most."""

    forward: float = 0.0
    """Passes without a gradient."""
    gradients: float = 0.0
    """Passes forward and backward."""
    usual: float = 1.0
    """The share of them that skipping and early stops usually leave."""

    @property
    def most(self) -> float:
        """The work at most, in forward passes."""
        return self.forward + PASSES_PER_GRADIENT * self.gradients

    @property
    def work(self) -> float:
        """The work that is usually left, in forward passes."""
        return self.most * self.usual

    def __add__(self, other: Passes) -> Passes:
        """Return the passes of two pieces of work, each with its share."""
        most = self.most + other.most
        usual = (self.work + other.work) / most if most else 1.0
        return Passes(self.forward + other.forward, self.gradients + other.gradients, usual)

    def times(self, factor: float) -> Passes:
        """Return the passes of several images, or through several timesteps."""
        return replace(self, forward=self.forward * factor, gradients=self.gradients * factor)


def forward_passes(timesteps: int) -> Passes:
    """Return the passes of one image through some timesteps."""
    return Passes(forward=timesteps)


def budgets(epsilons: Sequence[float]) -> int:
    """Return how many budgets a sweep has besides 0, which each has."""
    return sum(epsilon > 0 for epsilon in epsilons)


@dataclass(frozen=True)
class SweepCost:
    """What a sweep's settings say about its cost."""

    plain: bool = False
    """Every image at every budget."""
    bracketing: bool = True
    """Look from both sides where the attack follows gradients."""

    def passes(self, definition: AttackDefinition, timesteps: int, budgets: int) -> Passes:
        """Return what a sweep over some budgets besides 0 costs one image.

        Args:
            definition: The attack.
            timesteps: How many timesteps each of its passes goes through.
            budgets: How many budgets there are besides 0.
        """
        runs = definition.restarts
        if definition.search == "minimal_norm":
            inside = _own(definition).times(runs)
        elif is_descent(definition) or definition.over_timesteps is not None:
            inside = _descent(definition, budgets)
        else:
            # foolbox's own attacks run at budget 0 too.
            inside = _own(definition).times(runs * (budgets + (definition.library == "foolbox")))
        scoring = Passes(forward=1 + runs * budgets)  # at 0 every image is the clean one
        found = (inside + scoring + self._reach(definition)).times(timesteps)
        return replace(found, usual=self._usual(definition))

    def _brackets(self, definition: AttackDefinition) -> bool:
        if self.plain or not self.bracketing or definition.targeted or definition.over_timesteps is not None:
            return False
        return is_descent(definition) and (definition.steps or 1) > 1

    def _reach(self, definition: AttackDefinition) -> Passes:
        """Return the passes of the guess at which budget an image breaks."""
        return Passes(forward=1, gradients=1) if self._brackets(definition) else Passes()

    def _usual(self, definition: AttackDefinition) -> float:
        if self.plain or definition.search == "minimal_norm":
            return 1.0
        return BRACKETED_SHARE if self._brackets(definition) else ASCENDING_SHARE


def evidence_passes(kind: str, definitions: Sequence[AttackDefinition], timestep: int, times: int) -> Passes:
    """Return what a kind of evidence about one timestep's gradients costs one image.

    Args:
        kind: One of `pcbench.attacks.checks.evidence.evidence_kinds`.
        definitions: The suite's attacks.
        timestep: The timestep that is judged.
        times: How many timesteps the run has.
    """
    sweep = SweepCost()
    if kind == CHEAP:
        subject, found = cheap_subject(definitions), _cheap_passes().times(timestep + 1)
        return (
            found if subject.is_own else found + sweep.passes(subject.judged, timestep + 1, 1) + forward_passes(times)
        )
    judged = judged_attack(definitions)
    if kind == "gradients":
        seen = 2 * DIRECTIONS * (len(STEPS) + 1)
        return Passes(forward=2 + seen, gradients=2).times(timestep + 1)
    if kind == "random_search":
        return Passes(forward=RANDOM_TRIALS + 2).times(timestep + 1)
    if kind == "smoothed":
        gradients = SMOOTHED_STEPS * SMOOTHED_DRAWS
        return Passes(forward=SMOOTHED_STEPS + 2, gradients=gradients).times(timestep + 1)
    rivals = {"square": square, "more_steps": with_more_steps}
    definition = rivals[kind](judged) if kind in rivals else shown_attacks(definitions).get(kind, judged)
    found = sweep.passes(definition, timestep + 1, 1)
    return found + forward_passes(times) if kind == "transfer" else found


def _cheap_passes() -> Passes:
    """Return what the cheap form costs an image that it looks at, at one timestep."""
    gradients = Passes(forward=1 + 2 * FEW_DIRECTIONS * 2, gradients=2)
    rivals = Passes(
        forward=TRIALS + cheap.NOISE_STEPS + 2,
        gradients=cheap.NOISE_STEPS * cheap.NOISE_DRAWS,
        usual=CHEAP_RIVALS_SHARE,
    )
    widest = Passes(forward=WIDEST_STEPS + 2, gradients=WIDEST_STEPS, usual=CHEAP_WIDEST_SHARE)
    return gradients + rivals + widest


def transferred_passes(definition: AttackDefinition, times: int, budgets: int) -> Passes:
    """Return what it costs an image to score what a sweep made of it, at every budget, at all timesteps."""
    return Passes(forward=budgets * times, usual=SweepCost().passes(definition, 1, budgets).usual)


def _descent(definition: AttackDefinition, budgets: int) -> Passes:
    """Return the gradients of FGSM, BIM or PGD.

    Without a random start, the gradient at the clean image is computed once for all budgets.
    """
    steps, runs = definition.steps or 1, definition.restarts * budgets
    if definition.random_start or not runs:
        return Passes(gradients=steps * runs)
    return Passes(gradients=(steps - 1) * runs + 1)


def _own(definition: AttackDefinition) -> Passes:
    """Return what a library's own attack costs one image in one run."""
    if definition.library == "pyautoattack":
        return _autoattack(definition)
    steps = definition.steps or 1
    if "DeepFool" in definition.attack:
        return Passes(forward=1, gradients=steps * (_DEEPFOOL_CANDIDATES - 1))
    if definition.attack == "HopSkipJumpAttack":
        estimates = sum(int(100 * math.sqrt(step + 1)) for step in range(steps))
        return Passes(forward=estimates + (steps + 2) * _HOP_SKIP_JUMP_SEARCH)
    return Passes(forward=2, gradients=steps + 1)


def _autoattack(definition: AttackDefinition) -> Passes:
    steps, targets = definition.steps or _AUTOATTACK_STEPS, _AUTOATTACK_TARGETS
    ascents = Passes(forward=2, gradients=steps + 1)
    lines = Passes(forward=steps + 4, gradients=steps)
    parts = {
        "apgd-ce": ascents.times(_AUTOATTACK_RESTARTS),
        "apgd-dlr": ascents.times(_AUTOATTACK_RESTARTS),
        "apgd-t": ascents.times(targets),
        "fab": lines.times(targets * _AUTOATTACK_RESTARTS),
        "fab-t": lines.times(targets * _AUTOATTACK_RESTARTS),
        "square": Passes(forward=(definition.steps or _SQUARE_QUERIES) + 2),
    }
    if definition.attack in parts:
        return parts[definition.attack] + Passes(forward=2)
    return parts["apgd-ce"] + parts["apgd-t"] + parts["fab-t"] + parts["square"] + Passes(forward=5)
