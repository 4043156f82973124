"""What computed a run: versions, the hash of our own code, the machine."""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import os
import platform
from collections.abc import Iterable, Sequence
from pathlib import Path

import pcbench
from pcbench.cores import processor_vendor
from pcbench.distributions import distributions
from pcbench.source_code import normalised, reached, read_source

LIBRARIES = ("torch", "torchvision", "numpy", "scipy", "foolbox", "timm", "pillow", "pyautoattack")
OPTIONAL_LIBRARIES = ("torchattacks", "robustbench", "imagecorruptions")

# The parts of the package that compute a run's outcomes, and those that compute its tables from the outcomes.
PARTS_CODE = (
    "arguments.py",
    "norms.py",
    "data",
    "network",
    "corruptions",
    "models",
    "attacks",
    "harness/work",
    "harness/scoring.py",
    "harness/suites.py",
    "harness/context.py",
    "harness/transferred.py",
    "harness/blocks.py",
    "metrics/representations.py",
    "metrics/shown.py",
    "results/columns.py",
    "results/schema.py",
    "results/conditions.py",
    "results/adversarials.py",
)
METRICS_CODE = (
    "metrics",
    "results/metrics_table.py",
    "attacks/worst_case.py",
    "attacks/checks",
    "harness/joining.py",
)


def versions() -> dict[str, str]:
    """Return the versions of everything that computes: pcbench, its code, Python and the libraries."""
    found = {"python": platform.python_version(), "pcbench": pcbench.__version__, "pcbench_code": code_hash(PARTS_CODE)}
    for library in (*LIBRARIES, *OPTIONAL_LIBRARIES):
        try:
            found[library] = importlib.metadata.version(library)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def library_versions(modules: Iterable[str], *, libraries: Iterable[str] = ()) -> dict[str, str]:
    """Return the versions of Python and of the distributions that modules need when they are imported.

    The imports are followed through pcbench's own modules and through the user's, not through installed libraries.
    Imports inside functions are not followed; if one matters, add the imported module to `modules`.

    Args:
        modules: Dotted names; none of them is imported.
        libraries: Names of libraries that are asked for by name. One that is not installed but lies in a folder that
            Python imports from, as under an editable installation, changes without a new version: its code is counted.
    """
    found = reached([*modules, *libraries], everywhere=False, through_pcbench=True)
    own = {library: _code_of_library(library) for library in libraries if found[library] == "own"}
    return {"python": platform.python_version(), **distributions(found), **own}


def _code_of_library(library: str) -> str:
    """Return a library's version, where it states one, and a hash over its source and what that imports of its kind."""
    digest = hashlib.sha256()
    for module, kind in sorted(reached([library], everywhere=True).items()):
        source = read_source(module) if kind == "own" else None
        if source is not None:
            code = normalised(source)
            digest.update(f"{module}\0{len(code)}\0".encode() + code)
    try:
        version = importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        version = "no version"
    return f"{version}, code {digest.hexdigest()[:16]}"


def code_hash(parts: Sequence[str]) -> str:
    """Return a hash over pcbench's own Python files, without docstrings and comments.

    Args:
        parts: Folders and files of the package, such as ``"network"`` and ``"results/schema.py"``. Missing
            ones are ignored.
    """
    return _code_hash(Path(pcbench.__file__).resolve().parent, tuple(parts))


@functools.cache
def _code_hash(package: Path, parts: tuple[str, ...]) -> str:
    files: set[Path] = set()
    for part in parts:
        files.update((package / part).rglob("*.py") if (package / part).is_dir() else [package / part])
    digest = hashlib.sha256()
    for path in sorted(path for path in files if path.is_file()):
        # UTF-8 with or without a byte order mark: these are our own files.
        code = normalised(path.read_text(encoding="utf-8-sig"))
        digest.update(f"{path.relative_to(package).as_posix()}\0{len(code)}\0".encode() + code)
    return digest.hexdigest()[:16]


def folder_hash(folder: Path) -> str:
    """Return the SHA-256 over the names and bytes of the TOML files of a folder."""
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.toml")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def machine() -> dict[str, str | int]:
    """Return what the run ran on; it is written to the manifest and is not part of the key."""
    return {
        "system": platform.system(),
        "processor": platform.machine(),
        "cores": os.cpu_count() or 1,
    }


def machine_kind(device: str) -> str:
    """Return the kind of processor that computes, as far as it can change a result's last bits.

    Args:
        device: The name of a PyTorch device, such as ``"cpu"`` or ``"cuda:0"``.
    """
    import torch

    kind = torch.device(device).type
    if kind == "cuda":
        return torch.cuda.get_device_name(device)
    if kind == "cpu":
        return f"{platform.machine()} {processor_vendor()} {torch.backends.cpu.get_cpu_capability()}"
    return f"{platform.machine()} {processor_vendor()} {kind}"
