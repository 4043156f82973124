"""`pcbench train`: learn feedback weights without labels, and the project's own small networks from the start."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pcbench.cli.arguments import AsJson
from pcbench.cli.saying import say, say_json
from pcbench.harness.known_names import refuse_unknown_names
from pcbench.training.options import TrainOptions

if TYPE_CHECKING:
    from pcbench.cli.json_forms import FittedForm, TrainForm
    from pcbench.training.fitted import Fitted


def train_command(options: TrainOptions, as_json: AsJson = False) -> None:
    """Train a model's feedback weights by reconstruction, without labels.

    The project's own networks for digits are trained from the start, backbone first. β, λ and α: `pcbench tune`.
    """
    refuse_unknown_names(options)
    from pcbench.errors import RunError
    from pcbench.training.job import train_model
    from pcbench.training.using import command_with_trained
    from pcbench.training.watching import Bars

    with Bars() as bars:
        trained = train_model(options, bars)
    predictive = trained.network is not None
    command = command_with_trained(options, trained.weights, predictive=predictive)
    if as_json:
        fitted = [] if trained.fitted is None else _fitted_forms(trained.fitted)
        form: TrainForm = {
            "weights": str(trained.weights),
            "sha256": trained.sha256,
            "command": command,
            "predictors": fitted,
        }
        say_json(form)
    else:
        if trained.fitted is not None:
            _print_fitted(trained.fitted)
        say(f"wrote {trained.weights}, sha256 {trained.sha256}", "use it with:", f"  {command}")
    if trained.fitted is not None and trained.fitted.poor and not options["allow_poor"]:
        raise RunError(
            f"{', '.join(trained.fitted.poor)}: predicts worse than each channel's mean (R² below 0); train it on more "
            "images, by method='ridge' or for more epochs, or give `allow_poor`"
        )


def _fitted_forms(fitted: Fitted) -> list[FittedForm]:
    return [
        {"pcoder": name, "r_squared": value, "how": way}
        for name, value, way in zip(fitted.names, fitted.r_squared, fitted.ways, strict=True)
    ]


def _print_fitted(fitted: Fitted) -> None:
    from rich.table import Table

    from pcbench.terminal import Terminal
    from pcbench.training.fitted import NOT_THE_PAPERS

    table = Table(title="predictors", title_justify="left")
    for column in ("PCoder", "R²", "how"):
        table.add_column(column)
    for name, value, way in zip(fitted.names, fitted.r_squared, fitted.ways, strict=True):
        table.add_row(name, f"{value:.3f}" + (" (worse than the mean)" if name in fitted.poor else ""), way)
    console = Terminal()
    console.print(table)
    console.print(f"R² on {fitted.measured_on}", soft_wrap=True)
    if fitted.denoising:
        console.print(NOT_THE_PAPERS, soft_wrap=True)
