"""What is known of the gradients of a run's attacks: the verdicts of its checks, and what its tables count always."""

from __future__ import annotations

from pcbench.metrics.lost_gradients import lost_gradient_reasons
from pcbench.results.directory import Run
from pcbench.results.verdicts import Verdicts, read_verdicts


def verdicts_of(run: Run) -> Verdicts:
    """Return what is known of a run's attacks.

    Raises:
        DataError: `checks.json` or the metrics are damaged.
    """
    metrics = run.metrics
    attacks = metrics[metrics["kind"] == "attack"][["suite", "timestep"]].drop_duplicates()
    attacked = [(str(suite), int(t)) for suite, t in zip(attacks["suite"], attacks["timestep"], strict=True)]
    return Verdicts(
        entries={(entry.suite, entry.timestep): entry for entry in read_verdicts(run.folder)},
        warnings={(suite, t): lost_gradient_reasons(metrics, suite, t) for suite, t in attacked},
    )
