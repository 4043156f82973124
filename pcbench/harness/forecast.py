"""Before a run: what it will cost, how long it takes on this machine, and which part of it fits a budget."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Ge, Le
from typing_extensions import Unpack

from pcbench.arguments import public, with_first
from pcbench.errors import UsageError
from pcbench.harness.durations import read_duration
from pcbench.harness.known_names import refuse_unknown_names
from pcbench.harness.request import Model, RunOptions, request_from
from pcbench.harness.shard_numbers import read_shard
from pcbench.options import Option, declared, resolved

if TYPE_CHECKING:
    from pcbench.harness.estimate import RunEstimate
    from pcbench.harness.plan import Plan

_PLAN = "The plan"


class PlanOptions(RunOptions, total=False):
    """The options of a plan: those of a run, and what is to be known of it."""

    measure: Annotated[bool, Option("Do a few units, for a minute at most, to tell hours.", _PLAN, default=False)]
    """Nothing is kept of them."""
    budget: Annotated[str | None, Option("Print the largest run that fits: 2h, 90min, 1:30:00.", _PLAN)]
    """It measures as `measure` does. The images are spread over the classes, and the same for every condition."""
    hours_per_shard: Annotated[
        float | None,
        Ge(0.001),
        Le(100_000),
        Option("Tell how many shards take so many hours each.", _PLAN, flags=("--hours-per-shard",)),
    ]
    """It needs a measured speed: give `measure` as well."""
    save_spec: Annotated[Path | str | None, Option("Save the plan in this folder, for shards and workers.", _PLAN)]
    """`pcbench run --spec` takes it."""


@public(PlanOptions)
def plan(
    of_model: Model | None = None, on_suites: Sequence[str] | None = None, /, **options: Unpack[PlanOptions]
) -> RunEstimate:
    """Say what a run will cost, without computing it.

    Args:
        of_model: The option `model`, which may be given without its name.
        on_suites: The option `suites`, which may be given without its name too.
        **options: The options of `pcbench plan`; docs/reference/options.md lists them.

    Returns:
        Units, images, passes, bytes, and, where it was measured, hours.

    Raises:
        UsageError: The request is wrong or impossible, or no sensible part of it fits the budget.
    """
    return forecast(with_first(options, of_model, on_suites))


def forecast(given: Mapping[str, Any]) -> RunEstimate:
    """Do what `plan` does, for options that are given by name.

    Raises:
        UsageError: As for `plan`.
    """
    options = resolved(PlanOptions, given)
    seconds = None if options["budget"] is None else read_duration("budget", options["budget"])
    request = request_from(_named(given, declared(RunOptions)))
    refuse_unknown_names(request)
    shard = None if request["shard"] is None else read_shard(request["shard"])
    if seconds is not None and request["spec"] is not None:
        raise UsageError("a saved plan has its images already: give a budget without `spec`")
    from pcbench.harness.estimate import estimate, share_cost
    from pcbench.harness.saved_plan import plan_for, write_plan

    made = plan_for(request)
    share = None if shard is None else share_cost(made, shard)
    workers = None if request["workers"] == "auto" else request["workers"]
    found = dataclasses.replace(estimate(made, workers), hours_per_shard=options["hours_per_shard"], share=share)
    if options["save_spec"] is not None:
        write_plan(made, Path(options["save_spec"]))
    if options["measure"] or seconds is not None:
        found = _measured(request, made, found, seconds)
    return found


def _measured(request: RunOptions, made: Plan, found: RunEstimate, budget: float | None) -> RunEstimate:
    """Return an estimate with hours, and with the command that fits a budget where there is one."""
    from pcbench.harness.budget import fitting_command
    from pcbench.harness.measuring import measure_speed

    speeds = measure_speed(made)
    found = dataclasses.replace(found, hours=speeds.hours(made.units))
    if budget is None:
        return found
    asked = request["workers"]
    workers = found.workers if asked == "auto" else asked
    return dataclasses.replace(
        found, budget_hours=budget / 3600, command=fitting_command(request, made, speeds, budget, workers)
    )


def _named(given: Mapping[str, Any], known: Collection[str]) -> dict[str, Any]:
    return {name: value for name, value in given.items() if name in known}
