"""What a run's numbers say about gradients that an attack could not follow: warnings beside the numbers.

The tables count them always, whether checks were asked for or not.
"""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from pcbench.metrics.attack_rows import LOST_GRADIENTS
from pcbench.norms import epsilon_text
from pcbench.results.conditions import RETRIED

BOUND = 0.01
"""The share of the attacked images above which a warning is given."""
_WORDS = {"zero_gradient": "zero", "nonfinite_gradient": "not finite"}


def lost_gradient_warnings(metrics: pd.DataFrame) -> list[str]:
    """Return one sentence for each attack of a run that had too few gradients to follow, and for logits not finite.

    Args:
        metrics: The tidy table of one run.
    """
    return [*_of_gradients(metrics), *_of_logits(metrics)]


def lost_gradient_reasons(metrics: pd.DataFrame, suite: str, timestep: int | None = None) -> list[str]:
    """Return why the gradients of a suite's attacks are suspicious, in short clauses; the largest share first.

    Args:
        metrics: The tidy table of one run.
        suite: The suite's name.
        timestep: Attacks on this timestep alone, and on all at once; None for all.
    """
    rows = _above(metrics[metrics["suite"] == suite])
    if timestep is not None:
        attacked = rows["attacked_timestep"]
        rows = rows[attacked.isna() | (attacked == timestep)]
    rows = rows.sort_values("value", ascending=False, kind="stable").drop_duplicates("metric")
    return [f"{row['name']}'s gradient is {_told(row)}" for _, row in rows.iterrows()]


def _of_gradients(metrics: pd.DataFrame) -> Iterator[str]:
    rows = _above(metrics).sort_values("value", ascending=False, kind="stable")
    for _, row in rows.drop_duplicates(["suite", "name"]).iterrows():
        suite, name = str(row["suite"]), str(row["name"])
        if name.endswith(RETRIED):
            continue
        at = epsilon_text(float(row["epsilon"]), None if pd.isna(row["norm"]) else str(row["norm"]))
        against = "all t" if pd.isna(row["attacked_timestep"]) else f"t = {int(row['attacked_timestep'])}"
        yield (
            f"WARNING: {suite}: {name}'s gradient is {_told(row)} at ε = {at} ({against}), so its numbers say little: "
            f"these images were attacked again, see the row {name}{RETRIED}, which counts in the worst case"
        )


def _of_logits(metrics: pd.DataFrame) -> Iterator[str]:
    rows = metrics[metrics["metric"] == "nonfinite_logits"].sort_values("value", ascending=False, kind="stable")
    for _, row in rows.drop_duplicates("suite").iterrows():
        images = round(float(row["value"]) * int(row["n"]))
        severity = "" if pd.isna(row["severity"]) else f" {int(row['severity'])}"
        budget = ""
        if not pd.isna(row["epsilon"]):
            budget = f", ε = {epsilon_text(float(row['epsilon']), None if pd.isna(row['norm']) else str(row['norm']))}"
        yield (
            f"WARNING: {row['suite']}: the network gives logits that are not finite for {images} of {int(row['n'])} "
            f"images ({row['name']}{severity}{budget}, t = {int(row['timestep'])}): they count as not correct"
        )


def _above(metrics: pd.DataFrame) -> pd.DataFrame:
    lost = metrics["metric"].isin(list(LOST_GRADIENTS.values())) & (metrics["value"] > BOUND)
    return metrics[lost]


def _told(row: pd.Series) -> str:
    images = round(float(row["value"]) * int(row["n"]))
    return f"{_WORDS[str(row['metric'])]} on {images} of {int(row['n'])} attacked images"
