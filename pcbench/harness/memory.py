"""The memory of a worker, known before it works, and the memory that this machine has left."""

from __future__ import annotations

import copy
import math
from pathlib import Path

import torch
from torch import Tensor, nn

from pcbench.harness.context import configured, load_model
from pcbench.harness.decoded import MOST_BYTES
from pcbench.harness.plan import Plan
from pcbench.models.model import Model

BASE_BYTES = 600_000_000
"""A process of Python with PyTorch and the libraries that read images and write tables."""
_SLACK = 1.3
"""Buffers of the libraries, and memory that the system's allocator keeps: measured on pdigits."""


def worker_memory(plan: Plan, batch_size: int | None = None) -> int | None:
    """Return how many bytes a worker needs at most, without computing a number.

    The network is followed with tensors that have a shape and no values, and what its graph of one image keeps is
    counted; an attack's graph grows with every timestep.

    Args:
        plan: What is run.
        batch_size: Images in one pass, where it is not the plan's.

    Returns:
        None where the network cannot be followed in this way.
    """
    settings = plan.spec.settings
    model = plan.model or configured(load_model(plan.locations, plan.objects, plan.spec), plan.spec)
    attacks = any(unit.passes.gradients for unit in plan.units)
    size = _image_size(plan, model)
    if size is None:
        return None
    steps = settings.timesteps if attacks and not settings.recompute else min(1, settings.timesteps)
    # What a graph keeps is linear in images and timesteps; weights as they are transformed are there once.
    one, two = (_graph_at(model, size, images=images, steps=steps) for images in (1, 2))
    if one is None or two is None:
        return None
    network = sum(tensor.nbytes for tensor in (*model.timestep_model.parameters(), *model.timestep_model.buffers()))
    largest = batch_size or settings.batch_size
    if not attacks:
        # The batches of a sweep hold pairs of an image and a budget; all others hold images alone.
        largest = min(largest, plan.images.num_rows)
    images = (two - one) * largest
    block = max(len(unit.block) for unit in plan.units) * math.prod(size)
    decoded = block if block <= MOST_BYTES else 0
    return BASE_BYTES + network + max(0, 2 * one - two) + round(_SLACK * images) + decoded


def available_memory() -> int | None:
    """Return how many bytes this process and its children may still take; None where the system does not say.

    A container may have less than its machine.
    """
    found = [_line("/proc/meminfo", "MemAvailable:", 1024)]
    limit, used = (_number(f"/sys/fs/cgroup/memory.{name}") for name in ("max", "current"))
    if limit is not None and used is not None:
        found.append(limit - used + (_line("/sys/fs/cgroup/memory.stat", "inactive_file", 1) or 0))
    known = [amount for amount in found if amount is not None]
    return max(0, min(known)) if known else None


def _image_size(plan: Plan, model: Model) -> tuple[int, int, int] | None:
    if model.input_size is not None:
        return model.input_size
    crop = plan.spec.data.preprocessing.get("crop")
    return (model.preprocessing.channels, crop, crop) if isinstance(crop, int) else None


def _graph_at(model: Model, size: tuple[int, int, int], *, images: int, steps: int) -> int | None:
    """Return the bytes of a graph through some steps: what the second step adds, all others add too."""
    few = min(steps, 2)
    found = [_graph_bytes(model, (images, *size), timesteps) for timesteps in range(few + 1)]
    known = [amount for amount in found if amount is not None]
    if len(known) < len(found):
        return None
    return known[few] + (steps - few) * (known[-1] - known[-2]) if few else known[0]


def _graph_bytes(model: Model, shape: tuple[int, ...], timesteps: int) -> int | None:
    """Return the bytes that the graph of some images through t = 0 to `timesteps` keeps, the weights aside."""
    try:
        network = copy.deepcopy(model.timestep_model).to("meta")
        weights = {_storage(tensor) for tensor in (*network.parameters(), *network.buffers())}
        kept: dict[int, Tensor] = {}

        def keep(tensor: Tensor) -> Tensor:
            kept[_storage(tensor)] = tensor
            return tensor

        image = torch.zeros(shape, device="meta").requires_grad_()
        with torch.autograd.graph.saved_tensors_hooks(keep, _unchanged), torch.enable_grad():
            network.logits_of_input(network.normalise(image), timesteps)
    except Exception:  # noqa: BLE001 - a network of the user's own may look at values, which are not there
        return None
    return sum(tensor.untyped_storage().nbytes() for storage, tensor in kept.items() if storage not in weights)


def _storage(tensor: Tensor | nn.Parameter) -> int:
    return id(tensor) if tensor.layout is not torch.strided else tensor.untyped_storage()._cdata  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]


def _unchanged(tensor: Tensor) -> Tensor:
    return tensor


def _number(path: str) -> int | None:
    try:
        text = Path(path).read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return None
    return int(text) if text.isdigit() else None


def _line(path: str, name: str, unit: int) -> int | None:
    try:
        lines = Path(path).read_text(encoding="ascii").splitlines()
    except (OSError, ValueError):
        return None
    return next((int(line.split()[1]) * unit for line in lines if line.split()[0] == name), None)
