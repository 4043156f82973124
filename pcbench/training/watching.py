"""Progress of trainings and tunings in a terminal or a notebook: a bar a stage, with losses and the time left."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

from pcbench.escaping import printable
from pcbench.terminal import NotebookBar, Terminal, bar, column
from pcbench.training.found import Tuned
from pcbench.training.job import Watcher
from pcbench.training.loop import Reporter
from pcbench.training.options import TuneOptions
from pcbench.training.tuning import tune_model


class Bars(Watcher):
    """Draws a bar for each stage, in a terminal or in a notebook's cell.

    Args:
        lines: Whether to print a line at each tenth of the way where there is neither.
    """

    def __init__(self, *, lines: bool = True) -> None:
        self._console = console = Terminal(stderr=True)
        self._lines = lines and not (console.is_terminal or console.is_jupyter)
        self._cells: list[NotebookBar] = []
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
        for shown in self._cells:
            shown.stop()

    def steps(self, stage: str) -> Reporter:
        """Return a function that draws the steps of one stage."""
        drawn: Progress | NotebookBar = self._progress
        if self._console.is_jupyter:
            drawn = NotebookBar()
            self._cells.append(drawn)
            drawn.start()
        task = drawn.add_task(stage, total=None, note="")

        def report(done: int, total: int, losses: Mapping[str, float]) -> None:
            note = " ".join(f"{term} {loss:.4g}" for term, loss in losses.items())
            drawn.update(task, completed=done, total=total, note=note)
            self._log(stage, done, total, note)

        return report

    def _log(self, stage: str, done: int, total: int, note: str) -> None:
        if self._lines and done * 10 // total > (done - 1) * 10 // total:
            self._console.print(f"{stage}: {done} of {total}, {note}", soft_wrap=True)


def tune_in_sight(options: TuneOptions) -> Tuned:
    """Tune a network, with a bar in a terminal or in a notebook's cell; see `tune_model`."""
    with bar() as progress:
        task = progress.add_task(printable(f"tuning {options['model']}"), total=None)
        return tune_model(options, lambda done, total, _: progress.update(task, completed=done, total=total))
