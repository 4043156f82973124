"""Hyperparameters that a run gives in place of the network's own: what of them is impossible, and units by setting."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence

from pcbench.attacks.definitions import AttackSuite
from pcbench.errors import UsageError
from pcbench.harness.blocks import Unit
from pcbench.harness.request import RunOptions
from pcbench.models.facts import ModelFacts
from pcbench.models.known_words import ABLATIONS
from pcbench.models.loading import own_hyperparameters
from pcbench.network.grid import Grid
from pcbench.network.weighting import weights_of
from pcbench.results.parts import Part, from_parquet

TOGETHER = "scores"
"""The kind of work whose units hold all settings: its images are read and corrupted once for all of them."""


def refuse_impossible(request: RunOptions, facts: ModelFacts, definitions: Sequence[object]) -> None:
    """Refuse hyperparameters that the network cannot have, before anything is computed.

    Args:
        request: What is asked for.
        facts: What is known of the network.
        definitions: Of the suites.

    Raises:
        UsageError: The network has no PCoders or not that many, or cannot have a value; the option is named.
    """
    grid = Grid.of(request["hyperparameters"])
    if not grid.values:
        return
    own, feedback = own_hyperparameters(request["model"], facts, request["ablation"], request["configuration"])
    if not own:
        raise UsageError(f"{facts.name} has no PCoders: `hyperparameters` is for predictive networks; leave it out")
    if (facts.timesteps if request["timesteps"] is None else request["timesteps"]) == 0:
        raise UsageError("at t = 0 hyperparameters change nothing: give `timesteps`, or leave `hyperparameters` out")
    _refuse_ablated(grid, request["ablation"])
    for definition in definitions:
        if isinstance(definition, AttackSuite) and definition.network is not None:
            raise UsageError(
                f"{definition.name} states the hyperparameters of its paper; leave `hyperparameters` out, or measure "
                "it in a run of its own"
            )
    for setting in grid.settings:
        given = setting.of_pcoders(feedback)
        try:
            weights_of(given, own, feedback)
        except UsageError as error:
            raise UsageError(f"`hyperparameters` {setting.text}: {error}") from None


def _refuse_ablated(grid: Grid, ablation: str | None) -> None:
    weight = None if ablation is None else ABLATIONS[ablation]
    named = next((name for name in grid.values if name.rpartition(".")[2] == weight), None)
    if named is not None:
        raise UsageError(f"`hyperparameters` {named} contradicts ablation={ablation!r}, which sets it to 0; give one")


def by_setting(units: Iterable[Unit], labels: Sequence[str]) -> Iterator[Unit]:
    """Yield the units of a run with several settings, from those of one setting.

    A unit of `TOGETHER` does all settings; others are there once for each.

    Args:
        units: The units of a single setting.
        labels: The settings' labels; none where there are not several.
    """
    for unit in units:
        if not labels:
            yield unit
        elif unit.work == TOGETHER:
            yield dataclasses.replace(unit, passes=unit.passes.times(len(labels)))
        else:
            for label in labels:
                after = tuple(_path_of(path, label) for path in unit.after)
                yield dataclasses.replace(unit, setting=label, after=after)


def of_setting(units: Iterable[Unit], label: str) -> Iterator[Unit]:
    """Yield the units of a run's setting as they are in a run of that setting alone."""
    for unit in units:
        if unit.work == TOGETHER:
            yield unit
        elif unit.setting == label:
            after = tuple(path.removeprefix(f"{label}/") for path in unit.after)
            yield dataclasses.replace(unit, setting="", after=after)


def path_of(unit: Unit, label: str) -> str:
    """Return where the part lies that holds a setting's share of a unit, as `of_setting` gives it."""
    return _path_of(unit.path, label)


def _path_of(path: str, label: str) -> str:
    return path if path.startswith(f"{TOGETHER}/") else f"{label}/{path}"


def share_file(label: str) -> str:
    """Return the name of the file in a part of `TOGETHER` that holds a setting's rows."""
    return f"{label}.parquet"


def share_of(part: Part, label: str) -> Part:
    """Return what a part holds of a setting: all of it where it is of one alone."""
    held = part.files.get(share_file(label))
    return part if held is None else Part(from_parquet(held, label), part.machine)
