"""What computed a run: versions, the hash of our own code, the machine."""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import os
import platform
from pathlib import Path

import pcbench

LIBRARIES = ("torch", "torchvision", "numpy", "scipy", "foolbox", "timm", "pillow", "pyautoattack", "scikit-learn")
OPTIONAL_LIBRARIES = ("torchattacks", "robustbench", "imagecorruptions")


def versions() -> dict[str, str]:
    """Return the versions of everything that computes: pcbench, its code, Python and the libraries."""
    found = {"python": platform.python_version(), "pcbench": pcbench.__version__, "pcbench_code": code_hash()}
    for library in (*LIBRARIES, *OPTIONAL_LIBRARIES):
        try:
            found[library] = importlib.metadata.version(library)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


@functools.cache
def code_hash() -> str:
    """Return a hash over pcbench's own Python files, so that a changed checkout is another version."""
    package = Path(pcbench.__file__).resolve().parent
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        digest.update(path.relative_to(package).as_posix().encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def folder_hash(folder: Path) -> str:
    """Return the SHA-256 over the names and bytes of the TOML files of a folder."""
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.toml")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def machine() -> dict[str, str | int]:
    """Return what the run ran on; told in the manifest, no part of the key."""
    return {
        "system": platform.system(),
        "processor": platform.machine(),
        "cores": os.cpu_count() or 1,
    }
