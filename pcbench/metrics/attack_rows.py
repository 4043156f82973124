"""The rows of attacks: success at exactly ε, within ε, over common images, and robust accuracy."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterator

import numpy as np

from pcbench.metrics.attack import (
    attack_success_rate,
    attack_success_rate_common,
    attack_success_rate_within,
    median_distance,
    robust_accuracy,
)
from pcbench.metrics.cells import Cell, CellOutcomes, SuiteOutcomes
from pcbench.metrics.paired import paired_rate_change
from pcbench.metrics.rates import Booleans, rate
from pcbench.metrics.rows import CHANGE, Row, cell_row, finite_rows
from pcbench.results.columns import GRADIENT_STATES
from pcbench.results.conditions import Condition

LOST_GRADIENTS = {"zero": "zero_gradient", "nonfinite": "nonfinite_gradient"}
"""States of a gradient that an attack cannot follow, and the metrics that count them."""

ANY_ATTACKED = "robust_accuracy_any"
"""The share of images that stand at a timestep whatever timestep an image of the sweep was made against."""

OutcomesByEpsilon = dict[float, tuple[Cell, CellOutcomes]]
"""One attack against one timestep, scored at one timestep: what became of each image, by ε from the smallest."""


def attack_rows(outcomes: SuiteOutcomes) -> Iterator[Row]:
    """Return all rows of a suite's attacks."""
    clean = {cell.timestep: outcomes.answers(cell).correct for cell in outcomes.cells if cell.condition.kind == "clean"}
    compared = _compared_timesteps(outcomes)
    yield from _change_rows(outcomes)
    yield from _any_rows(outcomes)
    yield from _gradient_rows(outcomes)
    for cells in _sweeps(outcomes):
        sweep = {_epsilon(cell): (cell, outcomes.answers(cell)) for cell in sorted(cells, key=_epsilon)}
        timestep = cells[0].timestep
        if cells[0].condition.targeted:
            # Reaching a class is not a measure of how many images stay right; the rate is over images not yet there.
            counted = sweep[min(sweep)][1].counted
            yield from _success_rows(sweep, counted, [])
            continue
        common = [clean[other] for other in compared[_attack(cells[0])]]
        yield from _robust_rows(sweep)
        yield from _success_rows(sweep, clean[timestep], common)
        yield from _distance_rows(sweep, clean[timestep])


def _epsilon(cell: Cell) -> float:
    return cell.condition.epsilon or 0.0


def _attack(cell: Cell) -> Condition:
    """Return what an attack is, apart from its budget and the timestep it is against."""
    return dataclasses.replace(cell.condition, epsilon=None, attacked_timestep=None)


def _sweeps(outcomes: SuiteOutcomes) -> list[list[Cell]]:
    sweeps: defaultdict[Cell, list[Cell]] = defaultdict(list)
    for cell in outcomes.cells:
        if cell.condition.kind == "attack":
            sweeps[dataclasses.replace(cell, condition=dataclasses.replace(cell.condition, epsilon=None))].append(cell)
    return list(sweeps.values())


def _compared_timesteps(outcomes: SuiteOutcomes) -> dict[Condition, list[int]]:
    """Return the timesteps that each attack is scored at."""
    compared: defaultdict[Condition, set[int]] = defaultdict(set)
    for cell in outcomes.cells:
        if cell.condition.kind == "attack":
            compared[_attack(cell)].add(cell.timestep)
    return {attack: sorted(timesteps) for attack, timesteps in compared.items()}


def _robust_rows(sweep: OutcomesByEpsilon) -> Iterator[Row]:
    survived: list[Booleans] = []
    for cell, answers in sweep.values():
        survived.append(answers.correct)
        yield cell_row(cell, "robust_accuracy", robust_accuracy(survived))


def _gradient_rows(outcomes: SuiteOutcomes) -> Iterator[Row]:
    """Return the shares of the attacked images that stand and whose gradient was zero, or not finite, at a step.

    And, where there are such images, the share of all whose logits are not finite.
    """
    for cell in outcomes.cells:
        if cell.condition.kind != "attack":
            continue
        answers = outcomes.answers(cell)
        known = answers.attacked & (answers.gradient >= 0)
        if known.any():
            for state, metric in LOST_GRADIENTS.items():
                lost = ~answers.success & (answers.gradient == GRADIENT_STATES.index(state))
                yield cell_row(cell, metric, rate(lost, known))
        yield from finite_rows(cell, answers)


def _change_rows(outcomes: SuiteOutcomes) -> Iterator[Row]:
    """Return the paired change of robust accuracy since the first timestep, each attacked by itself or all at once."""
    survived: dict[Cell, Booleans] = {}
    for cells in _sweeps(outcomes):
        condition = cells[0].condition
        if not condition.targeted and condition.attacked_timestep in {None, cells[0].timestep}:
            ordered = sorted(cells, key=_epsilon)
            kept = np.logical_and.accumulate([outcomes.answers(cell).correct for cell in ordered])
            survived.update(zip(ordered, kept, strict=True))
    if not survived:
        return
    start = min(cell.timestep for cell in outcomes.cells)
    for cell, standing in survived.items():
        against = None if cell.condition.attacked_timestep is None else start
        before = Cell(dataclasses.replace(cell.condition, attacked_timestep=against), start)
        if cell.timestep > start and before in survived:
            change = paired_rate_change(survived[before], standing)
            yield cell_row(cell, "robust_accuracy" + CHANGE, change)


def _any_rows(outcomes: SuiteOutcomes) -> Iterator[Row]:
    """Return the robust accuracy under all images that an attack made, and its paired change since the first timestep.

    An image stands at a timestep where none of those made of it breaks it there, whichever timestep they were made
    against. There are such rows where the images made against each attacked timestep are scored at every timestep.
    """
    by_attack: defaultdict[Condition, list[list[Cell]]] = defaultdict(list)
    for cells in _sweeps(outcomes):
        if not cells[0].condition.targeted and cells[0].condition.attacked_timestep is not None:
            by_attack[_attack(cells[0])].append(sorted(cells, key=_epsilon))
    for attack, sweeps in by_attack.items():
        made = {cells[0].condition.attacked_timestep for cells in sweeps}
        times = sorted({cells[0].timestep for cells in sweeps})
        if len(sweeps) < len(made) * len(times) or len(made | set(times)) < 2:
            continue
        standing: dict[Cell, Booleans] = {}
        for cells in sweeps:
            kept = np.logical_and.accumulate([outcomes.answers(cell).correct for cell in cells])
            for cell, here in zip(cells, kept, strict=True):
                joint = Cell(dataclasses.replace(attack, epsilon=cell.condition.epsilon), cell.timestep)
                standing[joint] = standing.get(joint, here) & here
        for cell, here in standing.items():
            yield cell_row(cell, ANY_ATTACKED, rate(here))
            before = dataclasses.replace(cell, timestep=times[0])
            if cell.timestep > times[0] == min(one.timestep for one in outcomes.cells):
                yield cell_row(cell, ANY_ATTACKED + CHANGE, paired_rate_change(standing[before], here))


def _distance_rows(sweep: OutcomesByEpsilon, correct_before: Booleans) -> Iterator[Row]:
    """Return the median distance to the adversarial images; none where fewer than half of the images have one."""
    cell, answers = sweep[max(sweep)]
    if not correct_before.any() or np.isnan(answers.perturbation).any():
        return
    distance = np.where(answers.success_within, answers.perturbation, np.inf)[correct_before]
    estimate = median_distance(distance)
    if np.isfinite(estimate.value):
        condition = dataclasses.replace(cell.condition, epsilon=None)
        yield cell_row(Cell(condition, cell.timestep), "median_distance", estimate)


def _success_rows(sweep: OutcomesByEpsilon, correct_before: Booleans, common: list[Booleans]) -> Iterator[Row]:
    """Return rates over images correct before (not at their target); none where there is no such image."""
    if not correct_before.any():
        return
    budgets = [answers for epsilon, (_, answers) in sweep.items() if epsilon > 0]
    plain = all(bool(answers.attacked[correct_before].all()) for answers in budgets)
    shared = bool(common) and bool(np.logical_and.reduce(common).any())
    for cell, answers in sweep.values():
        yield cell_row(
            cell, "attack_success_rate_within", attack_success_rate_within(answers.success_within, correct_before)
        )
        if shared:
            yield cell_row(
                cell, "attack_success_rate_common", attack_success_rate_common(answers.success_within, common)
            )
        if plain and bool(answers.attacked[correct_before].all()):
            estimate = attack_success_rate(answers.success, answers.attacked, correct_before)
            yield cell_row(cell, "attack_success_rate", estimate)
