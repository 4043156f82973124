"""Whether a run's attacks can be believed: `checks.json`, if the run was made with checks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, FailFast, TypeAdapter, ValidationError

from pcbench.errors import DataError
from pcbench.limits.text import json_bytes
from pcbench.norms import epsilon_text


class ShownComparison(BaseModel, frozen=True, extra="ignore"):
    """The judged attack against a rival on the same images; the rates are ratios."""

    sign: str
    epsilon: float = 0.0
    n: int
    judged_rate: float
    rival_rate: float
    p_value: float


class ShownVerdict(BaseModel, frozen=True, extra="ignore"):
    """The verdict on the attacks on one timestep: what a page shows of it, without the rest of the evidence."""

    timestep: int
    verdict: str
    reasons: tuple[str, ...]
    suite: str = ""
    attack: str = ""
    comparisons: tuple[ShownComparison, ...] = ()
    shown: tuple[ShownComparison, ...] = ()
    transfer: tuple[dict[str, Any], ...] = ()

    def budget(self, comparison: ShownComparison) -> str:
        """Return the budget of both sides of a comparison, as papers write it under the attack's norm."""
        norm = str(self.transfer[0]["norm"]) if self.transfer else None
        return epsilon_text(comparison.epsilon, norm)


def read_verdicts(run_folder: Path) -> list[ShownVerdict]:
    """Return the verdicts on a run's attacks; none if it was run without checks.

    Raises:
        DataError: `checks.json` is damaged.
    """
    path = run_folder / "checks.json"
    if not path.is_file():
        return []
    try:
        return TypeAdapter(Annotated[list[ShownVerdict], FailFast()]).validate_json(json_bytes(path))
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(str(part) for part in problem["loc"]) or "the file"
        raise DataError(f"{path}: {where}: {problem['msg']}; run it again") from None
