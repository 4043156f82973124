"""Oracle: unions written out by hand."""

from __future__ import annotations

import pandas as pd
import pytest

from pcbench.attacks.worst_case import worst_case
from pcbench.errors import DataError

RULES = {
    "suite": "s",
    "kind": "attack",
    "norm": "linf",
    "targeted": False,
    "gradient": "exact",
    "attacked_timestep": 0,
    "timestep": 0,
}


def rows(name: str, epsilon: float, **broken: bool | None) -> list[dict[str, object]]:
    """One row per image; True is broken within epsilon, None is wrong from the start."""
    return [
        {
            **RULES,
            "name": name,
            "epsilon": epsilon,
            "image_id": image_id,
            "prediction": hash((name, epsilon)) % 7 if within else 0,
            "correct": within is False,
            "attacked": within is not None,
            "spot_checked": False,
            "success": within,
            "success_within": within,
            "smallest_broken_epsilon": epsilon if within else float("nan"),
            "queries": 10,
        }
        for image_id, within in broken.items()
    ]


def table(*groups: list[dict[str, object]]) -> pd.DataFrame:
    frame = pd.DataFrame([row for group in groups for row in group])
    return frame.astype({"success": "boolean", "success_within": "boolean"})


def test_an_image_is_broken_where_any_attack_breaks_it() -> None:
    joined = worst_case(
        table(
            rows("bim", 0.0, a=False, b=False, c=None),
            rows("bim", 0.1, a=True, b=False, c=None),
            rows("pgd", 0.0, a=False, b=False, c=None),
            rows("pgd", 0.1, a=False, b=True, c=None),
        )
    )
    assert set(joined["name"]) == {"worst_case"}
    last = joined[joined["epsilon"] == 0.1].set_index("image_id")
    assert last["success_within"].tolist()[:2] == [True, True]
    assert pd.isna(last.loc["c", "success_within"])
    assert last["correct"].tolist() == [False, False, False]
    assert last.loc["a", "prediction"] == hash(("bim", 0.1)) % 7
    assert last.loc["b", "prediction"] == hash(("pgd", 0.1)) % 7
    assert last["queries"].tolist() == [20, 20, 20]
    assert last["smallest_broken_epsilon"].tolist()[:2] == [0.1, 0.1]
    assert pd.isna(last.loc["c", "smallest_broken_epsilon"])
    first = joined[joined["epsilon"] == 0.0].set_index("image_id")
    assert first.loc["a", "success_within"] == False  # noqa: E712 - a nullable boolean


def test_an_attack_counts_only_from_the_budget_on_at_which_it_breaks_the_image() -> None:
    groups = [rows("bim", 0.1 * step, a=False) for step in range(3)]
    groups += [rows("pgd", 0.1 * step, a=step == 2) for step in range(3)]
    outcomes = table(*groups)
    outcomes["prediction"] = [1, 1, 1, 2, 2, 3]  # bim's at each budget, then pgd's
    joined = worst_case(outcomes).set_index("epsilon").sort_index()
    assert joined["prediction"].tolist() == [1, 1, 3]
    assert joined["success_within"].tolist() == [False, False, True]


def test_each_attack_keeps_its_own_budgets() -> None:
    joined = worst_case(
        table(
            rows("bim", 0.0, a=False),
            rows("bim", 0.1, a=True),
            rows("pgd", 0.0, a=False),
            rows("pgd", 0.05, a=False),
            rows("pgd", 0.2, a=False),
        )
    ).sort_values("epsilon")
    assert joined["epsilon"].tolist() == [0.0, 0.05, 0.1, 0.2]
    assert joined["success_within"].tolist() == [False, False, True, True]
    assert joined["correct"].tolist() == [True, True, False, False]
    assert joined["success"].tolist() == [False, False, True, False]
    assert joined["queries"].tolist() == [20, 10, 10, 10]


def test_a_suite_of_one_attack_has_no_worst_case() -> None:
    assert worst_case(table(rows("bim", 0.0, a=False))).empty


def test_different_images_cannot_be_joined() -> None:
    with pytest.raises(DataError, match="same images"):
        worst_case(table(rows("bim", 0.0, a=False), rows("pgd", 0.0, b=False)))


def test_an_attack_without_gradients_is_joined_with_those_that_use_them() -> None:
    followed, asked = rows("pgd", 0.1, a=False, b=True), rows("square", 0.1, a=True, b=False)
    joined = worst_case(table(followed, [row | {"gradient": None} for row in asked]))
    assert joined.set_index("image_id")["success_within"].tolist() == [True, True]
    assert set(joined["gradient"]) == {"exact"}
