"""Keeping the parts that units make, reading those that others need, and counting the work."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from pcbench.harness.blocks import Unit
from pcbench.harness.context import Inputs
from pcbench.harness.engines.base import Failure
from pcbench.harness.grids import share_of
from pcbench.harness.progress import RunProgress
from pcbench.results.parts import Part, PartError
from pcbench.results.workspace import Workspace

if TYPE_CHECKING:
    from pcbench.harness.told_results import Teller

logger = logging.getLogger("pcbench")

KeptPart = Callable[[Workspace, Unit, Part], Part]


class PartReader:
    """Reads the parts that a unit comes after."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def __call__(self, unit: Unit) -> Inputs:
        """Return them, by their paths.

        Raises:
            PartError: One is damaged.
        """
        try:
            return {path: share_of(self._workspace.read_part(path), unit.setting).table for path in unit.after}
        except PartError:
            self._workspace.refuse_vanished()
            raise


class Keeper:
    """Keeps the parts that units made, and counts the work.

    Args:
        workspace: Receives the parts.
        progress: Counts the work.
        kept: Returns what is to be kept of a part.
        teller: Tells the user of finished conditions.
    """

    def __init__(self, workspace: Workspace, progress: RunProgress, kept: KeptPart, teller: Teller) -> None:
        self._workspace, self._progress, self._kept, self._teller = workspace, progress, kept, teller
        self.failures: list[tuple[Unit, Failure]] = []

    def begun(self, unit: Unit) -> None:
        """Show what is being worked on."""
        self._progress.begin(unit)

    def step(self, work: float, images: int) -> None:
        """Count work inside a unit."""
        self._progress.step(work, images)

    def wait(self, waited: float, elapsed: float) -> None:
        """Count the time that a network waited for images."""
        self._progress.wait(waited, elapsed)

    def done(self, unit: Unit, part: Part) -> None:
        """Keep a part."""
        self._workspace.write_part(unit.path, self._kept(self._workspace, unit, part))
        self._progress.end(unit)
        self._teller.done(unit)

    def skip(self, unit: Unit) -> None:
        """Count a unit that an earlier, stopped run has already finished."""
        self._progress.skip(unit)
        self._teller.done(unit)

    def failed(self, unit: Unit, failure: Failure) -> None:
        """Record a failure, and log it at once."""
        self.failures.append((unit, failure))
        logger.warning("%s (%s) failed: %s", unit.condition_title, unit.block.words, failure.reason)
        logger.debug("%s", failure.trace)
        self._progress.end(unit)
