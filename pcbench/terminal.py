"""The one way to a terminal: what is printed is shown literally, whatever a name in it holds.

A name may hold Rich's markup, such as ``[bold]``, or characters by which a terminal is controlled: colours, links,
a new title, going back over what was printed.
"""

from __future__ import annotations

import html
import importlib
import math
import time
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.text import Text

from pcbench.escaping import printable

_SECONDS_BETWEEN_DRAWINGS = 0.5


class Terminal(Console):
    """A console that takes no text for markup, and shows characters that would control the terminal as numbers.

    Text of our own that has a style, or several lines, is given as `rich.text.Text`, which is printed as it is.

    Args:
        **options: Of `rich.console.Console`.
    """

    def __init__(self, **options: Any) -> None:
        literal: Any = {"markup": False, "emoji": False, "highlight": False}
        super().__init__(**options | literal)

    def render_str(self, text: str, **options: Any) -> Text:
        """Return a text as Rich prints it."""
        literal: Any = {"markup": False, "emoji": False}
        return super().render_str(printable(text), **options | literal)


class NotebookBar:
    """A progress bar in a notebook's cell, of HTML alone: Rich's own needs another package, and warns without it."""

    def __init__(self) -> None:
        self._state: dict[str, Any] = {}
        self._handle: Any = None
        self._drawn = -math.inf

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def add_task(self, description: str, total: float | None = None, **fields: Any) -> TaskID:
        """Begin; it shows one task."""
        self._state = {"description": description, "total": total, "completed": 0.0, **fields}
        return TaskID(0)

    def start(self) -> None:
        """Show it."""
        display: Any = importlib.import_module("IPython.display")  # it is there wherever a notebook is
        self._handle = display.display(self._shown(), raw=True, display_id=True)

    def update(self, task_id: TaskID, **changes: Any) -> None:
        """Change what it shows, at most twice a second."""
        del task_id
        self._state |= changes
        if time.monotonic() - self._drawn > _SECONDS_BETWEEN_DRAWINGS:
            self._draw()

    def stop(self) -> None:
        """Show the end."""
        self._draw()

    def _draw(self) -> None:
        self._drawn = time.monotonic()
        if self._handle is not None:
            self._handle.update(self._shown(), raw=True)

    def _shown(self) -> dict[str, str]:
        state: dict[str, Any] = {"total": None, "completed": 0.0, "description": "", **self._state}
        more = [str(state[name]) for name in ("rate", "left", "note") if state.get(name)]
        share: float = state["completed"] / state["total"] if state["total"] else 0.0
        text = printable(", ".join([state["description"], *more]))
        return {
            "text/plain": text,
            "text/html": f'<progress max="1" value="{share:.3f}"></progress> {html.escape(text)}',
        }


def labelled(label: str, text: str) -> Text:
    """Return a line that begins with a label in bold, such as ``note:``."""
    return Text.assemble((label, "bold"), " ", printable(text))


def column(form: str) -> TextColumn:
    """Return a column of a progress bar, in which names are no markup; see `rich.progress.TextColumn`."""
    return TextColumn(form, markup=False)


def bar() -> Progress | NotebookBar:
    """Return a progress bar for work whose parts are alike; without a terminal or a notebook it draws nothing."""
    console = Terminal(stderr=True)
    if console.is_jupyter:
        return NotebookBar()
    columns = (column("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, disable=not console.is_terminal)
