"""Oracle: the suites' definitions: which norm each attack has, and whether it uses gradients."""

from __future__ import annotations

import pandas as pd
import pytest

from pcbench.cli.run_table import attack_columns
from pcbench.errors import UsageError
from pcbench.harness.plan import Plan, make_plan
from pcbench.harness.request import request_from
from pcbench.reports.page.content import threats


def plan(*suites: str, **options: object) -> Plan:
    return make_plan(request_from({"suites": suites, "images": 4, "timesteps": 0, **options}))


def test_budgets_are_read_by_the_norms_of_the_suites() -> None:
    assert plan("l2", epsilons=("4", 2, "128/255")).spec.settings.epsilons == (128 / 255, 2, 4)
    with pytest.raises(UsageError, match=r"did you mean 2/255\?"):
        plan("linf", epsilons=("2",))
    with pytest.raises(UsageError, match=r"L∞ is at most 1"):
        plan("l2", "linf", epsilons=("2",))
    with pytest.raises(UsageError, match=r"did you mean 128/255\?"):
        plan("l2", epsilons=("128",))


def test_what_cannot_be_meant_is_said_before_a_model_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pcbench.harness.plan.model_facts", None)
    for options, says in (
        ({"epsilons": 8}, r"did you mean 8/255\?"),
        ({"timesteps": 100_000}, "`timesteps` is a whole number from 0 to 1000"),
        ({"device": "meta"}, "there is no meta device here"),
        ({"model": 3}, "a model is a name or a torch.nn.Module"),
    ):
        with pytest.raises(UsageError, match=says):
            plan("linf", **options)


def test_options_that_no_suite_uses_are_refused() -> None:
    # Oracle: the definitions: digits-c corrupts, linf attacks, and the default of a data set does both.
    for suite, options in (
        ("digits-c", {"epsilons": "8/255"}),
        ("digits-c", {"plain_sweep": True}),
        ("digits-c", {"save_adversarials": True}),
        ("linf", {"jpeg_quality": 85}),
        ("linf", {"corrupted": "anywhere"}),
    ):
        (name,) = options
        with pytest.raises(UsageError, match=f"`{name}` is about .*; leave `{name}` out"):
            plan(suite, **options)
    assert plan("digits-c", "digits-linf", epsilons="8/255").spec.settings.epsilons == (8 / 255,)
    assert plan(epsilons="8/255", jpeg_quality=85).spec.settings.jpeg_quality == 85


def test_an_attack_that_uses_no_gradient_has_none() -> None:
    units = plan("blackbox", "linf", gradient="stop_error").units
    found = {(unit.condition.name, unit.condition.gradient) for unit in units if unit.work == "attacks"}
    assert found == {
        ("hop_skip_jump", None),
        ("square", None),
        ("bim", "stop_error"),
        ("fgsm", "stop_error"),
        ("pgd", "stop_error"),
    }


ROW = {"suite": "s", "kind": "attack", "name": "square", "norm": "l2", "targeted": False, "attacked_timestep": 0}
RATE = {"metric": "attack_success_rate_within", "timestep": 0}
METRICS = pd.DataFrame(
    [
        {**ROW, **RATE, "epsilon": 0.5, "value": 0.1},
        {**ROW, **RATE, "epsilon": 4.0, "value": 0.5},
        {**ROW, "metric": "robust_accuracy", "timestep": 0, "epsilon": 4.0, "value": 0.4},
        {**ROW, "metric": "median_distance", "timestep": 0, "epsilon": None, "value": 3.0},
    ]
).assign(gradient=None)


def test_the_terminal_prints_an_l2_budget_as_a_decimal() -> None:
    assert list(attack_columns(METRICS)) == ["clean accuracy", "square ε=4"]


def test_the_page_calls_an_attack_without_gradients_black_box() -> None:
    assert threats(METRICS) == ["s, square: black-box, untargeted, L2, ε = 0.5, 4"]
