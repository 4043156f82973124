"""`pcbench train`: learn feedback weights without labels, and the project's own small networks from the start."""

from __future__ import annotations

from pcbench.cli.saying import say
from pcbench.training.options import TrainOptions


def train_command(options: TrainOptions) -> None:
    """Train a model's feedback weights by reconstruction, without labels.

    The project's own networks for digits are trained from the start: backbone, feedback weights, hyperparameters.
    """
    from pcbench.training.job import train
    from pcbench.training.watching import Bars

    with Bars() as bars:
        trained = train(options, bars)
    say(f"wrote {trained.weights}, sha256 {trained.sha256}")
    if trained.configuration is not None:
        say(f"wrote {trained.configuration}")
