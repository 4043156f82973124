"""Whether a run's attacks can be believed: `checks.json`, if the run was made with checks, and a verdict in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Protocol

from pydantic import BaseModel, FailFast, TypeAdapter, ValidationError

from pcbench.errors import DataError
from pcbench.limits.text import json_bytes
from pcbench.norms import epsilon_text

CHECKED = "checked"
"""The words of a verdict by which no sign of broken gradients was found."""
NOT_CHECKED = "not checked"
"""The words where there is no verdict."""
SUSPICIOUS = "gradients suspicious"
"""The words that a verdict begins with where a sign of broken gradients was found; the sign follows."""


class GradientVerdict(Protocol):
    """A verdict on the attacks on one timestep."""

    @property
    def verdict(self) -> str:
        """``"consistent"`` or ``"suspicious"``."""
        ...

    @property
    def reasons(self) -> Sequence[str]:
        """One clause for each sign that was found."""
        ...


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
    form: str = "full"
    """``"cheap"`` or ``"full"``; there was only one form in former versions."""
    suite: str = ""
    attack: str = ""
    norm: str | None = None
    comparisons: tuple[ShownComparison, ...] = ()
    shown: tuple[ShownComparison, ...] = ()
    transfer: tuple[dict[str, Any], ...] = ()

    def budget(self, comparison: ShownComparison) -> str:
        """Return the budget of both sides of a comparison, as papers write it under the attack's norm."""
        former = str(self.transfer[0]["norm"]) if self.transfer else None
        return epsilon_text(comparison.epsilon, self.norm or former)


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


@dataclass(frozen=True)
class Verdicts:
    """What is known of the attacks of a run, by suite and timestep attacked."""

    entries: Mapping[tuple[str, int], GradientVerdict] = field(default_factory=dict[tuple[str, int], GradientVerdict])
    """The verdicts of `checks.json`."""
    warnings: Mapping[tuple[str, int], Sequence[str]] = field(default_factory=dict[tuple[str, int], Sequence[str]])
    """Further signs of broken gradients, in words; see `verdict_words`."""

    def words(self, suite: str, timesteps: Sequence[int]) -> str:
        """Return the verdict on a statement about the attacks on some timesteps, the most telling timestep first."""
        each = {timestep: (suite, timestep) for timestep in dict.fromkeys(timesteps)}
        return joint_verdict_words(
            {
                f"t = {timestep}": verdict_words(self.entries.get(key), self.warnings.get(key, ()))
                for timestep, key in each.items()
            }
        )


def verdict_words(entry: GradientVerdict | None, warnings: Sequence[str] = ()) -> str:
    """Return a verdict as it stands in every sentence about robust accuracy.

    Args:
        entry: The verdict on the attacks on one timestep; None where there is none.
        warnings: Further signs of broken gradients, such as a share of images without a gradient, in words. Any makes
            the gradients suspicious, checked or not.

    Returns:
        ``"checked"``, ``"gradients suspicious: REASON"`` or ``"not checked"``. Of several reasons the first is told,
        and how many more there are.
    """
    reasons = [*warnings, *(entry.reasons if entry is not None else ())]
    if reasons:
        more = len(reasons) - 1
        others = f" (and {more} more {'sign' if more == 1 else 'signs'})" if more else ""
        return f"{SUSPICIOUS}: {reasons[0]}{others}"
    if entry is None:
        return NOT_CHECKED
    return f"{SUSPICIOUS}: no reason is given" if entry.verdict == "suspicious" else CHECKED


def joint_verdict_words(words: Mapping[str, str]) -> str:
    """Return the verdict on a statement about several attacks: it can be believed only if all of them can.

    Args:
        words: What `verdict_words` says of each, by what is attacked, such as ``"t = 8"``; the most telling first.
    """
    suspicious = [name for name, said in words.items() if said.startswith(SUSPICIOUS)]
    if not suspicious:
        return CHECKED if words and set(words.values()) == {CHECKED} else NOT_CHECKED
    first, *others = suspicious
    if len(words) == 1:
        return words[first]
    also = f" (and at {', '.join(others)})" if others else ""
    return words[first].replace(f"{SUSPICIOUS}: ", f"{SUSPICIOUS}: at {first}, ", 1) + also
