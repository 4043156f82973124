"""One attack on one timestep by itself, or on all of them at once, over all its budgets."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from pcbench.attacks.all_timesteps import AllTimesteps, sweep_all_timesteps
from pcbench.attacks.classify import single
from pcbench.attacks.definitions import AttackSuite
from pcbench.attacks.eval_batch import EvalBatch
from pcbench.attacks.kept_images import join_sweeps
from pcbench.attacks.retry import retry
from pcbench.attacks.sweep import Sweep, SweepOptions, sweep
from pcbench.data.image_source import Batch
from pcbench.errors import RunError
from pcbench.harness.blocks import Unit
from pcbench.harness.context import Context, Inputs, Made
from pcbench.harness.costs import budgets
from pcbench.harness.crossed import score_everywhere
from pcbench.harness.scoring import to_unit_range
from pcbench.harness.transferred import Transferred
from pcbench.results.adversarials import to_bytes
from pcbench.results.conditions import RETRIED, Condition
from pcbench.results.schema import OUTCOMES, joined, outcome_table

ADVERSARIALS = "adversarials.safetensors"


def compute(unit: Unit, inputs: Inputs, context: Context) -> Made:
    """Attack the images of a block; where a suite's rule chooses images, those of the clean part are attacked."""
    condition = unit.condition
    kept = _kept(inputs)
    sweeps: list[tuple[Sweep, ...]] = []
    retried: list[tuple[Sweep, ...]] = []
    kept_sweeps: list[Sweep] = []
    everywhere = condition.attacked_timestep is not None and context.settings.attacked_timesteps is not None
    transferred = Transferred(unit, context)
    for batch in context.batches(unit):
        chosen = batch if kept is None else _some(batch, kept)
        if chosen.ids:
            keep_images = transferred.wanted or everywhere or context.settings.save_adversarials
            found, again = _attack(unit, context, chosen, keep_images=keep_images)
            if transferred.wanted:
                transferred.add(found[0])
            kept_sweeps += found[:1] if context.settings.save_adversarials else ()
            if everywhere:
                found = score_everywhere(found[0], condition, context)
                again = score_everywhere(again[0], _retried(condition), context) if again else ()
            sweeps.append(_without_images(found))
            retried += [_without_images(again)] if again else []
        context.meter.step(0, len(batch.ids))
    if not sweeps:
        return Made(OUTCOMES.empty_table())
    times = range(context.settings.timesteps + 1)
    attacked = condition.attacked_timestep
    scored = times if everywhere or attacked is None else [attacked]
    files = transferred.files()
    if context.settings.save_adversarials:
        adversarials = join_sweeps(
            kept_sweeps,
            condition,
            model=str(context.spec.model["name"]),
            seed=context.settings.seed,
            data=context.suite(condition.suite).source.name,
        )
        files[ADVERSARIALS] = to_bytes(adversarials)
    tables = [sweep_table(condition, sweeps, scored)]
    if retried:
        tables.append(sweep_table(_retried(condition), retried, scored))
    return Made(joined(tables, "outcomes"), files)


def _retried(condition: Condition) -> Condition:
    return dataclasses.replace(condition, name=condition.name + RETRIED)


def _kept(inputs: Inputs) -> set[str] | None:
    """Return the images that a suite's rule kept, or None where there is no rule."""
    if not inputs:
        return None
    (clean,) = inputs.values()
    return {str(name) for name in clean.column("image_id").to_pylist()}


def _some(batch: Batch, kept: set[str]) -> Batch:
    indices = [index for index, name in enumerate(batch.ids) if name in kept]
    here = torch.tensor(indices, dtype=torch.int64)
    return Batch(tuple(batch.ids[index] for index in indices), batch.images[here], batch.labels[here])


def _without_images(sweeps: tuple[Sweep, ...]) -> tuple[Sweep, ...]:
    return tuple(dataclasses.replace(one, images=None) for one in sweeps)


def _attack(
    unit: Unit, context: Context, batch: Batch, *, keep_images: bool
) -> tuple[tuple[Sweep, ...], tuple[Sweep, ...]]:
    """Attack one batch, and again where there was no gradient; one sweep each for each timestep that is scored."""
    suite, condition, settings = context.suite(unit.condition.suite), unit.condition, context.settings
    if not isinstance(suite.definition, AttackSuite):
        raise RunError(f"{suite.name} is not a suite of attacks")
    definition, model = suite.definition.attack(condition.name), context.model_of(suite.name)
    images = to_unit_range(batch.images, model.device)
    options = SweepOptions(
        epsilons=settings.epsilons,
        plain=settings.plain_sweep,
        bracketing=settings.bracketing,
        batch_size=settings.batch_size,
        keep_images=keep_images,
        on_progress=_Told(
            unit, context, images=len(batch.ids), budgets=budgets(settings.epsilons or definition.epsilons)
        ),
    )
    eval_batch = EvalBatch(images, batch.labels.to(images.device), batch.ids, settings.seed)
    given = (images, eval_batch.labels, definition)
    if condition.attacked_timestep is not None:
        classifier = model.at(condition.attacked_timestep, settings.gradient)
        alone = (sweep(classifier, *given, ids=batch.ids, seed=settings.seed, **options),)
        return alone, retry(eval_batch, definition, classifier, single(classifier), alone, options)
    every = AllTimesteps(lambda pixels: model.answer(pixels, settings.timesteps, settings.gradient))
    joint = sweep_all_timesteps(every, *given, ids=batch.ids, seed=settings.seed, **options)
    return joint, retry(eval_batch, definition, every, every, joint, options)


class _Told:
    """Tells how far the sweep of a batch is.

    A sweep settles what it attacks first, and all that it skipped at its end. So a pair of image and budget that is
    settled before the end stands for those that are usually skipped beside it.

    Args:
        unit: What the batch belongs to.
        context: Has the meter.
        images: How many images the batch has.
        budgets: How many budgets there are besides 0, which costs nothing.
    """

    ALMOST = 0.95

    def __init__(self, unit: Unit, context: Context, *, images: int, budgets: int) -> None:
        self._meter, self._work, self._usual = context.meter, unit.passes.work * images, unit.passes.usual
        self._free, self._pairs = images, images * (budgets + 1)
        self._settled, self._told = 0, 0.0

    def __call__(self, pairs: int) -> None:
        """Count pairs that are settled."""
        self._settled += pairs
        share = max(0, self._settled - self._free) / max(1, self._pairs - self._free)
        done = 1.0 if self._settled >= self._pairs else min(share / self._usual, self.ALMOST)
        self._meter.step((done - self._told) * self._work, 0)
        self._told = done


def sweep_table(condition: Condition, sweeps: list[tuple[Sweep, ...]], timesteps: Iterable[int]) -> Any:
    """Return the outcomes of one attack.

    Args:
        condition: What the attack is, apart from its budgets.
        sweeps: For each batch of images one sweep per timestep that is scored.
        timesteps: These timesteps.
    """
    return joined(list(_tables(condition, sweeps, timesteps)), "outcomes")


def _tables(condition: Condition, sweeps: list[tuple[Sweep, ...]], timesteps: Iterable[int]) -> Iterator[Any]:
    for index, timestep in enumerate(timesteps):
        parts = [sweep_columns(scored[index]) for scored in sweeps]
        columns = {key: _flat([part[key] for part in parts]) for key in parts[0]}
        columns["timestep"] = np.full(len(columns["image_id"]), timestep)
        yield outcome_table(condition, columns)


def _flat(parts: list[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    """Join arrays (epsilons, batch) along the images, keep their masks, and flatten."""
    values = np.concatenate([np.ma.getdata(part) for part in parts], axis=1).ravel()
    masks = np.concatenate([np.ma.getmaskarray(part) for part in parts], axis=1).ravel()
    return np.ma.array(values, mask=masks)


def sweep_columns(result: Sweep) -> dict[str, npt.NDArray[Any]]:
    """Return a sweep's columns of outcomes, each of shape (epsilons, images); masked where one does not apply."""
    shape = result.prediction.shape
    epsilons = np.asarray(result.epsilons)[:, None]
    outside = np.broadcast_to(~result.eligible, shape)
    smallest = np.broadcast_to(result.smallest_broken_epsilon, shape)
    return {
        "image_id": np.broadcast_to(np.array(result.ids), shape),
        "label": np.broadcast_to(result.labels, shape),
        "epsilon": np.broadcast_to(epsilons, shape),
        **result.columns,
        "success": np.ma.array(result.success, mask=~result.attacked),
        "success_within": np.ma.array(result.success_within, mask=outside),
        "smallest_broken_epsilon": np.ma.array(smallest, mask=np.isnan(smallest)),
    }
