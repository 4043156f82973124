"""How much longer a suite of attacks takes with the cheap form of the checks, which it has unless told otherwise.

All units of a run are done once, one after the other, in this process, and the processor's time of each is measured.
What the checks take is that of their units, and inside the sweeps that of scoring images at the other timesteps; so
both sides of the ratio are of one run, and a busy machine changes them alike.

    python benchmarks/cheap_checks.py [--model NAME] [--suite NAME …] [--images N] [--timesteps T]

The last line of each suite is `ratio N.NNN`: seconds with the cheap checks over seconds without.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import torch

from pcbench.attacks.sweep import Sweep
from pcbench.harness.context import Context, Job
from pcbench.harness.engines.base import perform
from pcbench.harness.plan import make_plan
from pcbench.harness.request import request_from
from pcbench.harness.transferred import Transferred
from pcbench.results.parts import Part


class Clock:
    """Counts the processor's seconds of one kind of work."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._start = 0.0

    def __enter__(self) -> None:
        self._start = time.process_time()

    def __exit__(self, *_: object) -> None:
        self.seconds += time.process_time() - self._start


def measure(model: str, suite: str, images: int, timesteps: int) -> float:
    """Do the units of a run and return the ratio."""
    request = request_from({"model": model, "suites": (suite,), "images": images, "timesteps": timesteps, "threads": 1})
    plan = make_plan(request)
    context = Context(Job(plan.spec, plan.locations, plan.objects), plan.model)
    everything, checks, scored = Clock(), Clock(), Clock()
    add = Transferred.add

    def timed(self: Transferred, found: Sweep) -> None:
        with scored:
            add(self, found)

    Transferred.add = timed  # type: ignore[method-assign]
    tables: dict[str, Any] = {}
    for unit in plan.units:
        if unit.work not in ("scores", "attacks", "evidence"):
            continue
        with everything, checks if unit.work == "evidence" else Clock():
            part = perform(unit, {path: tables[path] for path in unit.after}, context)
        if not isinstance(part, Part):
            raise SystemExit(part.reason)
        tables[unit.path] = part.table
    Transferred.add = add  # type: ignore[method-assign]
    added = checks.seconds + scored.seconds
    print(
        f"{suite}: {everything.seconds:.1f} s, of them {checks.seconds:.1f} s checks, {scored.seconds:.1f} s transfer"
    )
    return everything.seconds / (everything.seconds - added)


def main() -> None:
    """Measure each suite."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="pdigits")
    parser.add_argument("--suite", nargs="*", default=["digits-linf", "linf"])
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--timesteps", type=int, default=8)
    options = parser.parse_args()
    torch.set_num_threads(1)
    for suite in options.suite:
        print(f"ratio {measure(options.model, suite, options.images, options.timesteps):.3f}", flush=True)


if __name__ == "__main__":
    main()
