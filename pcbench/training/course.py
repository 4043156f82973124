"""The course of a tuning: all that was tried, in a file from which a stopped tuning goes on."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

from pcbench.arguments import shown
from pcbench.errors import DataError, UsageError, damage_refused
from pcbench.files import is_file, write
from pcbench.limits.text import read_json
from pcbench.network.update import Hyperparameters
from pcbench.training.descent import Descent
from pcbench.training.found import Tried, as_table, score_of
from pcbench.training.validation import Score

_REMEDY = "delete it to tune again"


class Course:
    """What was tried so far, stage by stage; each score is on the disk before the next is asked for.

    Args:
        path: The file.
        identity: What is tuned, on what and how; the file of another tuning that is done is replaced.

    Raises:
        UsageError: The file is of another tuning that was stopped, whose work would be lost.
        DataError: The file is damaged.
    """

    def __init__(self, path: Path, identity: Mapping[str, Any]) -> None:
        self.path = path
        self._content: dict[str, Any] = {"identity": json.loads(json.dumps(identity)), "stages": {}, "result": None}
        self.resumed = False
        """Whether it goes on with what an earlier process did."""
        if not is_file(path):
            return
        with damage_refused(path, "is damaged", _REMEDY, kind=DataError):
            held = read_json(path)
            own, others = self._content["identity"], dict[str, Any](held["identity"])
            if others != own and held["stages"] and held["result"] is None:
                told = "; ".join(dict.fromkeys(_differences(others, own)))
                raise UsageError(
                    f"{path}: is of another tuning, which was stopped ({told}): the command of that one goes on with "
                    "it; give another `out`, or delete the file"
                )
            if others == own:
                self._content, self.resumed = held, bool(held["stages"])

    def tried(self, stage: str) -> list[Tried]:
        """Return what a stage has tried so far."""
        found = self._content["stages"].get(stage, {"tried": []})["tried"]
        with damage_refused(self.path, "is damaged", _REMEDY, kind=DataError):
            return [_tried(one) for one in found]

    def is_done(self, stage: str) -> bool:
        """Return whether a stage is at its end."""
        return bool(self._content["stages"].get(stage, {}).get("done"))

    def point(self, stage: str, entries: Sequence[Hyperparameters], score: Callable[[], Score]) -> Tried:
        """Return some hyperparameters with their score, which is asked for where no earlier process wrote it down."""
        found = self.tried(stage)
        if found:
            return found[0]
        made = Tried(tuple(entries), score())
        self._keep(stage, [made], None, done=True)
        return made

    def descent(self, stage: str, descent: Descent, watch: Callable[[int, Tried | None], None]) -> list[Tried]:
        """Run a descent to its end, from where an earlier process left it.

        Args:
            stage: Its name.
            descent: It.
            watch: Called after each step with the number of steps that are done and what was scored, if it was.
        """
        found = self.tried(stage)
        if self.is_done(stage):
            return found
        state = self._content["stages"].get(stage, {}).get("state")
        if state is not None:
            with damage_refused(self.path, "is damaged", _REMEDY, RuntimeError, kind=DataError):
                descent.restore(state)
        for one in descent.run():
            if one is not None:
                found.append(one)
                self._keep(stage, found, descent.state(), done=False)
            watch(descent.step, one)
        self._keep(stage, found, None, done=True)
        return found

    def proposed(
        self,
        stage: str,
        propose: Callable[[Callable[[tuple[Hyperparameters, ...]], Score]], Iterator[Tried]],
        score: Callable[[tuple[Hyperparameters, ...]], Score],
        watch: Callable[[int, Tried | None], None],
    ) -> list[Tried]:
        """Run a search to its end; what an earlier process scored is not scored again.

        Args:
            stage: Its name.
            propose: Begins the search with the function that scores its proposals.
            score: Scores a proposal.
            watch: As for `descent`, after each proposal.
        """
        known, found = self.tried(stage), list[Tried]()
        for one in propose(lambda entries: known[len(found)].score if len(found) < len(known) else score(entries)):
            found.append(one)
            if len(found) > len(known):
                self._keep(stage, found, None, done=False)
            watch(len(found), one)
        return found

    def finish(self, result: Mapping[str, Any]) -> None:
        """Write down what came of it."""
        self._content["result"] = json.loads(json.dumps(_plain(result)))
        self._write()

    def _keep(self, stage: str, tried: Sequence[Tried], state: Mapping[str, Any] | None, *, done: bool) -> None:
        entries = [
            {"hyperparameters": as_table(one.hyperparameters), "score": _plain(asdict(one.score))} for one in tried
        ]
        self._content["stages"][stage] = {"tried": entries, "state": state, "done": done}
        self._write()

    def _write(self) -> None:
        write(self.path, json.dumps(self._content, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def _differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """Yield in what two tunings differ, in words."""
    for name in sorted({*before, *now}):
        old: object = before.get(name)
        new: object = now.get(name)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            yield from _differences(cast("Mapping[str, Any]", old), cast("Mapping[str, Any]", new))
        elif old != new:
            yield f"{name} was {shown(cast('object', old))}, now {shown(cast('object', new))}"


def _tried(record: Mapping[str, Any]) -> Tried:
    score = record["score"]
    rows = [[math.inf if value is None else value for value in row] for row in score["cross_entropies"]]
    entries = tuple(Hyperparameters(*entry) for entry in record["hyperparameters"])
    return Tried(entries, score_of({**score, "cross_entropies": rows}))


def _plain(value: Any) -> Any:
    """Return a value as JSON has it, where no number is infinite."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _plain(entry) for key, entry in value.items()}  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]  # pyright: ignore[reportUnknownVariableType]
    return value
