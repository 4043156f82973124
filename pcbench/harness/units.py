"""Which units of work a run consists of, in the order in which they are begun."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pcbench.attacks.checks.cheap import CHEAP, CHEAP_IMAGES
from pcbench.attacks.checks.evidence import evidence_kinds, has_judged_attack, judged_attack
from pcbench.attacks.checks.plain_pgd import cheap_subject
from pcbench.attacks.definitions import AttackDefinition, AttackSuite
from pcbench.corruptions.definitions import CorruptionDefinition, CorruptionSuite
from pcbench.corruptions.input_noise import input_noise_level
from pcbench.harness import costs
from pcbench.harness.blocks import Block, Unit, cut
from pcbench.harness.context import CHECKED_IMAGES, image_list
from pcbench.harness.digests import Digests
from pcbench.harness.suites import MeasuredSuite
from pcbench.harness.work.pictures import SHOWN_CORRUPTIONS, ends
from pcbench.results.conditions import Condition
from pcbench.results.run_spec import RunSpec, Settings
from pcbench.results.saved_suite import SavedSuite

_Blocks = Sequence[Block]


class _Planner:
    """What determines how the units of a run are cut."""

    def __init__(self, spec: RunSpec, digests: Digests) -> None:
        self.settings: Settings = spec.settings
        self.times = spec.settings.timesteps + 1
        self.each = costs.forward_passes(self.times)
        self.sweeps = costs.SweepCost(spec.settings.plain_sweep, spec.settings.bracketing)
        self._digests = digests
        self._block_size = spec.settings.block_size or 1
        self._cut: dict[tuple[str, ...], _Blocks] = {}

    def attacked(self, attack: AttackDefinition) -> tuple[int | None, ...]:
        """Return the timesteps that an attack is made against; None stands for all at once."""
        return self.settings.attacked if attack.over_timesteps is None else (None,)

    def blocks(self, suite: MeasuredSuite, condition: Condition, work: str) -> _Blocks:
        """Return the blocks of a kind of work on a condition; conditions of the same images share them."""
        read = (condition.path,) if suite.published is not None and condition.kind != "clean" else ()
        key = (suite.name, work, *read)
        if key not in self._cut:
            images = image_list(work, suite)
            self._cut[key] = list(cut(self._digests.of_condition(suite, condition, images), self._block_size))
        return self._cut[key]

    def units(self, suite: MeasuredSuite, condition: Condition, work: str, passes: costs.Passes) -> Iterator[Unit]:
        for block in self.blocks(suite, condition, work):
            yield Unit(work, condition, block, passes)


def units_of(spec: RunSpec, suites: Sequence[MeasuredSuite], digests: Digests, *, predictive: bool) -> Iterator[Unit]:
    """Yield all units of a run.

    Args:
        spec: What is run.
        suites: Its suites with their images.
        digests: The hashes of these.
        predictive: Whether the network has representations that can be watched.
    """
    planner = _Planner(spec, digests)
    if predictive and planner.times > 1:
        yield from planner.units(suites[0], _of_first(suites, "growth"), "growth", planner.each)
    if planner.settings.precision != "float32":
        cost = planner.each.times(2)
        yield from planner.units(suites[0], _of_first(suites, "precision"), "precision", cost)
    for suite in suites:
        if isinstance(suite.definition, AttackSuite):
            yield from _attacks(planner, suite, suite.definition)
        elif isinstance(suite.definition, CorruptionSuite):
            yield from _corruptions(planner, suite, suite.definition)
        elif isinstance(suite.definition, SavedSuite):
            yield from _saved(planner, suite, suite.definition)
    for suite in suites if spec.settings.checks else ():
        if isinstance(suite.definition, AttackSuite):
            yield from _evidence(planner, suite, suite.definition)
    yield from _pictures(planner, suites)


def question(spec: RunSpec, suites: Sequence[MeasuredSuite], digests: Digests) -> Unit:
    """Return the unit that asks a network of the user's own about a few images."""
    planner = _Planner(spec, digests)
    return next(planner.units(suites[0], _of_first(suites, "answers"), "answers", planner.each))


def can_be_checked(suite: MeasuredSuite) -> bool:
    """Return whether a suite has an attack whose gradients can be judged."""
    if not isinstance(suite.definition, AttackSuite):
        return False
    return has_judged_attack(suite.definition.attacks)


def attack_condition(
    suite: AttackSuite, definition: AttackDefinition, gradient: str, timestep: int | None
) -> Condition:
    """Return the condition of an attack on one timestep, or on all at once where `timestep` is None."""
    return Condition(
        suite.name,
        "attack",
        definition.name,
        norm=definition.norm,
        targeted=definition.targeted,
        gradient=gradient if definition.white_box else None,
        attacked_timestep=timestep,
    )


def _of_first(suites: Sequence[MeasuredSuite], name: str) -> Condition:
    return Condition(suites[0].name, "clean", name)


def _clean(planner: _Planner, suite: MeasuredSuite) -> Iterator[Unit]:
    yield from planner.units(suite, Condition(suite.name, "clean", "clean"), "scores", planner.each)


def _corruptions(planner: _Planner, suite: MeasuredSuite, definition: CorruptionSuite) -> Iterator[Unit]:
    yield from _clean(planner, suite)
    for corruption in definition.corruptions:
        measured = corruption.measured(planner.settings.severities)
        if definition.applied_to == "representations":
            cost = planner.each.times(len(measured) + 1)
            yield from planner.units(suite, Condition(suite.name, "noise", corruption.name), "representations", cost)
            continue
        for severity in measured:
            condition = _corruption_condition(definition, corruption, severity)
            yield from planner.units(suite, condition, "scores", planner.each)


def _corruption_condition(suite: CorruptionSuite, corruption: CorruptionDefinition, severity: int) -> Condition:
    if suite.applied_to == "pixels":
        return Condition(suite.name, "corruption", corruption.name, severity=severity)
    level = input_noise_level(corruption, severity)
    return Condition(suite.name, "noise", corruption.name, severity=severity, epsilon=level)


def _attacks(planner: _Planner, suite: MeasuredSuite, definition: AttackSuite) -> Iterator[Unit]:
    clean = list(_clean(planner, suite))
    yield from clean
    for attack in definition.attacks:
        times = planner.attacked(attack)
        budgets = costs.budgets(planner.settings.epsilons or attack.epsilons)
        for timestep in times:
            condition = attack_condition(definition, attack, planner.settings.gradient, timestep)
            cost = planner.sweeps.passes(attack, planner.times if timestep is None else timestep + 1, budgets)
            if timestep is not None and planner.settings.attacked_timesteps is not None:
                cost += planner.each.times(budgets + 1)
            blocks = planner.blocks(suite, condition, "attacks")
            few = timestep is not None and _is_transferred(planner, definition, attack)
            for block, first in zip(blocks, clean, strict=True):
                here = cost
                if few and block.start < CHECKED_IMAGES:
                    scored = costs.transferred_passes(attack, planner.times, budgets)
                    here += scored.times(min(1.0, CHEAP_IMAGES / len(block)))
                # The clean part of the same block says which images a rule keeps.
                after = (first.path,) if suite.rule is not None else ()
                yield Unit("attacks", condition, block, here, after)


def _is_transferred(planner: _Planner, suite: AttackSuite, attack: AttackDefinition) -> bool:
    """Return whether the images of an attack's sweep are scored at all timesteps, for the cheap checks."""
    if planner.settings.checks != CHEAP or planner.times == 1:
        return False
    return has_judged_attack(suite.attacks) and judged_attack(suite.attacks).name == attack.name


def _saved(planner: _Planner, suite: MeasuredSuite, definition: SavedSuite) -> Iterator[Unit]:
    yield from _clean(planner, suite)
    for condition, epsilons in definition.attacks:
        yield from planner.units(suite, condition, "saved", planner.each.times(len(epsilons) + 1))


def _evidence(planner: _Planner, suite: MeasuredSuite, definition: AttackSuite) -> Iterator[Unit]:
    """Yield the units whose rows the verdicts on a suite's gradients are made of.

    The budget that they look at is read from a sweep of the suite's own, so they come after it. A suite that has no
    attack that can be judged in full has the cheap form.
    """
    subject, gradient = cheap_subject(definition.attacks), planner.settings.gradient
    sweeps = _first_sweeps(planner, suite, definition, subject.swept)
    cheap = planner.settings.checks == CHEAP or not subject.is_own
    for timestep in planner.settings.attacked:
        condition = attack_condition(definition, subject.judged, gradient, timestep)
        for kind in [CHEAP] if cheap else evidence_kinds(definition.attacks, timestep):
            cost = costs.evidence_passes(kind, definition.attacks, timestep, planner.times)
            for block in planner.blocks(suite, condition, "evidence"):
                # The cheap form looks at the first images that are attacked, wherever in the first blocks they are.
                here = cost.times(min(1.0, CHEAP_IMAGES / len(block))) if cheap else cost
                yield Unit("evidence", condition, block, here, sweeps, kind)


def _pictures(planner: _Planner, suites: Sequence[MeasuredSuite]) -> Iterator[Unit]:
    """Yield the units that make example pictures, after the sweeps from which they read the budget that is shown."""
    sweeps = [
        path
        for suite in suites
        if isinstance(suite.definition, AttackSuite) and can_be_checked(suite)
        for path in _first_sweeps(planner, suite, suite.definition, judged_attack(suite.definition.attacks))
    ]
    condition, cost = _of_first(suites, "pictures"), _picture_passes(planner, suites)
    for block in planner.blocks(suites[0], condition, "pictures"):
        yield Unit("pictures", condition, block, cost, tuple(sweeps))


def _picture_passes(planner: _Planner, suites: Sequence[MeasuredSuite]) -> costs.Passes:
    """Return what the pictures of one image cost at most: clean, corrupted, adversarial and reconstructed ones."""
    found = planner.each.times(2)
    for suite in suites:
        if isinstance(suite.definition, CorruptionSuite):
            found += planner.each.times(len(SHOWN_CORRUPTIONS))
        elif isinstance(suite.definition, AttackSuite) and can_be_checked(suite):
            attack = judged_attack(suite.definition.attacks)
            for timestep in ends(planner.settings.attacked):
                found += costs.SweepCost().passes(attack, timestep + 1, 1) + planner.each
    return found


def _first_sweeps(
    planner: _Planner, suite: MeasuredSuite, definition: AttackSuite, attack: AttackDefinition
) -> tuple[str, ...]:
    """Return the paths of the sweeps of an attack of a suite: of the blocks that hold the first images.

    The budget that is judged and shown is read from them; they hold as many images as the checks look at.
    """
    gradient = planner.settings.gradient
    return tuple(
        unit.path
        for timestep in planner.attacked(attack)
        for unit in planner.units(
            suite, attack_condition(definition, attack, gradient, timestep), "attacks", costs.Passes()
        )
        if unit.block.start < CHECKED_IMAGES
    )
