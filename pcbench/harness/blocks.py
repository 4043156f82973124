"""Units of work as values: a kind of work for a condition on a block of images, and what it comes after."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pcbench.harness.costs import Passes
from pcbench.results.conditions import Condition

SMALL_SIDE = 64
"""The longest side of small images, in pixels."""
DEFAULT_BLOCK = 512
"""A block has the smallest multiple of the batch size that is at least this many images."""


@dataclass(frozen=True)
class Block:
    """Images that a unit works on: a fixed number of them, in the order of the list that they are cut from."""

    number: int
    """Which block of the list this is, from 0."""
    of: int
    """How many blocks the list has."""
    start: int
    """The index of the first image in the list."""
    stop: int
    """The index after the last one."""
    sha256: str
    """Hash over the hashes of the images' stored bytes: what is read must be what was planned."""

    def __len__(self) -> int:
        return self.stop - self.start

    @property
    def words(self) -> str:
        """Which images these are, in words, counted from 1."""
        return f"images {self.start + 1} to {self.stop}"


@dataclass(frozen=True)
class Unit:
    """A piece of work that is done whole or not at all. It is a value: any worker can do it."""

    work: str
    """The kind of work, the name of a file in `pcbench.harness.work`."""
    condition: Condition
    """What is done to the images."""
    block: Block
    """The images."""
    passes: Passes
    """What it costs an image."""
    after: tuple[str, ...] = ()
    """Paths of the units whose parts it needs."""
    detail: str = ""
    """Which part of the work it is, where a kind of work has several units for a condition and block."""
    setting: str = ""
    """The label of the setting of hyperparameters that it is of, where a run has several; empty where it is of all."""

    @property
    def path(self) -> str:
        """Its path among the parts, without an ending; no two units of a run have the same."""
        return f"{self.setting}/{self.path_alone}" if self.setting else self.path_alone

    @property
    def path_alone(self) -> str:
        """The same as it is in a run of its setting alone."""
        detail = f"-{self.detail}" if self.detail else ""
        return f"{self.work}/{self.condition.path}{detail}/{self.block.number:05d}"

    @property
    def title(self) -> str:
        """What a progress bar and messages call it."""
        detail = f" ({self.detail.replace('_', ' ')})" if self.detail else ""
        images = f", {self.block.words}" if self.block.of > 1 else ""
        return f"{self.condition_title}{detail}{images}"

    @property
    def condition_title(self) -> str:
        """What messages call its condition."""
        return f"{self.condition.title} ({self.setting})" if self.setting else self.condition.title

    @property
    def cost(self) -> float:
        """The work that is usually left of it, in passes of one image forward through one timestep of the network."""
        return self.passes.work * len(self.block)


def cut(digests: NDArray[np.uint8], block_size: int) -> Iterator[Block]:
    """Cut a list of images into blocks.

    Args:
        digests: The sha256 of each image's stored bytes in the order of the list, shape (images, 32).
        block_size: Images in a block; the last one may have fewer.
    """
    starts = range(0, len(digests), block_size)
    for number, start in enumerate(starts):
        part = digests[start : start + block_size]
        yield Block(number, len(starts), start, start + len(part), hashlib.sha256(part.tobytes()).hexdigest())


def default_block_size(batch_size: int) -> int:
    """Return the block size where the user names none."""
    return -(-DEFAULT_BLOCK // batch_size) * batch_size


def default_batch_size(side: int) -> int:
    """Return the batch size for images of a longest side, in pixels, where the user names none."""
    return 128 if side <= SMALL_SIDE else 32


def default_threads(side: int, device: str, *, shared: bool) -> int:
    """Return a worker's number of threads where the user names none.

    Two threads do a step of an attack on small images 1.4 to 1.6 times as fast as one (benchmarks/gradients.py); two
    workers of one thread each do two meanwhile. Of large images fewer workers fit into the memory.

    Args:
        side: The longest side of the images, in pixels.
        device: The kind of device.
        shared: Whether several workers can share the work.
    """
    return 1 if side <= SMALL_SIDE and device == "cpu" and shared else 2
