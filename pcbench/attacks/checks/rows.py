"""Evidence as plain rows, one per image and number: what a run stores and judges later, without a model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict

import numpy as np
from numpy.typing import NDArray

from pcbench.errors import DataError
from pcbench.network.gradient import Gradient

if TYPE_CHECKING:
    import pandas as pd

JUDGED_GRADIENT: Gradient = "exact"
"""How the judged attack differentiates the error terms: the verdict is about the stronger way, whatever a run used."""


class EvidenceRow(TypedDict):
    """One number about one image."""

    image_id: str
    """The image."""
    check: str
    """The kind of evidence, one of `pcbench.attacks.checks.evidence.evidence_kinds`."""
    attacked_timestep: int
    """The timestep that is looked at, or that the images were made against."""
    timestep: int
    """The timestep scored; the one attacked, where nothing else is said."""
    metric: str
    """What the number is."""
    value: float
    """The number; 1 and 0 for yes and no."""


COLUMNS = ("image_id", "check", "attacked_timestep", "timestep", "metric", "value")


@dataclass(frozen=True)
class Measured:
    """One number of several images."""

    ids: Sequence[str]
    """N ids."""
    metric: str
    """What the number is."""
    values: NDArray[np.bool_] | NDArray[np.float64]
    """(N,), booleans or numbers."""
    scored: int | None = None
    """The timestep scored; None means the one attacked."""


def as_rows(check: str, attacked: int, measured: Iterable[Measured]) -> list[EvidenceRow]:
    """Return one row per image and number."""
    return [
        EvidenceRow(
            image_id=image_id,
            check=check,
            attacked_timestep=attacked,
            timestep=attacked if one.scored is None else one.scored,
            metric=one.metric,
            value=float(value),
        )
        for one in measured
        for image_id, value in zip(one.ids, one.values, strict=True)
    ]


class Numbers:
    """All rows of a suite, by what they are about. Images come in the order of their ids, whatever the rows' order.

    Args:
        rows: A table with `COLUMNS`, and any others.

    Raises:
        DataError: A number is there twice, so that an image would be counted twice.
    """

    def __init__(self, rows: pd.DataFrame) -> None:
        self._values: dict[tuple[str, int, int, str], dict[str, float]] = {}
        for image_id, *key, value in sorted(_plain(rows), key=lambda row: row[0]):
            check, attacked, scored, metric = key
            known = self._values.setdefault((str(check), int(attacked), int(scored), str(metric)), {})
            if image_id in known:
                raise DataError(f"the evidence {check!r} at t = {attacked} holds {metric!r} of image {image_id} twice")
            known[image_id] = value

    def has(self, check: str) -> bool:
        """Return whether there is any number of a kind of evidence."""
        return any(key[0] == check for key in self._values)

    def of(self, check: str, attacked: int, metric: str, scored: int | None = None) -> Mapping[str, float]:
        """Return one number of every image that has it, by id."""
        return self._values.get((check, attacked, attacked if scored is None else scored, metric), {})


def _plain(rows: pd.DataFrame) -> Iterator[tuple[str, str, int, int, str, float]]:
    # A Parquet file may give texts as categories and NaN as an empty cell.
    values = rows["value"].to_numpy(dtype=np.float64, na_value=np.nan).tolist()
    return zip(*(rows[name].tolist() for name in COLUMNS[:-1]), values, strict=True)


def is_true(numbers: Mapping[str, float], ids: Iterable[str]) -> NDArray[np.bool_]:
    """Return whether the number of each of some images is not 0."""
    return np.array([numbers[image_id] == 1 for image_id in ids], dtype=np.bool_)
