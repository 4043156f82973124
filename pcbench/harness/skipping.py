"""How many attacks a run skipped as out of reach, and what the spot checks of them found."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from pcbench.attacks.worst_case import NAME as WORST_CASE
from pcbench.metrics.rates import CONFIDENCE
from pcbench.metrics.shown import own_outcomes
from pcbench.percent import percent
from pcbench.results.schema import read_outcomes

_COLUMNS = [
    "kind",
    "name",
    "attacked_timestep",
    "timestep",
    "epsilon",
    "correct",
    "attacked",
    "spot_checked",
    "success",
    "success_within",
]


@dataclasses.dataclass(frozen=True)
class SkippedAttacks:
    """Attacks on an image at an ε that were skipped because a larger ε had left it far from broken."""

    skipped: int
    """How many were skipped."""
    spot_checked: int
    """How many of the same kind were run anyway, chosen by seed."""
    broken: int
    """How many of these broke their image, which was not expected."""

    @property
    def largest_share(self) -> float:
        """The largest share of the skipped attacks that could have succeeded, if no spot check did (95 % confidence).

        The upper end of the exact binomial interval for no success: 1 - 0.05^(1/n).
        """
        return 1 - (1 - CONFIDENCE) ** (1 / self.spot_checked) if self.spot_checked else 1.0

    @property
    def sentence(self) -> str | None:
        """One sentence on this for the reader; None if no attack was skipped or spot-checked."""
        if not self.skipped and not self.spot_checked:
            return None
        asked = (
            f"{self.skipped:,} attacks at budgets far out of reach were skipped, "
            f"{self.spot_checked:,} of the same kind were spot-checked"
        )
        if self.broken:
            return f"{asked}: {self.broken:,} broke, so in their batches no attack was skipped"
        if not self.spot_checked:
            return f"{asked}: how many of them would have succeeded is not known; --no-bracketing runs them"
        return (
            f"{asked}: none broke, so at most {percent(self.largest_share, 2)} % of them would have (95 % confidence)"
        )


def count_skipped(outcomes: Path) -> SkippedAttacks:
    """Count what the sweeps of a run skipped, from its folder of outcomes."""
    counts = np.zeros(3, dtype=np.int64)
    for path in sorted(outcomes.rglob("*.parquet")):
        table = read_outcomes(path, _COLUMNS)
        if "attack" not in table.column("kind").unique().to_pylist():
            continue
        rows = own_outcomes(table).to_pandas()
        rows = rows[(rows["kind"] == "attack") & (rows["name"] != WORST_CASE) & (rows["epsilon"] > 0)]
        if len(rows):
            attacked, spot_checked = (rows[name].fillna(False).astype(bool) for name in ("attacked", "spot_checked"))
            broken, within = (rows[name].fillna(False).astype(bool) for name in ("success", "success_within"))
            skipped = rows["correct"] & ~attacked & ~within & rows["success_within"].notna()
            counts += [int(skipped.sum()), int(spot_checked.sum()), int((spot_checked & broken).sum())]
    return SkippedAttacks(*(int(count) for count in counts))
