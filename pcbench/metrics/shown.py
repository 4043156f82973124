"""The ε that a summary shows: one rule for the terminal, the page, the figures, the checks and the examples."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pcbench.errors import UsageError
from pcbench.results.conditions import RETRIED

if TYPE_CHECKING:
    import pandas as pd


def own_timestep(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of attacks scored at the timestep they were made against, or made against all at once."""
    return rows[rows["attacked_timestep"].isna() | (rows["attacked_timestep"] == rows["timestep"])]


def own_outcomes(table: pa.Table) -> pa.Table:
    """Return the rows of outcomes of attacks that `own_timestep` returns of the tidy table."""
    attacked: Any = table.column("attacked_timestep").cast(pa.int64())
    own = attacked.fill_null(-1).to_numpy() == _column(table, "timestep")
    return table.filter(pa.array((own | np.asarray(attacked.is_null())).tolist(), type=pa.bool_()))


def telling_epsilon(epsilons: Sequence[float], rates: NDArray[np.floating]) -> float:
    """Return the budget at which an attack breaks nearest to half of the images: there, differences show best.

    The rates are those within a budget, over the images right at a timestep when clean, and their mean over timesteps
    decides: a rule that looks at one timestep would favour it. Where fewer than half are ever broken the largest
    budget tells most; where two are equally near, the smaller one is taken.

    Args:
        epsilons: The budgets, ascending; 0 is left out.
        rates: The share broken within each budget, (timesteps, budgets).

    Raises:
        UsageError: There is no budget above 0.
    """
    budgets = np.asarray(epsilons, dtype=np.float64)
    above = budgets > 0
    if not above.any():
        raise UsageError("an attack needs a budget above 0 to be judged or shown")
    mean = np.ascontiguousarray(rates, dtype=np.float64)[:, above].mean(axis=0)
    best = len(mean) - 1 if (mean < 0.5).all() else int(np.argmin(np.abs(mean - 0.5)))
    return float(budgets[above][best])


def shown_epsilon(rows: pd.DataFrame) -> float | None:
    """Return the budget of one attack that a summary shows, by `telling_epsilon`.

    Args:
        rows: The attack's rows of the tidy table, of one model, suite and norm. Those scored at the timestep attacked
            decide; where there is none (images made elsewhere), all of them do.

    Returns:
        None where the attack has no budget above 0. Where no image is right at any timestep, the largest budget.
    """
    budgets = sorted(float(value) for value in rows["epsilon"].dropna().unique() if value > 0)
    within = rows[(rows["metric"] == "attack_success_rate_within") & (rows["epsilon"] > 0)]
    if within.empty:
        return budgets[-1] if budgets else None
    own = own_timestep(within)
    means = (within if own.empty else own).pivot_table(index="timestep", columns="epsilon", values="value")
    return telling_epsilon([float(value) for value in means.columns], means.to_numpy(dtype=np.float64))


def epsilon_of_sweeps(sweeps: Iterable[pa.Table]) -> float | None:
    """Return the budget that a summary shows, by `telling_epsilon`, before there are metrics: from outcomes.

    Args:
        sweeps: Outcomes of one attack against its own timesteps, or against all of them at once, one block of images
            a table. Timesteps at which no image is right are ignored.

    Returns:
        None where there is no budget above 0. Where no image is right at any timestep, the largest budget.
    """
    tables = [own for table in sweeps for own in _by_timestep(own_outcomes(_first_attempts(table)))]
    budgets = sorted({float(epsilon) for table in tables for epsilon in _column(table, "epsilon").tolist()})
    broken: dict[int, list[NDArray[np.bool_]]] = {}
    for table in tables:
        timestep = int(_column(table, "timestep")[0])
        within = _column(table, "success_within").reshape(len(budgets), -1)
        counted = np.array([value is not None for value in within[0]])
        broken.setdefault(timestep, []).append(within[:, counted].astype(np.bool_))
    joined = {timestep: np.concatenate(parts, axis=1) for timestep, parts in broken.items()}
    rates = [within.mean(axis=1) for within in joined.values() if within.shape[1]]
    if not budgets or budgets[-1] == 0:
        return None
    return telling_epsilon(budgets, np.array(rates)) if rates else budgets[-1]


def _by_timestep(table: pa.Table) -> Iterator[pa.Table]:
    scored = _column(table, "timestep")
    for timestep in np.unique(scored):
        yield table.filter(pa.array((scored == timestep).tolist(), type=pa.bool_()))


def _first_attempts(table: pa.Table) -> pa.Table:
    names = table.column("name").cast(pa.string())
    from pyarrow import compute  # its functions are made when it is imported, which takes as long as all of pyarrow

    return table.filter(compute.invert(compute.ends_with(names, RETRIED)))


def _column(table: pa.Table, name: str) -> NDArray[Any]:
    return np.asarray(table.column(name).to_numpy(zero_copy_only=False))


def shown_levels(rows: pd.DataFrame) -> dict[str, float]:
    """Return, for each noise of a suite, the level that a summary shows: the middle one.

    Distances between representations have no share of one half that a rule like `telling_epsilon` could look for.

    Args:
        rows: Rows of the tidy table, of one suite.

    Returns:
        By name, in the order of the rows; nothing where the suite has no noise.
    """
    noise = rows[rows["kind"] == "noise"]
    found: dict[str, float] = {}
    for name in dict.fromkeys(map(str, noise["name"])):
        levels = np.unique(noise[noise["name"] == name]["epsilon"].to_numpy(dtype=np.float64))
        found[name] = float(levels[len(levels) // 2])
    return found


def level_symbol(names: Iterable[object]) -> str:
    """Return what tables and figures call the level of noises: σ where all of it is the published normal noise."""
    return "σ" if {str(name) for name in names} <= {"gaussian_noise"} else "level"
