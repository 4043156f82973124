"""Oracle: comparisons of both forms, made by the functions that judge attacks; their rates are chosen here."""

from __future__ import annotations

import inspect
from dataclasses import asdict

import numpy as np

from pcbench.attacks.checks import verdict as judging
from pcbench.attacks.checks.comparison import compare_rates, too_few_broken
from pcbench.reports.page.evidence import told_comparisons
from pcbench.results.verdicts import ShownVerdict

HALF = "the same attack with half the steps"


def test_each_row_says_whose_rates_stand_on_both_sides() -> None:
    broken = [np.arange(50) < count for count in (30, 33, 50)]
    budget = 16 / 255
    judged = [
        compare_rates("random search with 50 trials", budget, broken[0], broken[0] & False),
        compare_rates(judging.SMOOTHED, budget, broken[0], broken[0]),
        compare_rates(HALF, budget, broken[1], broken[0]),
        too_few_broken(judging.WIDEST, 1.0, broken[2], judging.ALLOWED_STANDING),
        compare_rates("transfer from t = 1", budget, broken[0], broken[0]),
    ]
    shown = [compare_rates("FGSM", budget, broken[0], broken[0])]
    assert f'"{HALF}"' in inspect.getsource(judging)  # its rates are those of the attack with twice the steps
    made = {"timestep": 0, "verdict": "consistent", "reasons": [], "attack": "pgd", "norm": "linf"}
    made |= {"comparisons": [asdict(one) for one in judged], "shown": [asdict(one) for one in shown]}
    rows = told_comparisons([ShownVerdict.model_validate(made)])
    assert [(row.attack, row.against, row.budget, row.other, row.judged) for row in rows] == [
        ("PGD", "random search with 50 trials", "16/255", "0.0", True),
        ("PGD", "PGD with gradients averaged over noise", "16/255", "60.0", True),
        ("PGD with twice the steps", "PGD as it is", "16/255", "60.0", True),
        ("PGD, at the widest ε", "what any sound attack breaks there", "255/255", "≥ 98.0", True),
        ("PGD", "images made against t = 1", "16/255", "60.0", True),
        ("PGD", "FGSM", "16/255", "60.0", False),
    ]
    # One attack has one rate on the same images; another rate stands at another attack.
    assert {(row.attack, row.rate) for row in rows} == {
        ("PGD", 0.6),
        ("PGD with twice the steps", 0.66),
        ("PGD, at the widest ε", 1.0),
    }
