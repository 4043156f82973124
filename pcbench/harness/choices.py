"""What of its suites a run is asked to measure: some severities, and some timesteps attacked by themselves."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

from pcbench.attacks.definitions import AttackSuite
from pcbench.corruptions.definitions import CorruptionSuite
from pcbench.errors import UsageError


class Chosen(Protocol):
    """What a run, or a study, names of its suites."""

    @property
    def severities(self) -> Sequence[int] | None:
        """The severities that are measured; None for all."""
        ...

    @property
    def attacked_timesteps(self) -> Sequence[int] | None:
        """The timesteps that are attacked by themselves; None for all."""
        ...


def refuse_absent(chosen: Chosen, last: int, definitions: Sequence[object]) -> None:
    """Refuse severities and timesteps that a run's suites and network do not have.

    Args:
        chosen: What is named.
        last: T.
        definitions: Of all suites.

    Raises:
        UsageError: No corruption has a severity that is named, or one has none of them; a timestep is beyond the last
            one, or no attack is made against single timesteps.
    """
    if chosen.severities is not None:
        _refuse_severities(chosen.severities, [one for one in definitions if isinstance(one, CorruptionSuite)])
    if chosen.attacked_timesteps is not None:
        suites = [one for one in definitions if isinstance(one, AttackSuite)]
        _refuse_timesteps(chosen.attacked_timesteps, last, suites)


def _refuse_severities(chosen: Sequence[int], suites: Iterable[CorruptionSuite]) -> None:
    corruptions = [(suite.name, corruption) for suite in suites for corruption in suite.corruptions]
    most = max(len(corruption.severities) for _, corruption in corruptions)
    absent = [severity for severity in chosen if not 1 <= severity <= most]
    if absent:
        known = f"from 1 to {most}" if most > 1 else "1 alone"
        raise UsageError(f"`severities`: no suite of this run has severity {absent[0]}; theirs are {known}")
    for suite, corruption in corruptions:
        if not corruption.measured(chosen):
            raise UsageError(
                f"`severities`: {corruption.name} of {suite} has none of {_listed(chosen)}, only 1 to "
                f"{len(corruption.severities)}; name one of these too, or measure {suite} in a run of its own"
            )


def _refuse_timesteps(chosen: Sequence[int], last: int, suites: Iterable[AttackSuite]) -> None:
    absent = [timestep for timestep in chosen if not 0 <= timestep <= last]
    if absent:
        raise UsageError(
            f"`attacked_timesteps`: there is no t = {absent[0]}, the last one is T = {last}; name timesteps from 0 to "
            f"{last}, or give timesteps={max(*chosen, last)}"
        )
    for suite in suites:
        if not any(_single(suite)):
            raise UsageError(
                f"`attacked_timesteps`: {suite.name} attacks all timesteps at once; leave `attacked_timesteps` out, or "
                "measure it in a run of its own"
            )


def _single(suite: AttackSuite) -> Iterator[bool]:
    return (attack.over_timesteps is None for attack in suite.attacks)


def _listed(numbers: Iterable[int]) -> str:
    return ", ".join(map(str, numbers))
