"""Adversarial images on disk, lossless, and what another model makes of them.

One safetensors file holds the images scored in one sweep: every different image once, as float32, and for each budget
and image which one was scored. Nothing in the file is executed.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

# safetensors leaves a path's type open.
from safetensors.torch import save_file  # pyright: ignore[reportUnknownVariableType]
from torch import Tensor

from pcbench.attacks.budget import perturbation_norms
from pcbench.attacks.classify import Judge, check_classes, check_images, classify
from pcbench.attacks.definitions import Norm
from pcbench.attacks.ledger import Ledger, Scored
from pcbench.attacks.sweep import Sweep, as_sweeps, scored_images
from pcbench.errors import DataError

FORMAT = "pcbench adversarial images, 1"


@dataclass(frozen=True)
class Origin:
    """Where adversarial images come from.

    Attributes:
        model: The model they were made against.
        suite: The attack's suite.
        attack: The attack's name.
        norm: The ball's norm.
        gradient: The gradient that the attack took.
        attacked_timestep: The timestep they were made against; None where it was all at once.
        seed: The run's seed.
        data: The images' source.
    """

    model: str
    suite: str
    attack: str
    norm: Norm
    gradient: str
    attacked_timestep: int | None
    seed: int
    data: str


@dataclass(frozen=True)
class Adversarials:
    """Adversarial images of one attack on one classifier. E budgets, N images.

    Attributes:
        origin: Where they come from.
        ids: N ids.
        labels: (N,), int64.
        targets: The classes that were to be reached, (N,), int64, or None.
        epsilons: Ascending, 0 first.
        pool: Every different image once, (M, channels, height, width), float32 in [0, 1]; the first N are clean.
        index: Which image of the pool stands for each budget and image, (E, N), int64.
    """

    origin: Origin
    ids: tuple[str, ...]
    labels: Tensor
    targets: Tensor | None
    epsilons: tuple[float, ...]
    pool: Tensor
    index: Tensor

    def images(self, budget: int) -> Tensor:
        """Return the images of one budget, by its place in `epsilons`; (N, channels, height, width)."""
        return self.pool[self.index[budget]]


def save_adversarials(path: Path, sweeps: Sequence[Sweep], origin: Origin) -> None:
    """Write the images of a sweep, given in one or more batches.

    Args:
        path: The file to write; it has its name only once it is whole.
        sweeps: Sweeps made with `keep_images=True`, of different images under the same attack.
        origin: Where they come from.

    Raises:
        DataError: The sweeps hold no images, or do not belong together.
    """
    adversarials = _gather(sweeps, origin)
    tensors = {"pool": adversarials.pool, "index": adversarials.index, "labels": adversarials.labels}
    if adversarials.targets is not None:
        tensors["targets"] = adversarials.targets
    metadata = {
        "format": FORMAT,
        "origin": json.dumps(origin.__dict__),
        "ids": json.dumps(adversarials.ids),
        "epsilons": json.dumps(adversarials.epsilons),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(path.name + ".partial")
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, unfinished, metadata)
    unfinished.replace(path)


def load_adversarials(path: Path) -> Adversarials:
    """Read what `save_adversarials` wrote.

    Raises:
        DataError: The file is missing, damaged, or something else.
    """
    metadata, tensors = _read(path)
    if metadata.get("format") != FORMAT:
        raise DataError(f"{path}: not a file of adversarial images that this pcbench wrote (format {FORMAT!r})")
    try:
        adversarials = Adversarials(
            origin=Origin(**json.loads(metadata["origin"])),
            ids=tuple(json.loads(metadata["ids"])),
            labels=tensors["labels"],
            targets=tensors.get("targets"),
            epsilons=tuple(json.loads(metadata["epsilons"])),
            pool=tensors["pool"],
            index=tensors["index"],
        )
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path}: damaged ({error})") from None
    _check(adversarials, path)
    return adversarials


def score_adversarials(judge: Judge, adversarials: Adversarials, batch_size: int) -> tuple[Sweep, ...]:
    """Score saved images by another model.

    Args:
        judge: Images in [0, 1] -> logits (T+1, batch, classes).
        adversarials: The images.
        batch_size: How many at a time.

    Returns:
        One sweep for each timestep of the judge. Its denominator is the images that this judge gets right (or, for
        targeted attacks, does not see as their target) when clean; an image broken at a smaller budget stays broken.

    Raises:
        UsageError: The judge has too few classes.
        RunError: It returns NaN.
    """
    check_images(adversarials.pool, torch.zeros(len(adversarials.pool), dtype=torch.int64))
    clean = adversarials.images(0)
    classes = adversarials.labels if adversarials.targets is None else adversarials.targets
    answers = classify(judge, clean, batch_size)
    check_classes(classes, answers.classes)
    at_class = answers.predictions == classes
    denominator = at_class if adversarials.targets is None else ~at_class
    ledger = Ledger(answers, denominator.cpu().numpy(), len(adversarials.epsilons), None)
    places: NDArray[np.intp] = np.arange(len(adversarials.ids))
    for budget in range(len(adversarials.epsilons)):
        images = adversarials.images(budget)
        same = (images == clean).flatten(1).all(dim=1)
        seen = answers.where(same, classify(judge, images, batch_size))
        reached = (seen.predictions == classes) == (adversarials.targets is not None)
        linf, l2 = perturbation_norms(images, clean)
        scored = Scored(images, seen, reached, linf, l2, torch.zeros(len(images), dtype=torch.int64))
        ledger.record(np.full_like(places, budget), places, scored)
    targets = None if adversarials.targets is None else adversarials.targets.numpy()
    known = (adversarials.labels.numpy(), targets)
    return as_sweeps(
        ledger, (adversarials.origin.attack, adversarials.origin.norm), adversarials.epsilons, adversarials.ids, known
    )


def _gather(sweeps: Sequence[Sweep], origin: Origin) -> Adversarials:
    """Join batches; of each image the clean one and every other one that differs from the budget before it."""
    if not sweeps:
        raise DataError("there is no sweep to save")
    first = sweeps[0]
    if any(batch.epsilons != first.epsilons or batch.attack != first.attack for batch in sweeps):
        raise DataError("images to save together come from one attack at one list of epsilons")
    images = torch.cat([scored_images(batch) for batch in sweeps], dim=1)
    pool, index = [images[0]], [torch.arange(images.shape[1])]
    for budget in range(1, len(first.epsilons)):
        changed = (images[budget] != images[budget - 1]).flatten(1).any(dim=1)
        new = torch.arange(int(changed.sum())) + sum(len(part) for part in pool)
        index.append(index[-1].masked_scatter(changed, new))
        pool.append(images[budget][changed])
    targets = None
    if first.targets is not None:
        targets = torch.from_numpy(np.concatenate([batch.targets for batch in sweeps if batch.targets is not None]))
    return Adversarials(
        origin=origin,
        ids=tuple(name for batch in sweeps for name in batch.ids),
        labels=torch.from_numpy(np.concatenate([batch.labels for batch in sweeps])),
        targets=targets,
        epsilons=first.epsilons,
        pool=torch.cat(pool),
        index=torch.stack(index),
    )


def _read(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    open_file: Any = safe_open  # safetensors leaves the types of what it gives open
    try:
        with open_file(path, framework="pt") as opened:
            return opened.metadata() or {}, {name: opened.get_tensor(name) for name in opened.offset_keys()}
    except (OSError, SafetensorError) as error:
        raise DataError(f"{path}: not a readable file of adversarial images ({error})") from None


def _check(adversarials: Adversarials, path: Path) -> None:
    images, budgets = len(adversarials.ids), len(adversarials.epsilons)
    fits = adversarials.index.shape == (budgets, images) and len(adversarials.labels) == images
    if not fits or adversarials.pool.ndim != 4 or int(adversarials.index.max()) >= len(adversarials.pool):
        raise DataError(f"{path}: damaged (images, ids and epsilons do not belong together)")
