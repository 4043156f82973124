"""Progress of a training in a terminal: one bar per stage, with losses and the time left."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

from pcbench.terminal import Terminal, column
from pcbench.training.job import Watcher
from pcbench.training.loop import Reporter


class Bars(Watcher):
    """Draws a bar for each stage; without a terminal it prints a line at each tenth of the way."""

    def __init__(self) -> None:
        self._console = console = Terminal(stderr=True)
        self._progress = Progress(
            column("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            column("{task.fields[note]}"),
            TimeRemainingColumn(elapsed_when_finished=True),
            console=console,
            disable=not console.is_terminal,
        )

    def __enter__(self) -> Bars:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def steps(self, stage: str) -> Reporter:
        """Return a function that draws the steps of one stage."""
        task = self._progress.add_task(stage, total=None, note="")

        def report(done: int, total: int, losses: Mapping[str, float]) -> None:
            note = " ".join(f"{term} {loss:.4g}" for term, loss in losses.items())
            self._progress.update(task, completed=done, total=total, note=note)
            self._log(stage, done, total, note)

        return report

    def _log(self, stage: str, done: int, total: int, note: str) -> None:
        if self._progress.disable and done * 10 // total > (done - 1) * 10 // total:
            self._console.print(f"{stage}: {done} of {total}, {note}", soft_wrap=True)
