"""The one way to a terminal: what is printed is shown literally, whatever a name in it holds.

A name may hold Rich's markup, such as ``[bold]``, or characters by which a terminal is controlled: colours, links,
a new title, going back over what was printed.
"""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.text import Text

from pcbench.escaping import printable


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


def labelled(label: str, text: str) -> Text:
    """Return a line that begins with a label in bold, such as ``note:``."""
    return Text.assemble((label, "bold"), " ", printable(text))


def column(form: str) -> TextColumn:
    """Return a column of a progress bar, in which names are no markup; see `rich.progress.TextColumn`."""
    return TextColumn(form, markup=False)


def bar() -> Progress:
    """Return a progress bar for work whose parts are alike; without a terminal it draws nothing."""
    console = Terminal(stderr=True)
    columns = (column("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, disable=not console.is_terminal)
