"""Whether a network of the user's own is the one that earlier work is of: by its answers to a few images.

The hashes of a network of the zoo tell what it answers. Of a network of the user's own they do not.
"""

from __future__ import annotations

import logging

import pyarrow as pa

from pcbench.errors import DataError, RunError, UsageError
from pcbench.harness.blocks import Unit
from pcbench.harness.context import SilentMeter
from pcbench.harness.engines.base import Engine, Failure
from pcbench.harness.plan import Plan
from pcbench.harness.request import RunOptions
from pcbench.harness.work.answers import refuse_other_answers
from pcbench.results.parts import Part, PartError
from pcbench.results.schema import ANSWERS
from pcbench.results.workspace import Workspace

logger = logging.getLogger("pcbench")


def refuse_unreadable(plan: Plan) -> None:
    """Refuse to reuse work of a network whose source cannot be read.

    Raises:
        UsageError: It cannot be read, and the user did not state a version.
    """
    if plan.facts.unreadable is not None:
        raise UsageError(
            f"the source of {plan.facts.unreadable} cannot be read, so pcbench cannot know whether this work is of the "
            "same network; state model_version=… if it is, or compute again with again=True"
        )


class _Asked(SilentMeter):
    """Listens to the one unit that asks a network about a few images."""

    def __init__(self) -> None:
        self.outcome: Part | Failure | None = None

    def begun(self, unit: Unit) -> None:
        """Ignore that the unit is begun."""

    def done(self, unit: Unit, part: Part) -> None:
        """Keep the answers."""
        del unit
        self.outcome = part

    def failed(self, unit: Unit, failure: Failure) -> None:
        """Keep the reason."""
        del unit
        self.outcome = failure


def ask(question: Unit, engine: Engine) -> Part:
    """Return what the network answers to a few images.

    Raises:
        DataError: An image cannot be read, or has another size.
        RunError: It fails; the user's own exception is the cause.
    """
    asked = _Asked()
    engine.run([question], lambda _: {}, asked)
    if isinstance(asked.outcome, Part):
        return asked.outcome
    failure = asked.outcome or Failure("no worker answered")
    if isinstance(failure.error, DataError):
        raise failure.error
    raise RunError(f"the model cannot be run: {failure.reason}") from failure.error


def is_recognised(request: RunOptions, plan: Plan, workspace: Workspace, question: Unit, engine: Engine) -> bool:
    """Ask a network of the user's own about a few images, and compare with its answers when this work was started.

    Returns:
        False where it is not recognised and the user asked to compute again: the earlier work is discarded.

    Raises:
        UsageError: It is not recognised, or this cannot be decided.
    """
    answers = ask(question, engine)
    finished = sum(workspace.part_file(unit.path).is_file() for unit in plan.units)
    try:
        if finished:
            refuse_unreadable(plan)
            refuse_other_answers(_answers_before(workspace, question), answers.table)
            return True
    except UsageError:
        if not request["again"]:
            raise
        logger.warning("discarding %d units in %s: they were computed with another network", finished, workspace.folder)
        workspace.discard_parts()
    workspace.write_part(question.path, answers)
    return not finished


def _answers_before(workspace: Workspace, question: Unit) -> pa.Table:
    """Return the network's answers when this work was started.

    Raises:
        UsageError: The answers are lost.
    """
    try:
        return workspace.read_part(question.path, ANSWERS).table
    except PartError as error:
        raise UsageError(
            f"{error}, so the network cannot be recognised as the one that this work was started with; give another "
            "folder with `out`, or again=True to compute again"
        ) from error
