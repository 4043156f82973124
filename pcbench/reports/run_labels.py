"""The names of runs that are shown together."""

from __future__ import annotations

from collections.abc import Sequence

from pcbench.results.directory import Run


def run_labels(runs: Sequence[Run]) -> list[str]:
    """Return a name for each run: the model's, with the run's key where several have it."""
    names = [str(run.spec.model["name"]) for run in runs]
    return [name if names.count(name) == 1 else f"{name} ({run.key})" for name, run in zip(names, runs, strict=True)]
