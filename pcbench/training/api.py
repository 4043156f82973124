"""Training and tuning for Python users."""

from __future__ import annotations

from typing import TYPE_CHECKING

from typing_extensions import Unpack

from pcbench.arguments import public, with_first
from pcbench.options import resolved
from pcbench.training.options import TrainOptions, TuneOptions

if TYPE_CHECKING:
    from pcbench.training.found import Tuned
    from pcbench.training.job import Trained


@public(TrainOptions)
def train(of_model: str | None = None, /, **options: Unpack[TrainOptions]) -> Trained:
    """Learn a model's feedback weights by reconstruction, without labels, and write them to files.

    The project's own networks for digits are trained from the start, backbone first. A stopped training goes on with
    the same call, and a finished one is not repeated. β, λ and α: `pcbench.tune`.

    Args:
        of_model: The option `model`, which may be given without its name: what `pcbench.run` takes as a text.
        **options: The options of `pcbench train`; docs/reference/options.md lists them.

    Returns:
        `.weights`, the safetensors file, `.sha256` of it, `.network`, and `.fitted.r_squared`, R² of each predictor on
        images that nothing learned from (at most 1; below 0 a predictor is worse than each channel's mean).

    Raises:
        UsageError, DataError, WeightsError: It is not possible as asked for, or files cannot be written there.
        DivergenceError: A training diverged.
        WriteError: A file could not be written; the same call goes on from the folder.
    """
    from pcbench.training.job import train_model  # PyTorch takes seconds to import
    from pcbench.training.watching import Bars

    with Bars(lines=False) as bars:
        return train_model(resolved(TrainOptions, with_first(options, of_model)), bars)


@public(TuneOptions)
def tune(of_model: str | None = None, /, **options: Unpack[TuneOptions]) -> Tuned:
    """Choose a network's β, λ and α on images of their own, and write a configuration file with them.

    Args:
        of_model: The option `model`, which may be given without its name: what `pcbench.run` takes as a text.
        **options: The options of `pcbench tune`; docs/reference/options.md lists them.

    Returns:
        `.hyperparameters`, one entry a PCoder, `.score` and `.feedforward`, whose `.value` is the accuracy at T, 0 to
        1, on the tuning images, and `.failed`, whether nothing was better than the feedforward point (β = 1,
        λ = α = 0), which is the result then. `pcbench.run(configuration=FILE)` uses the file.

    Raises:
        UsageError, DataError, WeightsError: It is not possible as asked for, or files cannot be written there.
        DivergenceError: All that was tried diverged over t, the feedforward point too.
        WriteError: The file could not be written; the same call goes on.
    """
    from pcbench.training.watching import tune_in_sight  # PyTorch takes seconds to import

    return tune_in_sight(resolved(TuneOptions, with_first(options, of_model)))
