"""A few images of a run, as pictures: clean, corrupted, adversarial, the perturbation magnified, reconstructions."""

from __future__ import annotations

import dataclasses
import io
import json
import math
from collections.abc import Iterator, Mapping, Sequence

import pyarrow as pa
import torch
from PIL import Image
from torch import Tensor

from pcbench.attacks.checks.evidence import judged_attack
from pcbench.attacks.definitions import AttackSuite
from pcbench.attacks.sweep import sweep
from pcbench.corruptions.definitions import CorruptionSuite
from pcbench.data.image_source import Batch
from pcbench.harness.blocks import Unit
from pcbench.harness.context import Context, Inputs, Made
from pcbench.harness.scoring import to_unit_range
from pcbench.harness.suites import MeasuredSuite
from pcbench.metrics.shown import epsilon_of_sweeps
from pcbench.models.draws import drawing
from pcbench.models.scores import NO_PREDICTION, predicted
from pcbench.results.schema import joined, made_table

SHOWN_CORRUPTIONS = ("gaussian_noise", "glass_blur", "snow", "contrast")
"""One of each family of ImageNet-C; of a suite that has none of them its first ones are shown, as many at most."""
SHOWN_SEVERITY = 3
MAGNIFICATIONS = (0.5, 1, 2, 3, 5, 10, 20, 30, 50, 100)
"""What a perturbation may be multiplied by to be seen: the largest that keeps all of it in the range of pixels."""
_HALF = 0.5 + 1e-6
"""Half of the range of pixels, and a rounding."""
RECONSTRUCTED_TIMESTEPS = (0, 2, 4, 8)


@dataclasses.dataclass(frozen=True)
class _Shown:
    """One kind of picture of a batch, and what is said of each image.

    `pixels` are in [0,1], of the shape (batch, channels, height, width).
    """

    pixels: Tensor
    kind: str
    title: str
    timestep: int | None = None
    predictions: tuple[dict[str, tuple[str, float | None]], ...] = ()
    """For each image, by timestep, the class that it is taken for, and the probability of this class."""
    titles: tuple[str, ...] = ()
    """One for each image, where they differ."""


def compute(unit: Unit, inputs: Inputs, context: Context) -> Made:
    """Make the pictures of the images of a block, of all suites of the run.

    Adversarial images are made at the ε that summaries show (`pcbench.metrics.shown`), of each suite's own sweep of
    the attack that is judged. Of a long run that is its ε over the blocks that hold the first images, as in the
    checks, since not all blocks are read for three pictures.
    """
    sweeps: dict[str, list[pa.Table]] = {}
    for table in inputs.values():
        if table.num_rows:
            sweeps.setdefault(str(table.column("suite")[0]), []).append(table)
    epsilons = {suite: epsilon_of_sweeps(of_suite) for suite, of_suite in sweeps.items()}
    tables: list[pa.Table] = []
    for batch in context.batches(unit):
        with drawing(context.settings.seed, batch.ids, repeated=True):
            shown = _pictures(context, batch, epsilons)
            tables += [_table(context, batch, number, one) for number, one in enumerate(shown)]
    return Made(joined(tables, "pictures"))


def _table(context: Context, batch: Batch, number: int, shown: _Shown) -> pa.Table:
    empty: list[dict[str, tuple[str, float | None]]] = [{} for _ in batch.ids]
    return made_table(
        "pictures",
        {
            "image_id": list(batch.ids),
            "label": [_class_name(context, int(label)) for label in batch.labels],
            "number": number,
            "kind": shown.kind,
            "title": list(shown.titles) or shown.title,
            "timestep": shown.timestep,
            "predictions": [json.dumps(one, ensure_ascii=False) for one in shown.predictions or empty],
            "png": [_png(one) for one in shown.pixels],
        },
    )


def _png(image: Tensor) -> bytes:
    levels = (image.clamp(0, 1) * 255).round().to(torch.uint8).cpu()
    pixels = levels.permute(1, 2, 0).numpy() if len(levels) == 3 else _side_by_side(levels).numpy()
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    return buffer.getvalue()


def _side_by_side(channels: Tensor) -> Tensor:
    """Return channels that are not colours as one grey picture, (channels, height, width) -> (height', width').

    They lie in rows of up to two, as words are read; where the last row lacks one, it is black.
    """
    count, height, width = channels.shape
    columns = min(count, 2)
    rows = -(-count // columns)
    padded = torch.cat([channels, channels.new_zeros(rows * columns - count, height, width)])
    return padded.reshape(rows, columns, height, width).transpose(1, 2).reshape(rows * height, columns * width)


def ends(timesteps: Sequence[int]) -> list[int]:
    """Return the first and the last of some timesteps, once where they are one: attacked images are shown of these."""
    return sorted({timesteps[0], timesteps[-1]})


def _pictures(context: Context, batch: Batch, epsilons: Mapping[str, float | None]) -> Iterator[_Shown]:
    """Yield one kind of picture after the other; `epsilons` holds the ε that is shown of each attack suite."""
    channels = batch.images.shape[1]
    title = "clean" if channels in (1, 3) else f"clean; here and below, its {channels} channels as grey pictures"
    yield _scored(context, _Shown(to_unit_range(batch.images, context.model.device), "clean", title))
    for stated in context.spec.suites:
        suite = context.suite(stated.name)
        if isinstance(suite.definition, CorruptionSuite):
            yield from _corrupted(context, suite, suite.definition, batch)
        elif isinstance(suite.definition, AttackSuite):
            yield from _attacked(context, suite.definition, batch, epsilons.get(suite.name))
    yield from _reconstructed(context, batch)


def _scored(context: Context, shown: _Shown) -> _Shown:
    timesteps = context.settings.timesteps
    with torch.no_grad():
        logits = context.model.answer(shown.pixels, timesteps)
    found = predicted(logits).cpu()
    highest = logits.double().softmax(dim=-1).amax(dim=-1).cpu()
    predictions = tuple(
        {
            str(timestep): (
                _class_name(context, int(found[timestep, index])),
                _probability(float(highest[timestep, index])),
            )
            for timestep in range(timesteps + 1)
        }
        for index in range(len(shown.pixels))
    )
    return dataclasses.replace(shown, predictions=predictions)


def _probability(value: float) -> float | None:
    """Return a probability as it is kept, with as many digits as are shown and two more; None if it is not defined."""
    return round(value, 4) if math.isfinite(value) else None


def _corrupted(context: Context, suite: MeasuredSuite, definition: CorruptionSuite, batch: Batch) -> Iterator[_Shown]:
    if suite.published is not None or definition.applied_to != "pixels":
        return
    from pcbench.corruptions.api import corrupt  # with OpenCV; a plan, which imports this module, corrupts nothing

    shown = [corruption for corruption in definition.corruptions if corruption.name in SHOWN_CORRUPTIONS]
    for corruption in shown or definition.corruptions[: len(SHOWN_CORRUPTIONS)]:
        measured = corruption.measured(context.settings.severities)
        severity = max((one for one in measured if one <= SHOWN_SEVERITY), default=measured[0])
        images = corrupt(batch.images, corruption, severity, seed=context.settings.seed, ids=batch.ids)
        unit = to_unit_range(images, context.model.device)
        yield _scored(context, _Shown(unit, "corrupted", f"{corruption.title}, severity {severity}"))


def _attacked(context: Context, suite: AttackSuite, batch: Batch, epsilon: float | None) -> Iterator[_Shown]:
    if epsilon is None:
        return  # no attack of the suite follows gradients, or none has a budget above 0
    definition, settings, model = judged_attack(suite.attacks), context.settings, context.model_of(suite.name)
    clean = to_unit_range(batch.images, model.device)
    for timestep in ends(settings.attacked):
        result = sweep(
            model.at(timestep, settings.gradient),
            clean,
            batch.labels.to(clean.device),
            definition,
            ids=batch.ids,
            seed=settings.seed,
            epsilons=[epsilon],
            keep_images=True,
        )
        if result.images is None:
            continue
        images = result.images[-1].to(clean.device)
        title = f"{definition.title}, ε = {definition.ball.text(epsilon)}"
        yield _scored(context, _Shown(images, "adversarial", title, timestep))
        yield _magnified(images - clean, timestep)


def _magnified(perturbations: Tensor, timestep: int) -> _Shown:
    """Return perturbations (batch, channels, height, width) around grey, each magnified as far as its range allows."""
    largest = [float(one) for one in perturbations.flatten(1).abs().amax(dim=1)]
    scales = [max([MAGNIFICATIONS[0], *(one for one in MAGNIFICATIONS if one * most <= _HALF)]) for most in largest]
    factors = perturbations.new_tensor(scales).reshape(-1, 1, 1, 1)
    titles = tuple(f"its perturbation × {scale:g}, grey is none" for scale in scales)
    return _Shown(0.5 + factors * perturbations, "perturbation", "", timestep, titles=titles)


def _reconstructed(context: Context, batch: Batch) -> Iterator[_Shown]:
    network, timesteps = context.model.network, context.settings.timesteps
    if network is None or network.targets.image is None:
        return
    images = to_unit_range(batch.images, context.model.device)
    with torch.no_grad():
        reconstructions = network.unroll(images, timesteps, keep=("reconstructions",)).reconstructions
    for timestep in RECONSTRUCTED_TIMESTEPS:
        if timestep <= timesteps:
            pixels = reconstructions[timestep]
            if network.mean is not None and network.std is not None:
                pixels = pixels * network.std + network.mean
            yield _Shown(pixels, "reconstruction", f"reconstruction of the clean image at t = {timestep}", timestep)


def _class_name(context: Context, label: int) -> str:
    if label == NO_PREDICTION:
        return "none (not finite)"
    names = context.model.class_names
    return str(label) if names is None else names[label]
