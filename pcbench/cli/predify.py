"""`pcbench predify CONFIG.toml --backbone SPEC`: try a configuration on a CNN and show the resulting network."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def predify_command(
    configuration: Annotated[Path, typer.Argument(help="The configuration, as Predify writes it.", metavar="CONFIG")],
    backbone: Annotated[str, typer.Option("--backbone", "-b", help="torchvision:NAME, timm:NAME or module:function.")],
) -> None:
    """Check that a configuration fits a CNN, and show its PCoders, without training."""
    from rich.table import Table

    from pcbench.models.conversions import inspect_network
    from pcbench.terminal import Terminal

    facts = inspect_network(configuration, backbone)
    table = Table(title=f"{facts.name} on {facts.backbone}, {facts.classes} classes", title_justify="left")
    for column in ("n", "module", "e_n", "predicts", "weights", "β", "λ", "α", "C"):
        table.add_column(column, no_wrap=True)
    for pcoder in facts.pcoders:
        table.add_row(
            str(pcoder.number),
            pcoder.module,
            "x".join(map(str, pcoder.representation)),
            "x".join(map(str, pcoder.prediction)) + (f" ({pcoder.predicts})" if pcoder.predicts else ""),
            f"{pcoder.parameters:,}",
            *(f"{value:g}" for value in pcoder.hyperparameters),
            "" if pcoder.error_window is None else f"{pcoder.error_window:g}",
        )
    console = Terminal()
    console.print(table)
    for pcoder in facts.pcoders:
        console.print(f"D_{pcoder.number} = {pcoder.predictor}")
    console.print(
        f"run it with: pcbench run --model {configuration}@{backbone} --random-predictors 0 (or --weights FILE)",
        soft_wrap=True,
    )
