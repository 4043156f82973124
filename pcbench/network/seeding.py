"""The global random generators that foreign code draws from: seeded for a while, and whether they were drawn from."""

from __future__ import annotations

import random
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, cast

import numpy as np
import torch


@contextmanager
def seeded(seed: int, device: torch.device) -> Generator[None]:
    """Seed the global generators of PyTorch, NumPy and Python, and put them back afterwards.

    Args:
        seed: Below 2**32.
        device: Where the images are; a GPU has a generator of its own.
    """
    with put_back(device):
        # Not torch.manual_seed: for a GPU that is not in use it formats the call stack, which takes a millisecond.
        torch.default_generator.manual_seed(seed)
        if device.type == "cuda":
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        np.random.seed(seed)  # noqa: NPY002 - foreign code draws from numpy's global generator
        random.seed(seed)
        yield


@contextmanager
def put_back(device: torch.device) -> Generator[None]:
    """Put the same generators back afterwards, whatever was drawn from them.

    Args:
        device: Where the images are.
    """
    numpy_state, python_state = np.random.get_state(), random.getstate()  # noqa: NPY002 - as above
    torch_state = torch.get_rng_state()
    gpu_state = torch.cuda.get_rng_state(device) if device.type == "cuda" else None
    try:
        yield
    finally:
        np.random.set_state(numpy_state)  # noqa: NPY002 - as above
        random.setstate(python_state)
        torch.set_rng_state(torch_state)
        if gpu_state is not None:
            torch.cuda.set_rng_state(gpu_state, device)


def states(device: torch.device) -> tuple[object, ...]:
    """Return the states of the same generators, which are equal where nothing was drawn in between.

    Args:
        device: Where the images are.
    """
    numpy_state = np.random.get_state(legacy=False)  # noqa: NPY002 - as above
    of_torch = [torch.get_rng_state(), *([torch.cuda.get_rng_state(device)] if device.type == "cuda" else [])]
    return random.getstate(), _plain(numpy_state), *(state.numpy().tobytes() for state in of_torch)


def _plain(state: object) -> object:
    """Return a state as values that can be compared: NumPy's holds arrays."""
    if isinstance(state, dict):
        return {name: _plain(value) for name, value in cast("dict[str, object]", state).items()}
    return cast("np.ndarray[Any, Any]", state).tobytes() if isinstance(state, np.ndarray) else state
