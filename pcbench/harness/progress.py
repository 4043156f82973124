"""How far a run is: a bar in a terminal, readable lines in a log, and a file that another terminal can read."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from pcbench.errors import WriteError
from pcbench.escaping import printable
from pcbench.harness.blocks import Unit
from pcbench.harness.durations import shown_duration
from pcbench.harness.time_left import TimeLeft
from pcbench.percent import percent
from pcbench.results.directory import PROGRESS, write_json

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from pcbench.terminal import NotebookBar, Terminal

logger = logging.getLogger("pcbench")

_SECONDS_BETWEEN_FILES = 2.0
_SECONDS_BETWEEN_LINES = 30.0
_SECONDS_BETWEEN_ESTIMATES = 1.0


@dataclasses.dataclass
class _Count:
    ended: float = 0.0
    inside: float = 0.0
    images: int = 0
    units: int = 0
    title: str = ""

    @property
    def done(self) -> float:
        """Work of the finished units, and the reported work of those under way."""
        return self.ended + self.inside


class RunProgress:
    """Counts the work that is done and shows it.

    Work is counted in passes of one image through the network, so that an attack counts more than a corrupted image.
    The time left is learned from what units of each kind took (`pcbench.harness.time_left`).

    Args:
        folder: The run's unfinished folder; `progress.json` is kept up to date in it.
        units: All units of the run.
        console: Where to draw; a console that is not a terminal gets log lines; None shows no progress.
        several: Whether several units are under way at a time.
        finishing: Seconds of a free processor that the tables and pages take after the last unit.
    """

    def __init__(
        self,
        folder: Path,
        units: Sequence[Unit],
        console: Terminal | None,
        *,
        several: bool = False,
        finishing: float = 0.0,
    ) -> None:
        self._several = several
        self._folder, self._units, self._work = folder, len(units), max(sum(unit.cost for unit in units), 1.0)
        self._left, self._finishing = TimeLeft(units), finishing
        self._processor = time.process_time()
        self._console = console
        self._count = _Count()
        self._waited = self._elapsed = 0.0
        self._start = self._last_file = self._last_line = time.monotonic()
        self._known: float | None = None
        self._asked = 0.0
        self._bar: Progress | NotebookBar | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> RunProgress:
        if self._console is not None and (self._console.is_terminal or self._console.is_jupyter):
            from rich.progress import BarColumn, Progress  # what is drawn in a terminal alone

            from pcbench.terminal import NotebookBar, column

            columns = (
                column("{task.description}"),
                BarColumn(bar_width=None),
                column("{task.percentage:>3.0f} %"),
                column("{task.fields[rate]}"),
                column("{task.fields[left]}"),
            )
            self._bar = NotebookBar() if self._console.is_jupyter else Progress(*columns, console=self._console)
            self._task = self._bar.add_task("starting", total=self._work, rate="", left="")
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None and self._task is not None:
            if self._count.units == self._units:
                self._bar.update(self._task, left="")  # it stays in a notebook's cell
            self._bar.stop()
        self._write_file()

    def skip(self, unit: Unit) -> None:
        """Count a unit that an earlier, stopped run has already finished."""
        self._count.units += 1
        self._count.ended += unit.cost
        self._left.skip(unit)
        self._advance()

    def begin(self, unit: Unit) -> None:
        """Show a unit that starts."""
        self._count.title = unit.title
        self._left.begin(unit)
        self._show()

    def step(self, work: float, images: int) -> None:
        """Count work inside a unit that is under way."""
        self._count.images += images
        self._count.inside += work
        self._left.step(work)
        self._advance()

    def end(self, unit: Unit) -> None:
        """Count a unit that is done, with its estimated work in place of the work counted inside it."""
        self._count.units += 1
        self._count.inside = max(0.0, self._count.inside - unit.cost) if self._several else 0.0
        self._count.ended += unit.cost
        self._left.end(unit)
        self._advance()

    def wait(self, waited: float, elapsed: float) -> None:
        """Count the seconds that the network waited for images, out of those that passed."""
        self._waited += waited
        self._elapsed += elapsed

    @property
    def waited_share(self) -> float | None:
        """The share of the time that the network waited for images; None where none were prepared ahead."""
        return self._waited / self._elapsed if self._elapsed else None

    def _advance(self) -> None:
        self._show()
        now = time.monotonic()
        if now - self._last_file > _SECONDS_BETWEEN_FILES:
            self._write_file()
            self._last_file = now
        if self._bar is None and self._console is not None and now - self._last_line > _SECONDS_BETWEEN_LINES:
            logger.info("%s", self.sentence())
            self._last_line = now

    def _show(self) -> None:
        if self._bar is not None and self._task is not None:
            left = self._seconds_left()
            self._bar.update(
                self._task,
                completed=self._count.done,
                description=printable(f"{self._number()}/{self._units} {self._count.title}"),
                rate=f"{self._images_per_second():.0f} images/s",
                left="" if left is None else f"{shown_duration(left)} left",
            )

    def _number(self) -> int:
        """Return which condition is under way, from 1."""
        return min(self._count.units + 1, self._units)

    def _images_per_second(self) -> float:
        return self._count.images / max(time.monotonic() - self._start, 1e-3)

    def _seconds_left(self) -> float | None:
        """Return the time left; it is worked out once a second, because each batch asks for it."""
        now = time.monotonic()
        if self._known is None or now - self._asked > _SECONDS_BETWEEN_ESTIMATES:
            units, self._asked = self._left.seconds(), now
            self._known = None if units is None else units + self._finishing * self._slowness(now)
        return self._known

    def _slowness(self, now: float) -> float:
        """Return how many times longer this process takes than its processor time, because others share the cores.

        Where other processes do the units, this one waits for them, and it is not known.
        """
        used = time.process_time() - self._processor
        return 1.0 if self._several or used <= 0 else max(1.0, (now - self._start) / used)

    def sentence(self) -> str:
        """Return how far the run is, in words."""
        left = self._seconds_left()
        remaining = "" if left is None else f", about {shown_duration(left)} left"
        share = self._count.done / self._work
        return (
            f"{percent(share, 0)} % done, condition {self._number()} of {self._units} "
            f"({self._count.title}), {self._images_per_second():.0f} images/s{remaining}"
        )

    def _write_file(self) -> None:
        if self._folder.is_dir():
            content = {
                "share": self._count.done / self._work,
                "conditions_done": self._count.units,
                "conditions": self._units,
                "condition": self._count.title,
                "images_per_second": self._images_per_second(),
                "seconds_left": self._seconds_left(),
                "sentence": self.sentence(),
                "written": time.time(),
            }
            # A full disk must not make the unit under way fail, and must not hide the error that stopped the run.
            with contextlib.suppress(WriteError):
                write_json(self._folder / PROGRESS, content)
