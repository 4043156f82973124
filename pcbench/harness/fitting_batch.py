"""The largest batch that fits the memory of a device: told by a plan, never chosen by a run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from pcbench.harness.memory import USED_SHARE, WorkerMemory, free_memory
from pcbench.harness.plan import Plan


@dataclass(frozen=True)
class FittingBatch:
    """Which batch fits the memory that is free now, and what it was computed from."""

    planned: int
    """Images in one pass, as the plan has it."""
    largest: int
    """Of this number, its halves and its doubles that divide a block, the largest that fits; 0 where none does."""
    image_bytes: int
    """Memory that each image of a pass takes."""
    other_bytes: int
    """Memory that a worker takes beside: on a GPU for the network, on a CPU also for Python and kept images."""
    free_bytes: int
    """Memory that is free: of the machine, or of the GPU that has least."""
    used_share: float
    """The share of it that may be used."""
    sharing: int
    """How many workers share it."""
    device: str
    """The device of the run."""


def fitting_batch(plan: Plan, memory: WorkerMemory | None, workers: int) -> FittingBatch | None:
    """Return the largest batch that fits.

    Args:
        plan: What is run.
        memory: A worker's.
        workers: How many work at the same time.

    Returns:
        None where the network's memory or the device's is not known.
    """
    device = plan.locations.device
    free = free_memory(device)
    if memory is None or free is None:
        return None
    on_gpu = torch.device(device).type == "cuda"
    # Workers take turns at the GPUs, as `pcbench.harness.engines.local.worker_environment` gives them.
    sharing = -(-workers // torch.cuda.device_count()) if on_gpu and ":" not in device else workers
    other = memory.network if on_gpu else memory.process + memory.network
    room = int(USED_SHARE * free) // sharing - other
    settings = plan.spec.settings
    fitting = (
        size
        for size in _sizes(settings.batch_size, settings.block_size or settings.batch_size)
        if memory.of_batch(size) <= room
    )
    return FittingBatch(
        planned=settings.batch_size,
        largest=max(fitting, default=0),
        image_bytes=memory.image,
        other_bytes=other,
        free_bytes=free,
        used_share=USED_SHARE,
        sharing=sharing,
        device=device,
    )


def _sizes(planned: int, block: int) -> Iterator[int]:
    """Yield batch sizes that leave the block as it is: the planned one, its halves and its doubles."""
    size = planned
    while size >= 1:
        if block % size == 0:
            yield size
        size //= 2
    size = 2 * planned
    while block % size == 0:
        yield size
        size *= 2
