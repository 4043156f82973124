"""What `on_result` receives, and when: each condition as soon as it is finished, and at the end the run."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from pcbench.errors import named
from pcbench.harness.blocks import Unit
from pcbench.harness.grids import TOGETHER, share_of
from pcbench.harness.plan import Plan
from pcbench.results.conditions import Condition
from pcbench.results.directory import Run
from pcbench.results.parts import Part
from pcbench.results.schema import joined

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

logger = logging.getLogger("pcbench")

_MEASURED = ("scores", "attacks", "saved")
"""The kinds of work that leave outcomes."""


@dataclass(frozen=True)
class Result:
    """A finished condition, or the finished run."""

    title: str
    """What it is called, such as ``"digits-c: fog 3"``; of a run its folder's name."""
    metrics: pd.DataFrame
    """Its rows, with the columns of `Run.metrics`; of a condition those that need no other condition."""
    condition: Condition | None = None
    """The condition: `.suite`, `.kind`, `.name`, `.severity`, `.attacked_timestep`; None at the end of the run."""
    setting: str = ""
    """The values of swept hyperparameters, such as ``"feedback=0.1"``; empty where a run has one setting."""
    run: Run | None = None
    """The run, once it is finished; `.found` where it had been computed before."""

    def by_timestep(self) -> dict[int, dict[str, float]]:
        """Return the numbers as loggers take them: for each t the values by name.

        A name says suite, corruption or attack, severity or ε, and metric: ``"digits-c/fog/3/accuracy"``,
        ``"digits-linf/pgd/epsilon 0.03137/robust_accuracy"``. A number that is not defined is left out.
        """
        found: dict[int, dict[str, float]] = {}
        known = self.metrics.astype(object).where(self.metrics.notna(), None)
        for row in known.to_dict("records"):
            if row["value"] is not None:
                names = found.setdefault(int(row["timestep"]), {})
                names["/".join([*([self.setting] if self.setting else []), *_name(row)])] = float(row["value"])
        return found


OnResult = Callable[[Result], object]


def _name(row: Mapping[Any, Any]) -> Iterator[str]:
    yield str(row["suite"])
    yield str(row["name"])
    if row["severity"] is not None:
        yield str(row["severity"])
    if row["epsilon"] is not None:
        yield f"epsilon {row['epsilon']:.4g}"
    attacked = row["attacked_timestep"]
    if attacked is not None and attacked != row["timestep"]:
        yield f"made at {attacked}"
    yield str(row["metric"])


class Teller:
    """Tells the user's function of each condition whose last unit is done; without a function it does nothing.

    Args:
        tell: The function.
        plan: All work of the run.
        read: Reads the part of a unit by its path.
    """

    def __init__(self, tell: OnResult | None, plan: Plan, read: Callable[[str], Part]) -> None:
        self._tell, self._plan, self._read = tell, plan, read
        measured = (unit for unit in plan.units if tell is not None and unit.work in _MEASURED)
        self._waiting: list[Unit] = []
        self._left = Counter((unit.setting, unit.condition) for unit in measured)

    def done(self, unit: Unit) -> None:
        """Count a unit whose part is kept, and tell of its condition if that was the last one."""
        if self._tell is None or unit.work not in _MEASURED:
            return
        self._left[unit.setting, unit.condition] -= 1
        if not self._left[unit.setting, unit.condition]:
            self._waiting.append(unit)
        for last in [one for one in self._waiting if not self._clean_left(one)]:
            self._waiting.remove(last)
            labels = self._plan.spec.settings.grid.labels if last.work == TOGETHER else ()
            for label in labels or (last.setting,):
                title = f"{last.condition.title} ({label})" if label else last.condition.title
                tell_result(self._tell, partial(self._result, last, label, title), title)

    def _clean_left(self, last: Unit) -> bool:
        """Return whether the images that an attack began with are not all done: its rates are of those."""
        return last.condition.kind == "attack" and any(
            self._left[one.setting, one.condition] for one in self._clean(last)
        )

    def _clean(self, last: Unit) -> list[Unit]:
        suite = (one for one in self._plan.units if one.condition.suite == last.condition.suite)
        return [
            one
            for one in suite
            if one.condition.kind == "clean" and one.work in _MEASURED and one.setting in ("", last.setting)
        ]

    def _result(self, last: Unit, label: str, title: str) -> Result:
        # What makes tables takes long to import, and is needed here only where a function is told of conditions.
        import pandas as pd

        from pcbench.harness.joining import split_retried
        from pcbench.metrics.attack_rows import ANY_ATTACKED
        from pcbench.metrics.summary import summarise

        condition = last.condition
        units = [one for one in self._plan.units if one.work in _MEASURED and one.condition == condition]
        tables = [self._table([one for one in units if one.setting == last.setting], label)]
        if condition.kind == "attack":
            tables = [split_retried(tables[0])[0], self._table(self._clean(last), label)]
        outcomes: pd.DataFrame = pd.concat([table.to_pandas() for table in tables], ignore_index=True)
        rows = summarise(outcomes, model=str(self._plan.spec.model["name"]), baselines={})
        mine = (rows["kind"] == condition.kind) & (rows["name"] == condition.name)
        of_several = ("attack_success_rate_common", ANY_ATTACKED)  # attacked timesteps together
        alone = ~rows["metric"].str.startswith(of_several)
        return Result(title, rows[mine & alone].reset_index(drop=True), condition, label)

    def _table(self, units: Sequence[Unit], label: str) -> pa.Table:
        return joined([share_of(self._read(unit.path), label).table for unit in units], "outcomes")


def tell_result(tell: OnResult, make: Callable[[], Result], title: str) -> None:
    """Call the user's function; a warning names an exception in it, and the work goes on."""
    result = make()
    try:
        tell(result)
    except Exception as error:  # the user's own code may raise anything, and hours of work go on
        logger.warning("on_result raised %s for %s; the run goes on", named(error), title)
        logger.debug("the exception in on_result", exc_info=error)
