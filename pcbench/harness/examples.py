"""A few images of a run, as pictures: clean, corrupted, adversarial, the perturbation magnified, reconstructions."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from pcbench.attacks.checks.verdict import judged_attack
from pcbench.attacks.sweep import sweep
from pcbench.corruptions.api import corrupt
from pcbench.data.image_source import Batch
from pcbench.harness.plan import AttackPlan, CorruptionPlan, Plan, can_be_checked
from pcbench.harness.scoring import to_unit_range
from pcbench.reports.page.examples import Example, Examples, Picture
from pcbench.results.directory import write_json

EXAMPLES = 3
SHOWN_CORRUPTIONS = ("gaussian_noise", "glass_blur", "snow", "contrast")
SHOWN_SEVERITY = 3
MAGNIFICATION = 10
RECONSTRUCTED_TIMESTEPS = (0, 2, 4, 8)


@dataclasses.dataclass(frozen=True)
class _Shown:
    """A picture before it is written: pixels in [0,1], shape (3, height, width)."""

    pixels: Tensor
    picture: Picture


def write_examples(plan: Plan, folder: Path) -> None:
    """Write `examples/index.json` and its PNG files for the first images of the run's first suite."""
    source = plan.suites[0].source
    batch = next(source.batches(EXAMPLES, range(min(EXAMPLES, len(source)))))
    target = folder / "examples"
    target.mkdir(exist_ok=True)
    shown = list(_shown(plan, batch))
    examples = [
        Example(
            image_id=image_id,
            label=_class_name(plan, int(batch.labels[place])),
            pictures=tuple(_write(target, place, number, one[place]) for number, one in enumerate(shown)),
        )
        for place, image_id in enumerate(batch.ids)
    ]
    write_json(target / "index.json", Examples(examples_version=1, examples=tuple(examples)).model_dump(mode="json"))


def _write(folder: Path, place: int, number: int, shown: _Shown) -> Picture:
    picture = shown.picture.model_copy(update={"file": f"{place}-{number:02d}-{shown.picture.kind}.png"})
    pixels = (shown.pixels.clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).cpu().numpy()
    Image.fromarray(pixels).save(folder / picture.file)
    return picture


def _shown(plan: Plan, batch: Batch) -> Iterator[list[_Shown]]:
    """Yield one kind of picture after the other, each a list with one entry an image."""
    yield _scored(plan, to_unit_range(batch.images, plan.subject.device), Picture(file="", kind="clean", title="clean"))
    for suite in plan.suites:
        if suite.kind == "corruptions":
            yield from _corrupted(plan, suite, batch)
        elif suite.kind == "attacks" and can_be_checked(suite):
            yield from _attacked(plan, suite, batch)
    yield from _reconstructed(plan, batch)


def _scored(plan: Plan, images: Tensor, picture: Picture) -> list[_Shown]:
    with torch.no_grad():
        predictions = plan.subject.logits(images, plan.timesteps).argmax(dim=2).cpu()
    return [
        _Shown(
            images[place],
            picture.model_copy(
                update={
                    "predictions": {
                        str(timestep): _class_name(plan, int(predictions[timestep, place]))
                        for timestep in range(plan.timesteps + 1)
                    }
                }
            ),
        )
        for place in range(len(images))
    ]


def _corrupted(plan: Plan, suite: CorruptionPlan, batch: Batch) -> Iterator[list[_Shown]]:
    if suite.published is not None or suite.definition.applied_to != "pixels":
        return
    for corruption in suite.definition.corruptions:
        if corruption.name in SHOWN_CORRUPTIONS:
            images = corrupt(batch.images, corruption, SHOWN_SEVERITY, seed=plan.request.seed, ids=batch.ids)
            title = f"{corruption.title}, severity {SHOWN_SEVERITY}"
            unit = to_unit_range(images, plan.subject.device)
            yield _scored(plan, unit, Picture(file="", kind="corrupted", title=title))


def _attacked(plan: Plan, suite: AttackPlan, batch: Batch) -> Iterator[list[_Shown]]:
    definition = judged_attack(suite.definition.attacks)
    epsilon = definition.epsilons[len(definition.epsilons) // 2]
    clean = to_unit_range(batch.images, plan.subject.device)
    for timestep in sorted({0, plan.timesteps}):
        result = sweep(
            suite.subject.at(timestep, plan.request.gradient),
            clean,
            batch.labels.to(clean.device),
            definition,
            ids=batch.ids,
            seed=plan.request.seed,
            epsilons=[epsilon],
            keep_images=True,
        )
        if result.images is None:
            continue
        images = result.images[-1].to(clean.device)
        title = f"{definition.title}, ε = {epsilon * 255:.3g}/255"
        yield _scored(plan, images, Picture(file="", kind="adversarial", title=title, timestep=timestep))
        magnified = Picture(
            file="", kind="perturbation", title=f"its perturbation × {MAGNIFICATION}, grey is none", timestep=timestep
        )
        yield [_Shown(one, magnified) for one in 0.5 + MAGNIFICATION * (images - clean)]


def _reconstructed(plan: Plan, batch: Batch) -> Iterator[list[_Shown]]:
    network = plan.subject.network
    if network is None:
        return
    inputs = plan.subject.normalise(to_unit_range(batch.images, plan.subject.device))
    with torch.no_grad():
        reconstructions = network.unroll(inputs, plan.timesteps, keep=("reconstructions",)).reconstructions
    for timestep in RECONSTRUCTED_TIMESTEPS:
        if timestep <= plan.timesteps:
            pixels = reconstructions[timestep]
            if network.mean is not None and network.std is not None:
                pixels = pixels * network.std + network.mean
            picture = Picture(
                file="", kind="reconstruction", title=f"reconstruction at t = {timestep}", timestep=timestep
            )
            yield [_Shown(one, picture) for one in pixels]


def _class_name(plan: Plan, label: int) -> str:
    names = plan.subject.class_names
    return str(label) if names is None else names[label]
