"""What the verdicts on attacks rest on, as rows of a table: who is held against whom, or against what."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pcbench.attacks.checks.verdict import WIDEST
from pcbench.names import attack_title
from pcbench.percent import percent
from pcbench.results.verdicts import ShownComparison, ShownVerdict

_HALF = "the same attack with half the steps"
_TRANSFER = "transfer from "


@dataclass(frozen=True)
class ToldComparison:
    """One row: rates are of the same images, in percent where they are texts."""

    timestep: int
    """The timestep that is judged."""
    attack: str
    """The attack on the left side, and how it differs from the one of the suite where it does."""
    epsilon: float
    """The budget."""
    budget: str
    """The budget as it is printed."""
    against: str
    """What it is held against: another attack, or a rate that it must reach."""
    images: int
    """How many images."""
    rate: float
    """The share that the attack breaks."""
    other_rate: float
    """The share that the other breaks, or that must be reached."""
    other: str
    """The same as it is printed."""
    p: float
    """The p value that the other side is better, one-sided."""
    judged: bool
    """Whether the verdict rests on it."""


def told_comparisons(verdicts: Sequence[ShownVerdict]) -> list[ToldComparison]:
    """Return the evidence for verdicts, timestep by timestep, what is judged first."""
    return [row for verdict in verdicts for row in _of_timestep(verdict)]


def judged_by(verdict: ShownVerdict) -> str:
    """Return the attack that a verdict was found with, its budget, and on how many images."""
    if not verdict.comparisons:
        return attack_title(verdict.attack)
    first = verdict.comparisons[0]
    return f"{attack_title(verdict.attack)} at ε = {verdict.budget(first)}, {first.n} images"


def convergence(verdict: ShownVerdict) -> str:
    """Return what the judged attack breaks, and what it breaks with twice its steps; empty where that was not tried."""
    for one in (*verdict.comparisons, *verdict.shown):
        if one.sign == _HALF:
            return f"{percent(one.rival_rate)} → {percent(one.judged_rate)} % broken"
    return ""


def _of_timestep(verdict: ShownVerdict) -> Iterator[ToldComparison]:
    title = attack_title(verdict.attack)
    for judged, comparisons in ((True, verdict.comparisons), (False, verdict.shown)):
        for one in comparisons:
            attack, against = _sides(one, title)
            needed = one.sign == WIDEST
            yield ToldComparison(
                timestep=verdict.timestep,
                attack=attack,
                epsilon=one.epsilon,
                budget=verdict.budget(one),
                against=against,
                images=one.n,
                rate=one.judged_rate,
                other_rate=one.rival_rate,
                other=f"≥ {percent(one.rival_rate)}" if needed else percent(one.rival_rate),
                p=one.p_value,
                judged=judged,
            )


def _sides(one: ShownComparison, title: str) -> tuple[str, str]:
    """Return what stands on both sides of a comparison, in words."""
    if one.sign == WIDEST:
        return f"{title}, at the widest ε", "what any sound attack breaks there"
    if one.sign == _HALF:
        return f"{title} with twice the steps", f"{title} as it is"
    if one.sign.startswith(_TRANSFER):
        return title, f"images made against {one.sign.removeprefix(_TRANSFER)}"
    return title, one.sign.replace("the same attack", title)
