"""`pcbench agreement`: does the same attack by two libraries break the same images?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def agreement_command(
    model: Annotated[str, typer.Option("--model", "-m", help="A zoo name or module:function.")] = "pdigits",
    data: Annotated[str | None, typer.Option("--data", help="Images; the model's own where absent.")] = None,
    images: Annotated[int, typer.Option("--images", help="This many images.")] = 100,
    timestep: Annotated[int, typer.Option("--timestep", help="The timestep that is attacked.")] = 0,
    epsilons: Annotated[str, typer.Option("--epsilons", help="L∞ budgets.")] = "1/255,2/255,4/255,8/255,16/255",
    steps: Annotated[int, typer.Option("--steps", help="Of both attacks, of 2.5 ε / steps each.")] = 20,
    random_start: Annotated[bool, typer.Option(help="Start at random places in the ball.")] = True,
    backbone_weights: Annotated[Path | None, typer.Option("--backbone-weights", help="As for run.")] = None,
    weights: Annotated[Path | None, typer.Option("--weights", help="As for run.")] = None,
    random_predictors: Annotated[int | None, typer.Option("--random-predictors", help="As for run.")] = None,
) -> None:
    """Run the same L∞ PGD by foolbox and by torchattacks; exit 1 where a rate leaves the other's 95 % interval."""
    from rich.console import Console
    from rich.table import Table

    from pcbench.attacks.agreement import library_agreement
    from pcbench.data.sources import check, open_source
    from pcbench.errors import UsageError
    from pcbench.models import load
    from pcbench.norms import LINF, read_epsilons

    loaded = load(
        model,
        timesteps=timestep,
        backbone_weights=backbone_weights,
        weights=weights,
        random_predictors=random_predictors,
    )
    chosen = data or loaded.default_data
    if chosen is None:
        raise UsageError("images are needed: give --data imagefolder:PATH")
    source = open_source(chosen, preprocessing=loaded.preprocessing, split="test")
    check(source, classes=loaded.classes, class_names=loaded.class_names)
    part = source.take(min(images, len(source)))
    batch = next(part.batches(len(part)))
    found = library_agreement(
        loaded.at(timestep),
        batch.images / 255,
        batch.labels,
        epsilons=read_epsilons(epsilons.split(","), LINF),
        steps=steps,
        random_start=random_start,
    )
    table = Table(title=f"PGD, {steps} steps, on {found[0].n} images that {loaded.name} gets right at t = {timestep}")
    for column in ("ε", "foolbox (%)", "torchattacks (%)", "only foolbox", "only torchattacks", "p", "agree"):
        table.add_column(column, justify="right")
    for row in found:
        rates = (
            f"{100 * rate:.1f} [{100 * low:.1f}, {100 * high:.1f}]"
            for rate, (low, high) in zip(row.rates, row.intervals, strict=True)
        )
        only = (str(row.foolbox_only), str(row.torchattacks_only))
        table.add_row(LINF.text(row.epsilon), *rates, *only, f"{row.p_value:.3g}", "yes" if row.agrees else "no")
    Console().print(table)
    if not all(row.agrees for row in found):
        raise typer.Exit(1)
