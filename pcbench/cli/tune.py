"""`pcbench tune`: choose β, λ and α of every PCoder on validation images."""

from __future__ import annotations

from pcbench.cli.saying import say
from pcbench.escaping import printable
from pcbench.training.options import TuneOptions, file_of


def tune_command(options: TuneOptions) -> None:
    """Tune a network's hyperparameters for clean and noisy accuracy, never on images that results are reported on."""
    from pcbench.models.conversions import SEPARATOR
    from pcbench.terminal import bar
    from pcbench.training.tuning import tune

    with bar() as progress:
        task = progress.add_task(printable(f"tuning {options['model']}"), total=options["rounds"])
        tuned = tune(options, lambda done, total, _: progress.update(task, completed=done, total=total))
    say(f"accuracy at T {tuned.score.value:.4f} (t = 0: {tuned.score.start:.4f}); wrote {file_of(options)}")
    _, separator, backbone = options["model"].partition(SEPARATOR)
    if separator:
        say(f"run it with: pcbench run --model {file_of(options)}@{backbone}, and the weights that it was tuned with")
