"""`pcbench plan`: what a run will cost, before anything of it is computed."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from typing import TYPE_CHECKING

from pcbench.cli.arguments import AsJson
from pcbench.cli.saying import say, say_json
from pcbench.harness.forecast import PlanOptions, forecast
from pcbench.percent import percent, shown_bytes

if TYPE_CHECKING:
    from pcbench.harness.estimate import RunEstimate
    from pcbench.harness.fitting_batch import FittingBatch


def plan_command(options: PlanOptions, given: Collection[str], as_json: AsJson = False) -> None:
    """Say what a run will cost: passes, disk, memory, the batch that fits it, and with --measure hours.

    It takes every option of `pcbench run` and computes nothing, unless it measures.
    """
    show_estimate(forecast({name: options[name] for name in given}), as_json=as_json)
    if options["save_spec"] is not None and not as_json:
        say(f"saved in {options['save_spec']}")


def show_estimate(found: RunEstimate, *, as_json: bool = False) -> None:
    """Print an estimate: a table of the work, and a line for each other number; or the same as JSON."""
    if as_json:
        say_json({**dataclasses.asdict(found), "shards": found.shards})
        return
    from rich.table import Table

    from pcbench.terminal import Terminal

    part = " (a SUBSET of the images)" if found.subset else ""
    table = Table(title=f"{found.model} on {found.images} images{part}, key {found.key[:12]}")
    for column in ("suite", "work"):
        table.add_column(column)
    for column in ("units", "images", "forward", "gradient", "usually left"):
        table.add_column(column, justify="right")
    for one in found.work:
        passes = one.passes
        share = "" if passes.usual == 1 else f"{percent(passes.usual, 0)} %"
        numbers = (str(one.units), str(one.images), _count(passes.forward), _count(passes.gradients), share)
        table.add_row(one.suite, one.name, *numbers)
    table.add_section()
    share = f"{percent(found.usual_share, 0)} %"
    numbers = (_count(found.forward_passes), _count(found.gradient_passes), share)
    table.add_row("all", "at most", str(found.units), str(found.images), *numbers)
    console = Terminal()
    console.print(table)
    for line in _lines(found):
        console.print(line, soft_wrap=True)


def _lines(found: RunEstimate) -> list[str]:
    from pcbench.harness.costs import ASCENDING_SHARE, BRACKETED_SHARE, SHARES_FROM
    from pcbench.harness.durations import shown_duration

    memory = "unknown: the network cannot be followed without computing"
    if found.worker_bytes is not None:
        memory = shown_bytes(found.worker_bytes)
    shares = (
        f"{percent(BRACKETED_SHARE, 0)} % of a sweep that brackets, {percent(ASCENDING_SHARE, 0)} % of one that ascends"
    )
    lines = [
        "Passes take one image through one timestep, forward or also back for a gradient; these are upper bounds.",
        f"Usually left by skipping and early stops: {shares}, as measured on {SHARES_FROM}.",
        f"Conditions: {found.conditions}. Blocks of images in each, at most: {found.blocks}.",
        f"Disk: about {shown_bytes(found.disk_bytes)}, most of it while the run is finished.",
        f"Memory of a worker: {memory}. Workers on this machine: {found.workers}.",
        _batch(found.batch),
        *_time(found),
        *_share(found),
    ]
    if found.command is not None:
        fits = "" if found.budget_hours is None else f" {shown_duration(3600 * found.budget_hours)}"
        lines += [f"The largest run that fits{fits}:", found.command]
    return lines


def _batch(found: FittingBatch | None) -> str:
    """Return which batch fits, for how much memory that was computed, and that another one is another run."""
    if found is None:
        return "Batch that fits: unknown, as the network's memory or the device's is."
    fits = "not even one image fits: try --recompute, or fewer workers"
    if found.largest:
        fits = f"of its halves and doubles up to a block, {found.largest} is the largest that fits"
    needs = f"{shown_bytes(found.image_bytes)} an image, {shown_bytes(found.other_bytes)} for all else"
    where = "on this machine" if found.device == "cpu" else f"on {found.device}"
    shared = f", for {found.sharing} workers" if found.sharing > 1 else ""
    room = f"{percent(found.used_share, 0)} % of the {shown_bytes(found.free_bytes)} free {where}{shared}"
    return f"Batch: {found.planned} images planned; {fits} ({needs}, in {room}). The batch size is in the key."


def _share(found: RunEstimate) -> list[str]:
    one = found.share
    if one is None:
        return []
    name = one.shard[0].upper() + one.shard[1:]
    return [f"{name}: {one.units} of {found.units} units, {percent(one.share, 1)} % of the estimated cost."]


def _time(found: RunEstimate) -> list[str]:
    from pcbench.harness.durations import shown_duration

    wished = found.hours_per_shard
    if found.hours is None:
        remedy = "Time: not measured; --measure does a few units, for a minute at most."
        shards = [f"Shards of {wished:g} h: need a measured speed; give --measure as well."] if wished else []
        return [remedy, *shards]
    hours = found.hours
    low, expected, high, most = (
        shown_duration(3600 * value) for value in (hours.low, hours.expected, hours.high, hours.most)
    )
    lines = [f"Time of one worker here: {expected} ({low} to {high}); {most} if nothing is skipped."]
    if found.workers > 1:
        lines.append(f"Time of {found.workers} workers: {shown_duration(3600 * hours.expected / found.workers)}.")
    lines.append(
        f"Measured for {hours.seconds:.0f} s" + (f"; not seen: {', '.join(hours.unseen)}." if hours.unseen else ".")
    )
    if found.shards is not None:
        short = ", of one unit each, which take longer" if found.shards_are_too_long else ""
        lines.append(f"Shards of {wished:g} h, at the slowest speed seen: {found.shards}{short}.")
    return lines


def _count(passes: float) -> str:
    """Return a number of passes in at most four digits."""
    for unit, word in ((1e12, " T"), (1e9, " G"), (1e6, " M"), (1e3, " k")):
        if passes >= 10 * unit:
            return f"{passes / unit:.0f}{word}"
        if passes >= unit:
            return f"{passes / unit:.1f}{word}"
    return f"{passes:.0f}"
