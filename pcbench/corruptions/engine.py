"""Runs a corruption over a batch: image by image on the CPU's cores, or as one batch on a GPU.

On the CPU every image is corrupted by itself, by one thread: the arithmetic of an image then has the same shape and
order in any batch and on any number of cores, so its bits are the same. The images of a batch are spread over as
many threads as torch is set to use; NumPy, OpenCV, Pillow and torch all let other threads run while they compute.
"""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from numpy.typing import NDArray

from pcbench.corruptions.corruption import Corruption, Drawn, whole_levels


def corrupt_batch(
    images: torch.Tensor, corruption: Corruption, generators: Sequence[np.random.Generator]
) -> torch.Tensor:
    """Corrupt images.

    Args:
        images: (batch, channels, height, width), uint8, or float32 in [0, 1].
        corruption: What to do, at one severity.
        generators: One for each image; none is needed where the corruption is not random.

    Returns:
        Shape, type and device of `images`. uint8 values are cut off, not rounded, as NumPy does for ImageNet-C.
    """
    if images.device.type != "cpu":
        return corrupt_whole_batch(images, corruption, generators)
    result = torch.empty_like(images, memory_format=torch.contiguous_format)

    def one(index: int) -> None:
        result[index] = corrupt_whole_batch(
            images[index : index + 1].contiguous(), corruption, generators[index : index + 1]
        )[0]

    _for_each(one, len(images))
    return result


def corrupt_whole_batch(
    images: torch.Tensor, corruption: Corruption, generators: Sequence[np.random.Generator]
) -> torch.Tensor:
    """Corrupt images as one batch, on their device; the arguments and the result are those of `corrupt_batch`."""
    channels, height, width = images.shape[-3:]
    draws: list[Drawn] = [()] * len(generators)

    def draw(index: int) -> None:
        draws[index] = corruption.draw(generators[index], channels, height, width)

    _for_each(draw, len(generators))
    drawn = tuple(_stack(parts).to(images.device) for parts in zip(*draws, strict=True))
    if images.dtype == torch.uint8:
        levels = corruption.apply(images, drawn)
        return levels if levels.dtype == torch.uint8 else whole_levels(levels)
    levels = corruption.apply(images.float() * 255, drawn).to(torch.float32)
    return levels.clamp(0, 255).div_(255).to(images.dtype)


def _stack(parts: tuple[NDArray[np.generic], ...]) -> torch.Tensor:
    # One image's draw, the rule on the CPU, needs no copy.
    return torch.from_numpy(parts[0][None] if len(parts) == 1 else np.stack(parts))


def _for_each(task: Callable[[int], None], count: int) -> None:
    """Do a task for 0 to count - 1, on as many threads as torch is set to use."""
    workers = min(torch.get_num_threads(), count)
    if workers <= 1:
        for index in range(count):
            task(index)
        return
    for done in [_pool(torch.get_num_threads()).submit(task, index) for index in range(count)]:
        done.result()


@functools.lru_cache(maxsize=1)
def _pool(workers: int) -> ThreadPoolExecutor:
    """Return a pool whose every thread has torch compute on that thread alone."""
    ready = threading.Barrier(workers + 1)
    pool = ThreadPoolExecutor(workers, thread_name_prefix="corruptions")
    for _ in range(workers):
        pool.submit(_compute_alone, ready)
    ready.wait()
    # torch keeps the number for each thread, but also as the default of threads to come: put that back.
    torch.set_num_threads(workers)
    return pool


def _compute_alone(ready: threading.Barrier) -> None:
    torch.get_num_threads()  # torch sets a new thread to the default at its first question: let that pass first
    torch.set_num_threads(1)
    ready.wait()


# A forked process has the pool's object but not its threads: it starts with none. Windows does not fork.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)
