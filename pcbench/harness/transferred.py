"""What a sweep's own images break at the other timesteps: found while the sweep has them, for the cheap checks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from pcbench.attacks.checks.cheap import CHEAP, CHEAP_IMAGES, SWEEP
from pcbench.attacks.checks.evidence import has_judged_attack, judged_attack
from pcbench.attacks.definitions import AttackSuite
from pcbench.attacks.sweep import Sweep, scored_images
from pcbench.harness.blocks import Unit
from pcbench.harness.context import CHECKED_IMAGES, Context
from pcbench.models.draws import drawing
from pcbench.models.scores import predicted
from pcbench.results.parts import to_parquet
from pcbench.results.schema import EVIDENCE, joined, made_table

TRANSFERRED = "transferred.parquet"
"""The file of a part that holds it, rows of evidence at every budget: which one is judged is not known yet."""


class Transferred:
    """Scores the first attacked images of a unit at all other timesteps.

    Args:
        unit: The unit that attacks.
        context: The worker's network and settings.
    """

    def __init__(self, unit: Unit, context: Context) -> None:
        self._context, self._suite, self._attacked = context, unit.condition.suite, unit.condition.attacked_timestep
        self._tables: list[pa.Table] = []
        suite, settings = context.suite(self._suite).definition, context.settings
        few = settings.checks == CHEAP and settings.timesteps > 0 and unit.block.start < CHECKED_IMAGES
        judged = few and isinstance(suite, AttackSuite) and _is_judged(suite, unit.condition.name)
        self._left = CHEAP_IMAGES if judged and self._attacked is not None else 0

    @property
    def wanted(self) -> bool:
        """Whether images of the next batch are scored, so that its sweep has to keep them."""
        return self._left > 0

    def add(self, found: Sweep) -> None:
        """Score the images of a batch."""
        chosen = np.flatnonzero(found.eligible)[: self._left]
        self._left -= len(chosen)
        self._tables += self._scored(found, chosen)

    def files(self) -> dict[str, bytes]:
        """Return the file of the part; none where nothing was scored."""
        return {TRANSFERRED: to_parquet(joined(self._tables, "evidence"))} if self._tables else {}

    def _scored(self, found: Sweep, chosen: NDArray[np.intp]) -> Iterator[pa.Table]:
        """Yield the rows of each budget; an image that is the clean one there has none."""
        kept = scored_images(found)[:, chosen]
        broken: dict[tuple[int, int], NDArray[np.bool_]] = {}
        changed = (kept != kept[:1]).flatten(2).any(dim=2).numpy()
        # An image stays the same from the budget that broke it on.
        new = np.concatenate([changed[:1], (kept[1:] != kept[:-1]).flatten(2).any(dim=2).numpy()])
        pairs = [(int(budget), int(place)) for budget, place in np.argwhere(changed & new)]
        labels = torch.from_numpy(found.labels[chosen])
        for start in range(0, len(pairs), self._context.settings.batch_size):
            some = pairs[start : start + self._context.settings.batch_size]
            images = torch.stack([kept[pair] for pair in some])
            names = [found.ids[int(chosen[place])] for _, place in some]
            with torch.no_grad(), drawing(self._context.settings.seed, names):
                answers = self._broken(images, torch.stack([labels[place] for _, place in some]))
            broken.update({pair: answers[:, index] for index, pair in enumerate(some)})
        last: dict[int, NDArray[np.bool_]] = {}
        ids = [found.ids[int(index)] for index in chosen]
        for budget in range(1, len(kept)):
            for place in np.flatnonzero(changed[budget]).tolist():
                last[place] = broken.get((budget, place), last.get(place, np.zeros(0, np.bool_)))
            there = np.flatnonzero(changed[budget]).tolist()
            if there:
                yield self._table([ids[place] for place in there], [last[place] for place in there], found, budget)

    def _broken(self, images: torch.Tensor, labels: torch.Tensor) -> NDArray[np.bool_]:
        """Return at which timesteps images are misclassified, (T+1, images)."""
        model = self._context.model_of(self._suite)
        logits = model.answer(images.to(model.device), self._context.settings.timesteps)
        return (predicted(logits).cpu() != labels).numpy()

    def _table(self, ids: Sequence[str], broken: Sequence[NDArray[np.bool_]], found: Sweep, budget: int) -> pa.Table:
        others = [t for t in range(self._context.settings.timesteps + 1) if t != self._attacked]
        columns: dict[str, Any] = {
            "image_id": [image_id for _ in others for image_id in ids],
            "timestep": [t for t in others for _ in ids],
            "value": [float(one[t]) for t in others for one in broken],
            "suite": self._suite,
            "check": SWEEP,
            "attacked_timestep": self._attacked,
            "metric": "broken",
            "epsilon": found.epsilons[budget],
        }
        return made_table("evidence", columns)


def judged_at(evidence: pa.Table, transferred: Sequence[pa.Table]) -> pa.Table:
    """Return the rows about the images, and the budget, that the cheap form judges a suite by.

    Args:
        evidence: The suite's evidence of the cheap form.
        transferred: The tables that the sweeps of its judged attack left.
    """
    known = evidence.select(["image_id", "check", "metric", "attacked_timestep", "epsilon"]).to_pandas()
    known = known[(known["check"] == SWEEP) & (known["metric"] == "success")]
    rows = [table for table in transferred if table.num_rows]
    if known.empty or not rows:
        return EVIDENCE.empty_table()
    wanted = set(zip(known["image_id"], known["attacked_timestep"], known["epsilon"], strict=True))
    table = joined(rows, "evidence")
    keys = table.select(["image_id", "attacked_timestep", "epsilon"]).to_pandas()
    mask = [key in wanted for key in keys.itertuples(index=False, name=None)]
    return table.filter(pa.array(mask, type=pa.bool_()))


def _is_judged(suite: AttackSuite, name: str) -> bool:
    return has_judged_attack(suite.attacks) and judged_attack(suite.attacks).name == name
