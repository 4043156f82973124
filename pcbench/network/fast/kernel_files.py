"""Transformed kernels, kept between processes in the cache folder.

PVGG16's decoders have kernels of 1.2 GB once they are transformed, which takes 1.4 seconds of processor time in each
process; to map a file into memory and compare its sums takes a fifth of that, and processes share the memory. A file is
written by a thread of its own, some time after, so that the first pass does not wait for it, or at the end of the
process; where it cannot be written, nothing is said and nothing is lost.

The numbers of a file are those that the transformation makes, to the bit: its name covers all that they depend on.
"""

from __future__ import annotations

import atexit
import hashlib
import os
import platform
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pcbench.cores import processor_vendor
from pcbench.data.cache import NO_CACHE, BoundedWriter, Cache, cache_folder, cache_limit
from pcbench.errors import PcbenchError
from pcbench.network.fast.workers import share_pieces
from pcbench.source_code import normalised, read_source

SMALLEST = 2**25
"""Kernels of fewer bytes are not kept: they are transformed in less time than a file takes."""
_PARTS = 16
_SECONDS_BEFORE = 30
_SECONDS_AT_EXIT = 5
# The modules that decide a transformed kernel's numbers.
_CODE = ("pcbench.network.fast.fourier_tiles", "pcbench.network.fast.transposed_convolution", __name__)


def kept_kernels(weight: Tensor, variant: str, sizes: tuple[int, ...], make: Callable[[], Tensor]) -> Tensor:
    """Return transformed kernels from the cache folder, or make them and keep them there.

    Args:
        weight: What is transformed, float32 on the CPU.
        variant: What the result depends on besides, such as the size of tiles.
        sizes: The result's sizes; those of one number along the first are an even count.
        make: Transforms the weight.
    """
    size = 4 * int(np.prod(sizes))
    if size < SMALLEST or NO_CACHE in os.environ:
        return make()
    try:
        files = Cache(cache_folder() / "kernels", cache_limit())
    except PcbenchError:  # no home folder, a limit that is no number: whoever needs a download is told
        return make()
    name = f"{_name(weight, variant, sizes)}.kernels"
    path = files.folder / name
    found = _read(path, sizes)
    if found is not None:
        return found
    kernels = make()
    _write_aside(files, name, kernels)
    return kernels


def _name(weight: Tensor, variant: str, sizes: tuple[int, ...]) -> str:
    values = _bytes(weight.detach().contiguous())
    step = -(-len(values) // _PARTS)
    digests = [b""] * _PARTS

    def digest(part: int) -> None:
        digests[part] = hashlib.sha256(values[part * step : (part + 1) * step]).digest()

    share_pieces(_PARTS, digest)
    about = (tuple(weight.shape), variant, sizes, torch.get_num_threads(), *_machine(), *digests)
    return hashlib.sha256(repr(about).encode()).hexdigest()[:32]


@cache
def _machine() -> tuple[str, ...]:
    """Return what else a number depends on: PyTorch, the kind of processor, our own code."""
    capability = torch.backends.cpu.get_cpu_capability()
    code = hashlib.sha256(b"".join(normalised(read_source(module) or "") for module in _CODE)).hexdigest()
    return str(torch.__version__), platform.machine(), processor_vendor(), capability, code


def _read(path: Path, sizes: tuple[int, ...]) -> Tensor | None:
    """Return a file's kernels, mapped into memory; None where there are none, or others than were written."""
    count = int(np.prod(sizes))
    try:
        if path.stat().st_size != 4 * count + 8 * sizes[0]:
            path.unlink()
            return None
        kernels = torch.from_file(str(path), shared=False, size=count, dtype=torch.float32).view(sizes)
        stated = np.fromfile(path, dtype=np.int64, offset=4 * count)
        if not torch.equal(_sums(kernels), torch.from_numpy(stated)):
            path.unlink()
            return None
        os.utime(path)  # used now, so it is not the next to make room
    except (OSError, RuntimeError):  # there is no file, or it cannot be read, mapped or removed
        return None
    return kernels


def _bytes(values: Tensor) -> memoryview:
    return values.numpy().data.cast("B")


def _sums(kernels: Tensor) -> Tensor:
    """Return a sum over the bits of each number along the first side."""
    return kernels.flatten(1).view(torch.int64).sum(1)


_writing: list[threading.Thread] = []
_at_once = threading.Event()
_turn = threading.Lock()


def _write_aside(files: Cache, name: str, kernels: Tensor) -> None:
    """Write kernels later, while the computation goes on, or at the end of the process, which waits a few seconds."""
    writer = threading.Thread(target=_write, args=(files, name, kernels), name="kernels", daemon=True)
    _writing.append(writer)
    writer.start()


def _write(files: Cache, name: str, kernels: Tensor) -> None:
    def content(writer: BoundedWriter) -> None:
        for one in kernels:
            writer.write(_bytes(one))
        writer.write(_bytes(_sums(kernels)))

    _at_once.wait(_SECONDS_BEFORE)
    # A full or write-protected disk, a folder that holds no lock, a limit below one file: the next process transforms.
    with _turn, suppress(PcbenchError, OSError):
        files.open(name, content).close()


def wait_for_files(seconds: float | None = None) -> None:
    """Write the kernels of this process now, and wait for it.

    Args:
        seconds: How long, for all files together; None: as long as it takes.
    """
    end = None if seconds is None else time.monotonic() + seconds
    _at_once.set()
    while _writing:
        _writing.pop().join(None if end is None else max(0.0, end - time.monotonic()))
    _at_once.clear()


def _forget() -> None:
    """Leave the writers behind: a process that was forked has none of its parent's threads."""
    global _turn  # noqa: PLW0603  # a writer may have held it when the process was forked
    _turn = threading.Lock()
    _writing.clear()


atexit.register(wait_for_files, _SECONDS_AT_EXIT)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
