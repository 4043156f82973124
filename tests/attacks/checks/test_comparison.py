"""Oracles: binomial tails written out by hand, and Holm's rule on a textbook case."""

from __future__ import annotations

import numpy as np

from pcbench.attacks.checks.comparison import Comparison, compare_rates, significant, too_few_broken


def test_the_paired_test_is_the_binomial_tail_over_the_images_that_differ() -> None:
    judged = np.array([True, True, False, False, False, False])
    rival = np.array([True, False, True, True, True, False])
    found = compare_rates("rival", 0.1, judged, rival)
    assert (found.rival_only, found.judged_only, found.n) == (3, 1, 6)
    assert found.p_value == (4 + 1) / 16
    assert (found.judged_rate, found.rival_rate) == (2 / 6, 4 / 6)
    assert compare_rates("rival", 0.1, judged, judged).p_value == 1


def test_too_few_broken_is_the_binomial_tail_of_the_allowed_share() -> None:
    broken = np.array([True, True, False])
    np.testing.assert_allclose(too_few_broken("all", 1.0, broken, 0.1).p_value, 1 - 0.9**3)
    assert too_few_broken("all", 1.0, np.ones(50, dtype=bool), 0.1).p_value == 1


def test_holm_stops_at_the_first_that_fails() -> None:
    def named(name: str, p_value: float) -> Comparison:
        return Comparison(name, 0.1, 10, 0.0, 0.0, 0, 0, p_value)

    values = [named("c", 0.03), named("a", 0.005), named("d", 0.04), named("b", 0.0166)]
    assert [one.sign for one in significant(values, 0.05)] == ["a", "b"]
    assert significant([named("a", 0.02), named("b", 0.03)], 0.03) == []
