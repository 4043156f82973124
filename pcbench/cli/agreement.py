"""`pcbench agreement`: does the same attack by two libraries break the same images?"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from annotated_types import Ge, Le
from typing_extensions import TypedDict

from pcbench.arguments import MOST_TIMESTEPS
from pcbench.cli.arguments import AsJson
from pcbench.cli.saying import say_json
from pcbench.data.names import PLACE as SOURCE_PLACE
from pcbench.harness.known_names import refuse_unknown_names
from pcbench.options import Option

if TYPE_CHECKING:
    from pcbench.attacks.agreement import Agreement


class AgreementOptions(TypedDict):
    """The options of `pcbench agreement`."""

    model: Annotated[str, Option("A model: pdigits, timm:NAME, …", default="pdigits", flags=("--model", "-m"))]
    data: Annotated[str | None, Option("Images; by default the model's own.", place=SOURCE_PLACE)]
    images: Annotated[int, Ge(1), Option("This many images.", default=100)]
    timestep: Annotated[int, Ge(0), Le(MOST_TIMESTEPS), Option("The timestep that is attacked.", default=0)]
    epsilons: Annotated[
        Sequence[float | str],
        Option("L∞ budgets.", default=("1/255", "2/255", "4/255", "8/255", "16/255")),
    ]
    steps: Annotated[int, Ge(1), Option("Steps of both attacks, 2.5 ε / steps long.", default=20)]
    random_start: Annotated[bool, Option("Start at random points in the ball.", default=True)]
    backbone_weights: Annotated[Path | str | None, Option("As for pcbench run.")]
    weights: Annotated[Path | str | None, Option("As for pcbench run.")]
    random_predictors: Annotated[int | None, Option("As for pcbench run.")]


def agreement_command(options: AgreementOptions, as_json: AsJson = False) -> None:
    """Run the same L∞ PGD by foolbox and torchattacks; exit code 1 where a rate leaves the other's 95 % interval."""
    refuse_unknown_names(options)
    from rich.table import Table

    from pcbench.attacks.agreement import library_agreement
    from pcbench.data.sources import check_source, open_source
    from pcbench.errors import UsageError
    from pcbench.models import load
    from pcbench.norms import LINF, read_epsilons
    from pcbench.percent import interval, percent
    from pcbench.terminal import Terminal

    timestep, steps = options["timestep"], options["steps"]
    loaded = load(
        options["model"],
        timesteps=timestep,
        backbone_weights=options["backbone_weights"],
        weights=options["weights"],
        random_predictors=options["random_predictors"],
    )
    chosen = options["data"] or loaded.default_data
    if chosen is None:
        raise UsageError("images are needed: give data='imagefolder:PATH'")
    source = open_source(chosen, preprocessing=loaded.preprocessing, split="test")
    source = check_source(source, classes=loaded.classes, class_names=loaded.class_names)
    part = source.take(min(options["images"], len(source)))
    batch = next(part.batches(len(part)))
    found = library_agreement(
        loaded.at(timestep),
        batch.images / 255,
        batch.labels,
        epsilons=read_epsilons(options["epsilons"], LINF),
        steps=steps,
        random_start=options["random_start"],
    )
    if as_json:
        say_json({"rows": [dataclasses.asdict(row) for row in found]})
        _end_with(found)
        return
    table = Table(title=f"PGD, {steps} steps, on {found[0].n} images that {loaded.name} gets right at t = {timestep}")
    for column in ("ε", "foolbox (%)", "torchattacks (%)", "only foolbox", "only torchattacks", "p", "agree"):
        table.add_column(column, justify="right")
    for row in found:
        rates = (
            f"{percent(rate)} {interval(low, high)}" for rate, (low, high) in zip(row.rates, row.intervals, strict=True)
        )
        only = (str(row.foolbox_only), str(row.torchattacks_only))
        table.add_row(LINF.text(row.epsilon), *rates, *only, f"{row.p_value:.3g}", "yes" if row.agrees else "no")
    Terminal().print(table)
    _end_with(found)


def _end_with(found: Sequence[Agreement]) -> None:
    if not all(row.agrees for row in found):
        raise typer.Exit(1)
