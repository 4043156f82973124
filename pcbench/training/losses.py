"""The record of a training: losses as CSV, as TensorBoard events where that library is installed, and as a figure."""

from __future__ import annotations

import csv
import io
import logging
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pcbench.errors import WriteError
from pcbench.files import reason, write

logger = logging.getLogger("pcbench")


class LossLog:
    """Writes the losses of a training into a folder.

    Args:
        folder: Receives `losses.csv`, `losses.svg` and `losses.png`, and TensorBoard's files in `tensorboard/`.
        terms: The name of each loss.
        first_step: The step at which the training resumes; later values in TensorBoard's file are dropped.

    Raises:
        WriteError: By all methods: a file cannot be written.
    """

    def __init__(self, folder: Path, terms: Sequence[str], first_step: int) -> None:
        self._folder, self._terms = folder, tuple(terms)
        with _one_error(folder):
            self._writer = _tensorboard(folder / "tensorboard", first_step)

    def step(self, number: int, losses: Sequence[float], learning_rate: float) -> None:
        """Note the mean losses of one step."""
        if self._writer is None:
            return
        with _one_error(self._folder):
            for term, loss in zip(self._terms, losses, strict=True):
                self._writer.add_scalar(f"loss/{term}", loss, number)
            self._writer.add_scalar("learning_rate", learning_rate, number)

    def measured(self, rows: Sequence[Sequence[float]]) -> None:
        """Write the table of R² on held-out images.

        Args:
            rows: Of each measurement, the epochs before it, and R² of each term.
        """
        table = io.StringIO()
        writer = csv.writer(table, lineterminator="\n")
        writer.writerow(["epoch", *(f"r_squared_{term}" for term in self._terms)])
        writer.writerows([int(row[0]), *(f"{value:.6g}" for value in row[1:])] for row in rows)
        write(self._folder / "r_squared.csv", table.getvalue())

    def close(self) -> None:
        """End TensorBoard's file, whether the training ended or failed; a second call has no effect."""
        if self._writer is not None:
            with _one_error(self._folder):
                self._writer.close()

    def finish(self, losses: Sequence[Sequence[float]]) -> None:
        """Write table and figure of the mean losses, one row per epoch."""
        table = io.StringIO()
        rows = csv.writer(table, lineterminator="\n")
        rows.writerow(["epoch", *self._terms])
        rows.writerows([number + 1, *row] for number, row in enumerate(losses))
        write(self._folder / "losses.csv", table.getvalue())
        _plot(self._folder, self._terms, losses)


@contextmanager
def _one_error(folder: Path) -> Generator[None]:
    """Turn an error of TensorBoard's own writer, which writes its files itself, into ours."""
    try:
        yield
    except OSError as error:
        raise WriteError(f"{folder / 'tensorboard'}: cannot be written ({reason(error)})") from error


def _tensorboard(folder: Path, first_step: int) -> Any | None:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        logger.info("tensorboard is not installed (pip install 'pcbench[training]'): losses go to losses.csv only")
        return None
    return SummaryWriter(str(folder), purge_step=first_step)


def _plot(folder: Path, terms: Sequence[str], losses: Sequence[Sequence[float]]) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogFormatter

    class Plain(LogFormatter):
        """Plain numbers: setting a power of ten as a formula takes half of the time that the figure takes."""

        def __call__(self, x: float, pos: int | None = None) -> str:
            """Return the label of a tick; only some have one."""
            return f"{x:g}" if super().__call__(x, pos) else ""

    figure = Figure(figsize=(6, 4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    for index, term in enumerate(terms):
        axes.plot(range(1, len(losses) + 1), [row[index] for row in losses], marker=".", label=term)
    axes.set(xlabel="epoch", ylabel="mean loss of the epoch", yscale="log")
    axes.yaxis.set_major_formatter(Plain())
    axes.yaxis.set_minor_formatter(Plain(minor_thresholds=(2, 0.5)))
    axes.legend()
    for ending in ("svg", "png"):
        # A date in the file would make the same training give other bytes.
        metadata = {"Date": None} if ending == "svg" else None
        content = io.BytesIO()
        figure.savefig(content, format=ending, metadata=metadata)
        write(folder / f"losses.{ending}", content.getvalue())
