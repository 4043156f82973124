"""How much of a run's sweeps was spared as out of reach, and what the audit of it found."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from pcbench.attacks.worst_case import NAME as WORST_CASE
from pcbench.metrics.rates import CONFIDENCE

_COLUMNS = ["kind", "name", "epsilon", "correct", "attacked", "audited", "success", "success_within"]


@dataclasses.dataclass(frozen=True)
class Sparing:
    """Attacks on an image at an ε that were left out because a larger ε had left it far from broken.

    Attributes:
        spared: How many were left out.
        audited: How many of the same kind were run all the same, chosen by seed.
        broken: How many of these broke their image, against expectation.
    """

    spared: int
    audited: int
    broken: int

    @property
    def largest_share(self) -> float:
        """The largest share of what was spared that could have broken, with 95 % confidence, where no audit did.

        The upper end of the exact binomial interval for no success: 1 - 0.05^(1/n).
        """
        return 1 - (1 - CONFIDENCE) ** (1 / self.audited) if self.audited else 1.0

    @property
    def sentence(self) -> str | None:
        """What there is to say of it; nothing where nothing was spared or audited."""
        if not self.spared and not self.audited:
            return None
        asked = f"{self.spared:,} attacks at budgets far out of reach were spared, {self.audited:,} of the kind audited"
        if self.broken:
            return f"{asked}: {self.broken:,} broke, so in their batches nothing was spared"
        return f"{asked}: none broke, so at most {self.largest_share:.2%} of them would have (95 % confidence)"


def sparing(outcomes: Path) -> Sparing:
    """Count what the sweeps of a run left out, from its folder of outcomes."""
    counts = np.zeros(3, dtype=np.int64)
    for path in sorted(outcomes.rglob("*.parquet")):
        rows = pq.read_table(path, columns=_COLUMNS).to_pandas()
        rows = rows[(rows["kind"] == "attack") & (rows["name"] != WORST_CASE) & (rows["epsilon"] > 0)]
        if len(rows):
            attacked, audited = (rows[name].fillna(False).astype(bool) for name in ("attacked", "audited"))
            broken, within = (rows[name].fillna(False).astype(bool) for name in ("success", "success_within"))
            spared = rows["correct"] & ~attacked & ~within & rows["success_within"].notna()
            counts += [int(spared.sum()), int(audited.sum()), int((audited & broken).sum())]
    return Sparing(*(int(count) for count in counts))
