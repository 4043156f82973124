"""Adversarial images on disk, lossless.

One safetensors file holds the images scored in one sweep over a block of images: every different image once, as
float32, and for each budget and image which one was scored. Nothing in the file is executed.
"""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from pcbench.catalog import Definition
from pcbench.errors import DataError, damage_refused
from pcbench.limits.tensors import check_safetensors
from pcbench.limits.text import parse_json
from pcbench.norms import NORMS, NormName, norm_named
from pcbench.results.conditions import Condition

FORMAT = "pcbench adversarial images, 2"
_FORMER = "pcbench adversarial images, 1"
_REMEDY = "make the images again by a run with save_adversarials=True"
_WHOLE = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)


@dataclass(frozen=True)
class Adversarials:
    """Adversarial images of one attack on one classifier. E budgets, N images."""

    condition: Condition
    """The attack."""
    model: str
    """The model that they were made against."""
    seed: int
    """The run's seed."""
    data: str
    """The images' source."""
    ids: tuple[str, ...]
    """N ids."""
    labels: Tensor
    """(N,), int64."""
    targets: Tensor | None
    """The classes that were to be reached, (N,), int64, or None."""
    epsilons: tuple[float, ...]
    """Ascending, 0 first."""
    pool: Tensor
    """Every different image once, (M, channels, height, width), float32 in [0, 1]; the first N are clean."""
    index: Tensor
    """Which image of the pool stands for each budget and image, (E, N), int64."""

    @property
    def norm(self) -> NormName:
        """The name of the norm of the attack's budget."""
        return norm_named(self.condition.norm or "").name

    def images(self, budget: int) -> Tensor:
        """Return the images of one budget, by its index in `epsilons`; (N, channels, height, width)."""
        return self.pool[self.index[budget]]

    def some(self, start: int, stop: int) -> Adversarials:
        """Return a range of the images; its pool is this one's."""
        targets = None if self.targets is None else self.targets[start:stop]
        part = slice(start, stop)
        return dataclasses.replace(
            self, ids=self.ids[part], labels=self.labels[part], targets=targets, index=self.index[:, part]
        )


class _About(Definition):
    """What a file says of its tensors."""

    format: str
    condition: Condition
    model: str
    seed: int
    data: str
    ids: tuple[str, ...]
    epsilons: tuple[float, ...]


def to_bytes(adversarials: Adversarials) -> bytes:
    """Return adversarial images as the content of a safetensors file; equal images give equal bytes."""
    tensors = {"pool": adversarials.pool, "index": adversarials.index, "labels": adversarials.labels}
    if adversarials.targets is not None:
        tensors["targets"] = adversarials.targets
    # One key besides the format's name: safetensors writes several in any order.
    about = {
        "format": FORMAT,
        "condition": dataclasses.asdict(adversarials.condition),
        **{name: getattr(adversarials, name) for name in ("model", "seed", "data", "ids", "epsilons")},
    }
    return save({name: tensor.contiguous() for name, tensor in tensors.items()}, {"pcbench": json.dumps(about)})


def load_adversarials(path: Path) -> Adversarials:
    """Read what `to_bytes` made, or a file of the format before it.

    Raises:
        DataError: The file is missing, damaged, or something else.
    """
    with damage_refused(path, "is damaged", _REMEDY, SafetensorError, RuntimeError):
        metadata, tensors = _read(path)
        former = metadata.get("format") == _FORMER
        held = _former(metadata, path) if former else parse_json(metadata.get("pcbench", "{}"), path)
        if held.get("format") not in (FORMAT, _FORMER):
            raise DataError(f"{path}: not a file of adversarial images that this pcbench wrote (format {FORMAT!r})")
        about = _About.model_validate_json(json.dumps(held))
        adversarials = Adversarials(
            condition=about.condition,
            model=about.model,
            seed=about.seed,
            data=about.data,
            ids=about.ids,
            labels=tensors["labels"],
            targets=tensors.get("targets"),
            epsilons=about.epsilons,
            pool=tensors["pool"],
            index=tensors["index"],
        )
        _check(adversarials, path)
        return adversarials


def _former(metadata: dict[str, str], path: Path) -> dict[str, Any]:
    """Return what a file of format 1 says, in the words of this one."""
    origin: dict[str, Any] = parse_json(metadata["origin"], path)
    condition = {
        "suite": origin["suite"],
        "kind": "attack",
        "name": origin["attack"],
        **{name: origin[name] for name in ("norm", "gradient", "attacked_timestep")},
    }
    lists = {name: parse_json(metadata[name], path) for name in ("ids", "epsilons")}
    return {"format": _FORMER, "condition": condition, **{k: origin[k] for k in ("model", "seed", "data")}, **lists}


def _read(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    open_file: Any = safe_open  # safetensors leaves the types of what it gives open
    with damage_refused(path, "not a readable file of adversarial images", _REMEDY, SafetensorError):
        check_safetensors(path)
        with open_file(path, framework="pt") as opened:
            return opened.metadata() or {}, {name: opened.get_tensor(name) for name in opened.offset_keys()}


def _check(adversarials: Adversarials, path: Path) -> None:
    images, budgets = len(adversarials.ids), len(adversarials.epsilons)
    index, pool = adversarials.index, adversarials.pool
    each = [tensor for tensor in (adversarials.labels, adversarials.targets) if tensor is not None]
    fits = images * budgets > 0 and index.shape == (budgets, images) and all(one.shape == (images,) for one in each)
    whole = all(one.dtype in _WHOLE for one in (index, *each))
    if not (fits and whole and pool.ndim == 4 and 0 <= int(index.min()) <= int(index.max()) < len(pool)):
        raise DataError(f"{path}: damaged (images, ids and epsilons do not belong together); {_REMEDY}")
    if adversarials.condition.kind != "attack" or adversarials.condition.norm not in NORMS:
        raise DataError(f"{path}: damaged (it is of no attack within a norm of {' or '.join(NORMS)}); {_REMEDY}")
    epsilons = adversarials.epsilons
    if not (epsilons[0] >= 0 and epsilons[-1] < math.inf and all(a < b for a, b in pairwise(epsilons))):
        raise DataError(f"{path}: damaged (its epsilons do not ascend from 0); {_REMEDY}")
    if not bool(((pool >= 0) & (pool <= 1)).all()):  # NaN is neither
        raise DataError(f"{path}: damaged (it has pixels outside of 0 to 1); {_REMEDY}")
