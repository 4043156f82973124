"""The state of all shards of a run in one table: done, running, stopped, failed, and what has not begun."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from pcbench.cli.json_forms import ShardStateForm
from pcbench.errors import DataError
from pcbench.harness.durations import shown_duration
from pcbench.harness.shard_folders import ShardFolder, array_list
from pcbench.limits.text import read_json
from pcbench.percent import percent
from pcbench.results.directory import FAILURE, PROGRESS, partial_folder
from pcbench.results.shard import open_shard
from pcbench.terminal import Terminal


@dataclass(frozen=True)
class ShardState:
    """What is known of a shard from outside."""

    word: str
    """``"done"``, ``"running"``, ``"stopped"`` or ``"failed"``."""
    share: float | None = None
    """How much of its work is done, 0 to 1; None where it does not say."""
    seconds_left: float | None = None
    """How long it still takes; None where it does not say."""
    note: str = ""
    """Who works on it, or why it failed."""


def print_shards(found: Sequence[ShardFolder], console: Terminal | None = None) -> None:
    """Print one line a shard, and a summary with the time left.

    Args:
        found: The shards' folders.
        console: Where to print; the terminal by default.
    """
    from pcbench.cli.main import with_flags  # it imports the verbs, and these import this

    console = console or Terminal(soft_wrap=True)
    states = {one: shard_state(one) for one in found}
    table = Table(title=_summary(states), title_justify="left")
    for name in ("shard", "state", "done", "left", ""):
        table.add_column(name, justify="right" if name in ("shard", "done", "left") else "left", overflow="fold")
    for one, state in states.items():
        number = one.folder.name if one.named is None else f"{one.named.number}/{one.named.of}"
        done = "" if state.share is None else f"{percent(state.share, 0)} %"
        table.add_row(number, state.word, done, _duration(state.seconds_left), with_flags(state.note))
    console.print(table)
    absent = not_begun(found)
    if absent:
        console.print(f"not begun: {array_list(absent)}", soft_wrap=True)


def shard_forms(found: Sequence[ShardFolder]) -> list[ShardStateForm]:
    """Return the same as `--json` prints it."""
    states = ((one, shard_state(one)) for one in found)
    return [
        {
            "folder": str(one.folder),
            "state": state.word,
            "share": state.share,
            "seconds_left": state.seconds_left,
            "note": state.note,
        }
        for one, state in states
    ]


def shard_state(one: ShardFolder) -> ShardState:
    """Return what is known of a shard."""
    progress = _read(partial_folder(one.folder) / PROGRESS)
    share = _number(progress.get("share"))
    if one.holder is not None:
        who = f"process {one.holder.process} on host {one.holder.host}"
        # An earlier, stopped process may have left its own file.
        if (_number(progress.get("written")) or 0.0) < one.holder.began.timestamp():
            return ShardState("running", note=f"{who}: starting")
        left = _number(progress.get("seconds_left"))
        since = max(time.time() - (_number(progress.get("written")) or 0.0), 0.0)
        return ShardState("running", share, None if left is None else max(left - since, 0.0), who)
    if one.is_finished:
        return _finished(one.folder)
    failure = _read(partial_folder(one.folder) / FAILURE).get("reason")
    if failure is not None:
        return ShardState("failed", share, note=str(failure))
    return ShardState("stopped", share, note="the same command resumes it")


def not_begun(found: Sequence[ShardFolder]) -> list[int]:
    """Return the numbers of the shards that have no folder, out of as many as most folders' names say."""
    counts = Counter(one.named.of for one in found if one.named is not None)
    if not counts:
        return []
    of = counts.most_common(1)[0][0]
    there = {one.named.number for one in found if one.named is not None and one.named.of == of}
    return [number for number in range(1, of + 1) if number not in there]


def _finished(folder: Path) -> ShardState:
    try:
        shard = open_shard(folder, verify=False)
    except DataError as error:
        return ShardState("failed", note=str(error))
    failures = shard.failures
    if not failures:
        return ShardState("done", 1.0)
    return ShardState("done", 1.0, note=f"without {len(failures)} units: {next(iter(failures.values()))}")


def _summary(states: Mapping[ShardFolder, ShardState]) -> str:
    counts = Counter(state.word for state in states.values())
    absent = len(not_begun(list(states)))
    words = [f"{counts[word]} {word}" for word in ("done", "running", "failed", "stopped") if counts[word]]
    words += [f"{absent} not begun"] if absent else []
    left = [state.seconds_left for state in states.values() if state.seconds_left is not None]
    ending = f"; the running ones need about {shown_duration(max(left))}" if left else ""
    return f"{len(states) + absent} shards: {', '.join(words)}{ending}"


def _duration(seconds: float | None) -> str:
    return "" if seconds is None else shown_duration(seconds)


def _read(path: Path) -> dict[str, Any]:
    try:
        return dict(read_json(path))
    except (DataError, OSError, ValueError, TypeError):
        return {}


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None
