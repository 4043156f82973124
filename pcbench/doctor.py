"""What pcbench finds on a machine: versions, devices, threads, folders, and what is wrong, each with its remedy."""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import platform
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Literal

import pcbench
from pcbench import files
from pcbench.cores import usable_cores
from pcbench.data.cache import cache_folder
from pcbench.errors import PcbenchError
from pcbench.extras import EXCLUSIVE, is_installed

State = Literal["ok", "note", "wrong"]

CORE_LIBRARIES = (
    *("torch", "torchvision", "numpy", "scipy", "pandas", "pyarrow", "pillow", "matplotlib", "plotly"),
    *("foolbox", "pyautoattack", "imagecorruptions", "timm", "scikit-image", "safetensors"),
)
EXTRA_LIBRARIES = ("torchattacks", "robustbench", "ray", "lightning-fabric", "optuna", "tensorboard")
OPENCV = ("opencv-python", "opencv-python-headless", "opencv-contrib-python", "opencv-contrib-python-headless")
"""Distributions that all write the folder `cv2`."""
_BROKEN = (ImportError, OSError, RuntimeError, AttributeError)
"""What importing a library that does not fit this machine or another library has been seen to raise."""
_SMALL_DISK = 5e9
"""Bytes; weights, data and runs of usual size do not fit in less."""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    topic: str
    """`"versions"`, `"devices"`, `"threads"`, `"folders"` or `"libraries"`."""
    name: str
    """What was looked at."""
    found: str
    """What was found, in words."""
    state: State = "ok"
    """`"note"` is worth knowing; what is `"wrong"` makes runs fail, or numbers differ."""
    remedy: str | None = None
    """What to do about it."""


def findings() -> list[Finding]:
    """Look at everything; nothing is changed but for files that are written and removed again in the folders."""
    return [*_versions(), *_devices(), *_threads(), *_folders(), *_libraries()]


def _versions() -> Iterator[Finding]:
    yield Finding("versions", "pcbench", pcbench.__version__)
    yield Finding("versions", "python", f"{platform.python_version()} on {platform.platform()}")
    for library in CORE_LIBRARIES:
        if is_installed(library):
            yield Finding("versions", library, importlib.metadata.version(library))
        else:
            remedy = "reinstall it: pip install --force-reinstall pcbench"
            yield Finding("versions", library, "not installed", "wrong", remedy)
    for library in EXTRA_LIBRARIES:
        if is_installed(library):
            yield Finding("versions", library, importlib.metadata.version(library))


def _devices() -> Iterator[Finding]:
    torch, why = _imported("torch")
    if torch is None:
        yield Finding("devices", "torch", why, "wrong", "reinstall torch: https://pytorch.org/get-started")
        return
    yield Finding("devices", "cpu", f"{platform.machine()}, {torch.backends.cpu.get_cpu_capability()}")
    if torch.cuda.is_available():
        for number in range(torch.cuda.device_count()):
            free, total = torch.cuda.mem_get_info(number)
            memory = f"{free / 1e9:.1f} of {total / 1e9:.1f} GB free"
            yield Finding("devices", f"cuda:{number}", f"{torch.cuda.get_device_name(number)}, {memory}")
    elif torch.version.cuda is not None:
        yield Finding("devices", "cuda", f"torch is built for CUDA {torch.version.cuda}, and there is no GPU", "note")
    if torch.backends.mps.is_available():
        yield Finding("devices", "mps", "available")


def _threads() -> Iterator[Finding]:
    yield Finding("threads", "usable cores", f"{usable_cores()} of {os.cpu_count()}")
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "PYTHONDONTWRITEBYTECODE"):
        value = os.environ.get(name)
        if value and name == "PYTHONDONTWRITEBYTECODE":
            remedy = "unset PYTHONDONTWRITEBYTECODE"
            yield Finding("threads", name, "set: each start compiles all libraries again", "note", remedy)
        elif value:
            yield Finding("threads", name, f"{value}; --threads decides nevertheless")


def _folders() -> Iterator[Finding]:
    places = {
        "results": (Path("results") / "runs", "give --out in another folder"),
        "cache": (cache_folder(), "set PCBENCH_CACHE to a folder that can be written"),
        "torch's cache": (_torch_cache(), "set TORCH_HOME to a folder that can be written"),
        "temporary": (Path(tempfile.gettempdir()), "set TMPDIR to a folder that can be written"),
    }
    for name, (folder, remedy) in places.items():
        yield _folder(name, folder, remedy)


def _folder(name: str, folder: Path, remedy: str) -> Finding:
    there = next((one for one in (folder, *folder.absolute().parents) if files.is_folder(one)), Path("/"))
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


def _torch_cache() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("TORCH_HOME") or Path(home) / "torch")


def _size(folder: Path) -> int:
    """Return how many bytes the files of a folder have; what cannot be read is left out."""
    total = 0
    for root, _, names in os.walk(folder):
        for name in names:
            path = Path(root) / name
            if path.is_file() and not path.is_symlink():
                total += path.stat().st_size
    return total


def _libraries() -> Iterator[Finding]:
    yield _torchvision()
    opencv = _opencv()
    yield opencv
    yield from _attack_libraries()
    if opencv.state == "ok":  # who reads the photographs needs it
        yield _frost()


def _torchvision() -> Finding:
    torchvision, why = _imported("torchvision")
    if torchvision is not None:
        return Finding("libraries", "torchvision", "fits torch")
    builds = " and ".join(
        f"{name} {importlib.metadata.version(name)}" for name in ("torch", "torchvision") if is_installed(name)
    )
    remedy = "install both from one index in one command: pip install --force-reinstall torch torchvision"
    return Finding("libraries", "torchvision", f"{builds} do not fit each other ({why})", "wrong", remedy)


def _opencv() -> Finding:
    there = [name for name in OPENCV if is_installed(name)]
    remedy = f"pip uninstall -y {' '.join(there or OPENCV[:2])}; pip install opencv-python-headless"
    if len(there) > 1:
        return Finding("libraries", "opencv", f"{' and '.join(there)} overwrite each other", "wrong", remedy)
    module, why = _imported("cv2")
    if module is None:
        return Finding("libraries", "opencv", f"cannot be loaded ({why})", "wrong", remedy)
    return Finding("libraries", "opencv", f"{module.__version__} of {there[0] if there else 'another installation'}")


def _attack_libraries() -> Iterator[Finding]:
    if all(is_installed(library) for library in EXCLUSIVE):
        remedy = "a fresh environment for each: uv run --isolated --extra torchattacks (or robustbench)"
        both = "torchattacks' old copy of robustbench overwrites the real one"
        yield Finding("libraries", "torchattacks, robustbench", both, "wrong", remedy)
    if is_installed("autoattack"):
        remedy = "pip uninstall -y autoattack; pip install --force-reinstall pyautoattack==0.2.0"
        old = "an old autoattack lies beside pyautoattack, and both are imported as autoattack"
        yield Finding("libraries", "autoattack", old, "wrong", remedy)
    for name, module in {"foolbox": "foolbox", "pyautoattack": "pyautoattack", "timm": "timm"}.items():
        found, why = _imported(module)
        if found is None:
            remedy = f"pip install --force-reinstall {name}"
            yield Finding("libraries", name, f"cannot be loaded ({why})", "wrong", remedy)


def _frost() -> Finding:
    try:
        from pcbench.corruptions.frost_textures import frost_folder  # it imports OpenCV, which may be broken

        folder = frost_folder()
    except PcbenchError as error:
        return Finding("libraries", "frost's photographs", str(error), "wrong", "pip install imagecorruptions==1.1.2")
    return Finding("libraries", "frost's photographs", str(folder))


def _imported(module: str) -> tuple[ModuleType | None, str]:
    """Import a library, or return in one line why that fails."""
    try:
        with warnings.catch_warnings(action="ignore"):  # of what will be gone in versions to come
            return importlib.import_module(module), ""
    except _BROKEN as error:
        return None, " ".join(str(error).split())[:200]
