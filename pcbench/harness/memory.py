"""The memory of a worker, known before it works, and the memory that this machine has left."""

from __future__ import annotations

import copy
import math
import weakref
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from pcbench.harness.context import configured, load_model
from pcbench.harness.decoded import MOST_BYTES
from pcbench.harness.plan import Plan
from pcbench.models.model import Model
from pcbench.network.network import PredictiveNetwork
from pcbench.network.timestep_model import TimestepModel

BASE_BYTES = 600_000_000
"""A process of Python with PyTorch and the libraries that read images and write tables."""
_SLACK = 1.3
"""Buffers of the libraries, and memory that the system's allocator keeps: measured on pdigits."""
_LAID_OUT = {f"aten::{name}" for name in ("convolution", "convolution_backward", "mm", "addmm", "bmm", "baddbmm")}
"""Operations whose libraries make copies of their operands: convolutions and products."""
_FOLLOWED = 3
"""How many timesteps are followed: from the third on, each adds the same."""


USED_SHARE = 0.8
"""The share of the memory that is left which workers may take."""


@dataclass(frozen=True)
class WorkerMemory:
    """The memory of a worker, in bytes."""

    process: int
    """Python with its libraries, and the images that are kept: in the machine's memory, whatever the device."""
    network: int
    """The weights, and what is made of them once: on the device."""
    image: int
    """What each image of a pass adds: on the device."""
    fills: int | None
    """No batch has more images than this; None where the budgets of a sweep fill any batch."""

    def of_batch(self, batch_size: int) -> int:
        """Return what a batch takes beside the network."""
        return self.image * (batch_size if self.fills is None else min(batch_size, self.fills))

    def whole(self, batch_size: int) -> int:
        """Return all memory of a worker on a CPU."""
        return self.process + self.network + self.of_batch(batch_size)


def worker_memory(plan: Plan) -> WorkerMemory | None:
    """Return how much memory a worker needs at most, without computing a number.

    The network is followed with tensors that have a shape and no values, in float32, forward and, where a run attacks,
    back to the image. What lives at the same time is counted; an attack's graph grows with every timestep. On a CPU
    large decoders are computed by transformed kernels, which are not counted: 1.2 GB of PVGG16.

    Args:
        plan: What is run.

    Returns:
        None where the network cannot be followed in this way.
    """
    model = plan.model or configured(load_model(plan.locations, plan.objects, plan.spec), plan.spec)
    size = _image_size(plan, model)
    if size is None:
        return None
    attacks = any(unit.passes.gradients for unit in plan.units)
    network = _without_values(model)
    passed = (
        _compared if any(unit.work == "representations" for unit in plan.units) else _attacked if attacks else _scored
    )
    # What lives is linear in images; weights as they are transformed are there once.
    one, two = (_most_bytes(network, passed, (images, *size), plan.spec.settings.timesteps) for images in (1, 2))
    if one is None or two is None:
        return None
    weights = sum(tensor.nbytes for tensor in (*network.parameters(), *network.buffers()))
    block = max(len(unit.block) for unit in plan.units) * math.prod(size)
    return WorkerMemory(
        process=BASE_BYTES + (block if block <= MOST_BYTES else 0),
        network=weights + max(0, 2 * one - two),
        image=round(_SLACK * (two - one)),
        # The batches of a sweep hold pairs of an image and a budget; all others hold images alone.
        fills=None if attacks else plan.images.num_rows,
    )


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


def free_memory(device: str) -> int | None:
    """Return how many bytes a device has free: of `cuda`, which is all GPUs, the one that has least.

    Returns:
        None where nothing tells: neither of another kind of device, nor of a GPU that cannot be used now.
    """
    named = torch.device(device)
    if named.type != "cuda":
        return available_memory() if named.type == "cpu" else None
    numbers = [named.index] if ":" in device else range(torch.cuda.device_count())
    try:
        return min((torch.cuda.mem_get_info(number)[0] for number in numbers), default=None)
    except RuntimeError:  # taken by another program, full, or lost
        return None


def _image_size(plan: Plan, model: Model) -> tuple[int, int, int] | None:
    if model.input_size is not None:
        return model.input_size
    crop = plan.spec.data.preprocessing.get("crop")
    return (model.preprocessing.channels, crop, crop) if isinstance(crop, int) else None


def _without_values(model: Model) -> TimestepModel:
    """Return a copy of a network whose tensors have no values; no weight is copied on its device."""
    network = model.in_full_precision().timestep_model
    memo: dict[int, Tensor] = {id(one): nn.Parameter(one.to("meta"), one.requires_grad) for one in network.parameters()}
    memo |= {id(one): one.to("meta") for one in network.buffers()}
    return copy.deepcopy(network, memo).to("meta")


_Pass = Callable[[TimestepModel, tuple[int, ...], int], object]


def _most_bytes(network: TimestepModel, passed: _Pass, shape: tuple[int, ...], timesteps: int) -> int | None:
    """Return the most bytes that live at a time, the weights aside: what the third step adds, all later ones add."""
    followed = min(timesteps, _FOLLOWED)
    before, last = (_followed(network, passed, shape, few) for few in (max(0, followed - 1), followed))
    if before is None or last is None:
        return None
    return last + (timesteps - followed) * (last - before)


def _followed(network: TimestepModel, passed: _Pass, shape: tuple[int, ...], timesteps: int) -> int | None:
    try:
        with _Living((*network.parameters(), *network.buffers())) as living:
            passed(network, shape, timesteps)
    except Exception:  # noqa: BLE001 - a network of the user's own may look at values, which are not there
        return None
    return living.most


def _scored(network: TimestepModel, shape: tuple[int, ...], timesteps: int) -> object:
    with torch.no_grad():
        return network.logits_of_input(network.normalise(torch.zeros(shape, device="meta")), timesteps)


def _attacked(network: TimestepModel, shape: tuple[int, ...], timesteps: int) -> object:
    image = torch.zeros(shape, device="meta", requires_grad=True)
    with torch.enable_grad():
        logits = network.logits_of_input(network.normalise(image), timesteps)
    return torch.autograd.grad(logits.sum(), image, allow_unused=True) if logits.requires_grad else None


def _compared(network: TimestepModel, shape: tuple[int, ...], timesteps: int) -> object:
    if not isinstance(network, PredictiveNetwork):
        return None
    from pcbench.harness.work.representations import unrolled_whole  # with pandas; most runs compare none

    entered = network.normalise(torch.zeros(shape, device="meta"))
    return unrolled_whole(network, entered, timesteps), unrolled_whole(network, entered, timesteps)


class _Living(TorchDispatchMode):
    """Counts the bytes of the tensors that live at the same time.

    While a convolution or a product runs, copies of its operands count as well: PyTorch's libraries lay them out anew.

    Args:
        aside: Tensors that do not count.
    """

    def __init__(self, aside: Iterable[Tensor]) -> None:
        super().__init__()
        self.most = self._now = 0
        self._aside = {_storage(tensor) for tensor in aside}
        self._known = set(self._aside)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> object:
        """Do an operation, and count what it makes."""
        del types
        made: Any = func(*args, **(kwargs or {}))
        outputs = list(_strided(cast("Iterable[object]", made if isinstance(made, tuple | list) else (made,))))
        for tensor in outputs:
            if _storage(tensor) not in self._known:
                self._add(tensor.untyped_storage(), _storage(tensor))
        laid_out = 0
        if func.name() in _LAID_OUT:
            laid_out = sum(one.nbytes for one in (*_strided(args), *outputs) if _storage(one) not in self._aside)
        self.most = max(self.most, self._now + laid_out)
        return cast("object", made)

    def _add(self, storage: torch.UntypedStorage, name: int) -> None:
        size = storage.nbytes()
        self._known.add(name)
        self._now += size
        weakref.finalize(storage, self._end, name, size).atexit = False

    def _end(self, name: int, size: int) -> None:
        self._known.discard(name)
        self._now -= size


def _strided(values: Iterable[object]) -> Iterator[Tensor]:
    return (one for one in values if isinstance(one, Tensor) and one.layout is torch.strided)


def _storage(tensor: Tensor) -> int:
    # Views share a storage; there is no public name for it.
    return tensor.untyped_storage()._cdata  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]


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
