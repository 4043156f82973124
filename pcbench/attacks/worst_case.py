"""The union over the attacks of a suite: an image is broken where any of them breaks it.

Source: the union of attacks by which AutoAttack reports robust accuracy, Croce and Hein, ICML 2020, arXiv 2003.01690.
"""

from __future__ import annotations

from collections.abc import Hashable

import numpy as np
import pandas as pd

from pcbench.errors import DataError

NAME = "worst_case"
# Rows with equal values here describe the same images under the same rules.
_RULES = ["suite", "norm", "targeted", "gradient", "attacked_timestep", "timestep"]
_STEPS = ["first_step_gradient", "later_step_gradient"]
_FLAGS = ["attacked", "spot_checked", "success", "success_within"]


def worst_case(outcomes: pd.DataFrame) -> pd.DataFrame:
    """Join the attacks of a suite into one, image by image.

    Attacks may have different lists of budgets; at each budget of any of them an attack counts with its result at
    its largest budget that is not above.

    Args:
        outcomes: Rows of kind ``"attack"`` of one or more suites, in the columns of `pcbench.results.schema`.

    Returns:
        Rows named ``"worst_case"`` in the same columns: `prediction`, `confidence` and the norms are those of the
        attack that broke the image at the smallest budget (the first attack's where none did), `queries` the sum,
        `attacked` and `success` whether any attack ran on the image, and reached its goal, at exactly this budget.
        None where a suite has a single attack.

    Raises:
        DataError: The attacks were not run on the same images.
    """
    attacks = outcomes[outcomes["kind"] == "attack"]
    modes = attacks["gradient"].dropna().unique()
    if len(modes) == 1:  # an attack that uses no gradient is joined with those that do
        attacks = attacks.assign(gradient=modes[0])
    parts = [
        _join(group)
        for _, group in attacks.groupby(_RULES, dropna=False, observed=True, sort=True)
        if group["name"].nunique() > 1
    ]
    return pd.concat(parts, ignore_index=True)[list(outcomes.columns)] if parts else outcomes.iloc[:0]


def _join(group: pd.DataFrame) -> pd.DataFrame:
    epsilons = sorted(float(epsilon) for epsilon in group["epsilon"].unique())
    carried = [_carry(part, epsilons, name) for name, part in group.groupby("name", observed=True, sort=True)]
    if len({frozenset(part["image_id"]) for part in carried}) > 1:
        raise DataError("a worst case needs all attacks of the suite on the same images; run them together")
    rows = pd.concat(carried, ignore_index=True)
    rows[_FLAGS] = rows[_FLAGS].astype("boolean")  # as objects, they would be compared one by one
    # A stable sort: among attacks that broke the image at the same budget, the first by name counts.
    rows = rows.sort_values(["epsilon", "image_id", "_first"], kind="stable", na_position="last")
    keys = ["epsilon", "image_id"]
    joined = rows.drop_duplicates(keys).set_index(keys)
    grouped = rows.groupby(keys, sort=False)
    joined[_FLAGS] = grouped[_FLAGS].max()
    joined["queries"] = grouped["queries"].sum()
    joined["name"] = NAME
    joined[_STEPS] = None  # what one attack found at its steps is not said of all
    joined = joined.reset_index().drop(columns="_first")
    smallest = rows.groupby("image_id", observed=True)["smallest_broken_epsilon"].min()
    joined["smallest_broken_epsilon"] = joined["image_id"].map(smallest.to_dict()).astype(float)
    return joined


def _carry(part: pd.DataFrame, epsilons: list[float], name: Hashable) -> pd.DataFrame:
    """Return the attack's rows at every budget; one it was not run at repeats the largest below, unattacked."""
    own = sorted(float(epsilon) for epsilon in part["epsilon"].unique())
    if not own or own[0] > epsilons[0]:
        raise DataError(f"{name}: no row at the smallest epsilon; a sweep starts at 0")
    broken = part[part["success_within"].fillna(False).astype(bool)]
    first = broken.groupby("image_id", observed=True)["epsilon"].min()
    sources = [max(step for step in own if step <= epsilon) for epsilon in epsilons]
    held = part["epsilon"].to_numpy()
    indices = [np.flatnonzero(held == source) for source in sources]
    piece = part.iloc[np.concatenate(indices)].reset_index(drop=True)
    piece["epsilon"] = np.repeat(epsilons, [len(rows) for rows in indices])
    carried = (piece["epsilon"] != np.concatenate([held[rows] for rows in indices])).to_numpy()
    if carried.any():
        piece["queries"] = piece["queries"].where(~carried, 0)
        for column in ("attacked", "spot_checked"):
            piece[column] = piece[column].where(~carried, other=False)
        piece["success"] = piece["success"].where(~carried)
    # Broken later is not broken yet: such an attack must not count for the image at this budget.
    reached = piece["image_id"].map(first).astype(float)
    piece["_first"] = reached.where(reached <= piece["epsilon"])
    return piece
