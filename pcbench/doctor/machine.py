"""Devices, threads and folders of this machine."""

from __future__ import annotations

import os
import platform
import re
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pcbench import files
from pcbench.cores import usable_cores
from pcbench.data.cache import cache_folder
from pcbench.doctor.finding import Finding
from pcbench.doctor.libraries import imported
from pcbench.errors import PcbenchError, first_line

_SMALL_DISK = 5e9
"""Bytes; weights, data and runs of usual size do not fit in less."""
_NVIDIA_DRIVER = Path("/proc/driver/nvidia/version")
_THREADS = re.compile(r"\s*[1-9]\d*\s*(,\s*[1-9]\d*\s*)*")
"""What OpenMP takes for numbers of threads, one for each level of nesting."""


def devices() -> Iterator[Finding]:
    """Look at what can compute."""
    torch, why = imported("torch")
    if torch is None:
        yield Finding("devices", "torch", why, "wrong", "reinstall torch: https://pytorch.org/get-started")
        return
    yield Finding("devices", "cpu", f"{platform.machine()}, {torch.backends.cpu.get_cpu_capability()}")
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        gpus = list(_gpus(torch)) if torch.cuda.is_available() else []
    yield from gpus or [_no_gpu(torch)]
    if said:
        remedy = "update the GPU's driver, or install the torch that fits it: https://pytorch.org/get-started"
        yield Finding("devices", "cuda", first_line(said[0].message), "wrong", remedy)  # type: ignore[arg-type]
    if torch.backends.mps.is_available():
        yield Finding("devices", "mps", "available")


def _gpus(torch: Any) -> Iterator[Finding]:
    for number in range(torch.cuda.device_count()):
        name = f"cuda:{number}"
        try:
            free, total = torch.cuda.mem_get_info(number)
            memory = f"{free / 1e9:.1f} of {total / 1e9:.1f} GB free"
            yield Finding("devices", name, f"{torch.cuda.get_device_name(number)}, {memory}")
        except RuntimeError as error:  # taken by another program, full, or lost
            remedy = "look with nvidia-smi at what uses it; another device, or cpu, is given by --device"
            yield Finding("devices", name, f"cannot be used ({first_line(error)})", "wrong", remedy)


def _no_gpu(torch: Any) -> Finding:
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
    driver = _NVIDIA_DRIVER.exists()
    if torch.version.cuda is None:
        if not driver:
            return Finding("devices", "cuda", "torch is built without CUDA")
        remedy = "reinstall torch for CUDA, to use the GPU: https://pytorch.org/get-started"
        return Finding("devices", "cuda", "torch is built without CUDA, and there is a GPU's driver", "note", remedy)
    if hidden is not None and driver:
        found = f"CUDA_VISIBLE_DEVICES={hidden!r} hides the GPUs"
        return Finding("devices", "cuda", found, "note", "unset CUDA_VISIBLE_DEVICES, to use them")
    return Finding("devices", "cuda", f"torch is built for CUDA {torch.version.cuda}, and there is no GPU", "note")


def threads() -> Iterator[Finding]:
    """Look at what decides on the number of threads."""
    yield Finding("threads", "usable cores", f"{usable_cores()} of {os.cpu_count()}")
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        value = os.environ.get(name)
        if value and not _THREADS.fullmatch(value):
            yield Finding("threads", name, f"{value!r} is no number of threads", "wrong", f"unset {name}")
        elif value:
            yield Finding("threads", name, f"{value}; --threads decides nevertheless")
    if os.environ.get("PYTHONDONTWRITEBYTECODE"):
        remedy = "unset PYTHONDONTWRITEBYTECODE"
        slow = "set: each start compiles all libraries again"
        yield Finding("threads", "PYTHONDONTWRITEBYTECODE", slow, "note", remedy)


def folders() -> Iterator[Finding]:
    """Look at the folders that pcbench and its libraries write to."""
    places: dict[str, tuple[Callable[[], Path], str]] = {
        "results": (lambda: Path("results") / "runs", "give --out in another folder"),
        "cache": (cache_folder, "set PCBENCH_CACHE to a folder that can be written"),
        "torch's cache": (_torch_cache, "set TORCH_HOME to a folder that can be written"),
        "temporary": (lambda: Path(tempfile.gettempdir()), "set TMPDIR to a folder that can be written"),
    }
    for name, (place, remedy) in places.items():
        try:
            yield _folder(name, place(), remedy)
        except (OSError, PcbenchError) as error:
            yield Finding("folders", name, first_line(error), "wrong", remedy)


def _torch_cache() -> Path:
    if own := os.environ.get("TORCH_HOME"):
        return files.full_path(own)
    return files.user_cache("set TORCH_HOME") / "torch"


def _folder(name: str, folder: Path, remedy: str) -> Finding:
    # What is there may be a file, below which no folder can be made.
    there = next((one for one in (folder, *folder.absolute().parents) if os.path.lexists(one)), Path("/"))
    size = f"{_size(folder) / 1e6:,.0f} MB" if files.is_folder(folder) and name != "temporary" else ""
    try:
        with tempfile.TemporaryFile(dir=there) as file:
            file.write(b"pcbench")
            file.flush()
        free = shutil.disk_usage(there).free
    except OSError as error:
        return Finding("folders", name, f"{folder}: cannot be written ({files.reason(error)})", "wrong", remedy)
    words = ", ".join(part for part in (str(folder), size, f"{free / 1e9:,.1f} GB free") if part)
    return Finding("folders", name, words, "note", remedy) if free < _SMALL_DISK else Finding("folders", name, words)


def _size(folder: Path) -> int:
    """Return how many bytes the files of a folder have; what cannot be read is left out."""
    total = 0
    for root, _, names in os.walk(folder):
        for name in names:
            path = Path(root) / name
            try:
                total += path.lstat().st_size
            except OSError:  # removed meanwhile by another process
                continue
    return total
