"""Oracle: made-up images that break at a known budget, and the list of all budgets up to it."""

from __future__ import annotations

import numpy as np
import pytest

from pcbench.attacks.schedule import Ascending, Bracketing, BudgetSchedule, Pair

EPSILONS = (0.0, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 16.0)


def search(
    schedule: BudgetSchedule, radii: list[float], margins: dict[Pair, float] | None = None
) -> tuple[list[float], set[Pair]]:
    """Answer for images whose margin falls linearly to 0 at their radius; return what was found, and what was asked."""
    smallest, asked = [np.inf] * len(radii), set[Pair]()
    queue = schedule.start(range(len(radii)))
    while queue:
        pair = queue.pop(0)
        assert pair not in asked
        asked.add(pair)
        budget, index = pair
        margin = (margins or {}).get(pair, 1 - EPSILONS[budget] / radii[index])
        if margin <= 0:
            smallest[index] = min(smallest[index], EPSILONS[budget])
        queue += schedule.after(pair, None if margin <= 0 else margin)
        queue = queue or schedule.last()
    return smallest, asked


def bracketing(radii: list[float], *, guess: float = 1.0, spot_checked: float = 1.0) -> Bracketing:
    """`spot_checked` is what every pair draws: 1 means no spot check, 0 means all of them."""
    return Bracketing(EPSILONS, np.array(radii) * guess, np.ones(len(radii)), lambda _: spot_checked)


RADII = [0.3, 1.0, 1.5, 2.5, 5.0, 7.0, 12.0, 15.9, 16.1, 100.0]


@pytest.mark.parametrize("guess", [0.01, 0.3, 1.0, 3.0, 100.0, np.inf])
def test_the_smallest_budget_is_found_from_any_guess(guess: float) -> None:
    found, asked = search(bracketing(RADII, guess=guess), RADII)
    every, all_asked = search(Ascending(len(EPSILONS), plain=False), RADII)
    assert found == every
    assert len(asked) < len(all_asked) + 10
    if guess == 1.0:
        assert len(asked) < 0.75 * len(all_asked)


def test_plain_asks_everything() -> None:
    _, asked = search(Ascending(len(EPSILONS), plain=True), RADII)
    assert len(asked) == len(RADII) * len(EPSILONS)


def test_a_spot_check_that_finds_a_hidden_success_brings_all_of_them_back() -> None:
    hidden = {(2, 9): -1.0}  # broken at epsilon 2, though the attack fails by far at 16
    blind, _ = search(bracketing(RADII), RADII, hidden)
    assert blind[9] == np.inf
    found, asked = search(bracketing(RADII, spot_checked=0.0), RADII, hidden)
    assert found[9] == 2.0
    assert found[:9] == search(Ascending(len(EPSILONS), plain=False), RADII)[0][:9]

    class OneSpotCheck(Bracketing):
        SPOT_CHECKED_SHARE = 0.5

    schedule = OneSpotCheck(EPSILONS, np.array(RADII), np.ones(len(RADII)), lambda pair: 0.0 if pair == (2, 9) else 0.9)
    found, asked = search(schedule, RADII, {**hidden, (1, 8): -1.0})
    assert found[9] == 2.0
    assert found[8] == 1.0
    assert {(budget, 7) for budget in range(1, 7)} <= asked


def test_an_attack_that_makes_the_model_surer_skips_nothing() -> None:
    surer = {(budget, 0): 1.5 for budget in range(1, 8)}
    _, asked = search(bracketing([100.0]), [100.0], surer)
    assert len(asked) == len(EPSILONS)


def test_the_spot_checks_take_their_share() -> None:
    draws = np.random.default_rng(0).random((8, 500))
    many = [100.0] * 500
    schedule = Bracketing(EPSILONS, np.array(many), np.ones(500), lambda pair: float(draws[pair]))
    _, asked = search(schedule, many)
    spot_checked = sum(budget < 7 for budget, _ in asked) - 500
    assert 0.07 < spot_checked / (500 * 6) < 0.13
