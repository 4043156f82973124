"""Saved adversarial images scored at every timestep of a model that they may not have been made for."""

from __future__ import annotations

from pcbench.attacks.sweep import Sweep
from pcbench.errors import RunError
from pcbench.harness.blocks import Unit
from pcbench.harness.context import Context, Inputs, Made
from pcbench.harness.crossed import judge_of, score_adversarials
from pcbench.harness.work.attacks import sweep_table
from pcbench.models.draws import drawing
from pcbench.results.saved_suite import SavedSuite
from pcbench.results.schema import OUTCOMES


def compute(unit: Unit, inputs: Inputs, context: Context) -> Made:
    """Score the saved images of a block of clean ones."""
    del inputs
    suite, settings = context.suite(unit.condition.suite), context.settings
    if not isinstance(suite.definition, SavedSuite):
        raise RunError(f"{suite.name} holds no saved adversarial images")
    for _ in context.batches(unit):
        pass  # the clean images are those that were planned
    judge = judge_of(context.model, settings.timesteps)
    sweeps: list[tuple[Sweep, ...]] = []
    for held in suite.definition.images(unit.condition, unit.block.start, unit.block.stop):
        for start in range(0, len(held.ids), settings.batch_size):
            part = held.some(start, min(start + settings.batch_size, len(held.ids)))
            with drawing(settings.seed, part.ids, repeated=True):
                sweeps.append(score_adversarials(judge, part, settings.batch_size))
            context.meter.step(unit.passes.work * len(part.ids), len(part.ids))
    if not sweeps:
        return Made(OUTCOMES.empty_table())
    return Made(sweep_table(unit.condition, sweeps, range(settings.timesteps + 1)))
