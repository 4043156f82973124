"""Versions of the libraries, whether each can be loaded, and which exclude each other."""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import importlib.util
import io
import os
import platform
import re
import sys
import warnings
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError
from pathlib import Path
from types import ModuleType

from packaging.requirements import InvalidRequirement, Requirement

import pcbench
from pcbench.doctor.finding import Finding
from pcbench.errors import PcbenchError
from pcbench.extras import EXCLUSIVE, is_installed
from pcbench.shadows import UNLOADABLE

LOADED_MODULES = {
    **{name: name for name in ("numpy", "torch", "torchvision", "scipy", "pandas", "pyarrow", "matplotlib")},
    **{name: name for name in ("foolbox", "eagerpy", "timm", "safetensors", "simplejpeg", "filelock")},
    **{name: name for name in ("pydantic", "typer", "rich", "jinja2")},
    "pyautoattack": "pyautoattack",
    "pillow": "PIL.Image",
    "scikit-image": "skimage.filters",
    "huggingface-hub": "huggingface_hub",
    "tomli-w": "tomli_w",
}
"""What is loaded of each library of the core; imagecorruptions is only read, and OpenCV has several distributions."""
_OTHERWISE = ("torch", "torchvision")
"""What is loaded elsewhere: among the devices, and together."""
EXTRA_LIBRARIES = ("torchattacks", "robustbench", "ray", "h5py", "lightning-fabric", "optuna", "tensorboard")
OPENCV = ("opencv-python", "opencv-python-headless", "opencv-contrib-python", "opencv-contrib-python-headless")
"""Distributions that all write the folder `cv2`."""


def library_findings() -> Iterator[Finding]:
    """Look at which versions are installed, and whether they are those that pcbench needs."""
    yield Finding("versions", "python", f"{platform.python_version()} at {sys.executable} on {platform.platform()}")
    yield from _pcbench()
    needed = _needed()
    for library in (*needed, *(one for one in EXTRA_LIBRARIES if is_installed(one))):
        yield _version(library, needed.get(library))


def _pcbench() -> Iterator[Finding]:
    place = Path(pcbench.__file__).parent
    records = {str(one.version): one for one in importlib.metadata.distributions(name="pcbench")}
    if set(records) <= {pcbench.__version__}:
        yield Finding("versions", "pcbench", f"{pcbench.__version__} in {place}")
        return
    found = f"{pcbench.__version__} in {place} is at work, and installed is {' and '.join(sorted(records))}"
    remedy = "pip uninstall -y pcbench, until none is left; then install it once"
    yield Finding("versions", "pcbench", found, "wrong", remedy)


def _needed() -> dict[str, Requirement]:
    """Return what pcbench says that it needs, by the normalised name of a library."""
    try:
        stated = importlib.metadata.requires("pcbench") or []
    except PackageNotFoundError:
        stated = []
    found: dict[str, Requirement] = {}
    for line in stated:
        with contextlib.suppress(InvalidRequirement):
            one = Requirement(line)
            if one.marker is None or one.marker.evaluate({"extra": ""}):
                found[re.sub(r"[-_.]+", "-", one.name).lower()] = one
    return found or {name: Requirement(name) for name in (*LOADED_MODULES, "imagecorruptions", OPENCV[0])}


def _version(library: str, needed: Requirement | None) -> Finding:
    if library == OPENCV[0]:  # any build of it will do
        library = next((one for one in OPENCV if is_installed(one)), library)
    install = f'pip install "{library}{needed.specifier if needed is not None else ""}"'
    try:
        record = importlib.metadata.distribution(library)
    except PackageNotFoundError:
        return Finding("versions", library, "not installed", "wrong", install)
    version = _stated_version(record)
    if version is None:
        remains = os.path.abspath(str(getattr(record, "_path", record.locate_file(""))))  # noqa: PTH100  # its own kind of path
        found = f"{remains} is what an interrupted installation left"
        return Finding("versions", library, found, "wrong", f"remove {remains}; then: {install}")
    if needed is not None and not needed.specifier.contains(version, prereleases=True):
        found = f"{version}, and pcbench needs {needed.specifier}"
        return Finding("versions", library, found, "wrong", install)
    return Finding("versions", library, version)


def _stated_version(record: Distribution) -> str | None:
    """Return the version that a record of an installation states; Python's versions differ in where there is none."""
    stated = re.search(
        r"^Version:[ \t]*(\S+)", record.read_text("METADATA") or record.read_text("PKG-INFO") or "", re.MULTILINE
    )
    return None if stated is None else stated[1]


def collisions() -> Iterator[Finding]:
    """Look at whether each library can be loaded, and at those that exclude each other."""
    for library, module in LOADED_MODULES.items():
        if library not in _OTHERWISE and (found := _unloaded(library, module)) is not None:
            yield found
    yield _torchvision()
    opencv = _opencv()
    yield opencv
    yield from _attack_libraries()
    if opencv.state == "ok":  # who reads the photographs needs it
        yield _frost()


def hidden_libraries() -> list[Finding]:
    """Look at which libraries would be imported from another place than where they are installed."""
    found = (_hidden(library, module) for library, module in LOADED_MODULES.items())
    return [one for one in found if one is not None]


def _unloaded(library: str, module: str) -> Finding | None:
    """Return that a library cannot be loaded, if that is so."""
    loaded, why = imported(module)
    remedy = f"pip install --force-reinstall {library}"
    return None if loaded else Finding("libraries", library, f"cannot be loaded ({why})", "wrong", remedy)


def _hidden(library: str, module: str) -> Finding | None:
    """Return that a file or folder of another place would be imported, if that is so."""
    top = module.partition(".")[0]
    try:
        record, spec = importlib.metadata.distribution(library), importlib.util.find_spec(top)
    except (PackageNotFoundError, ValueError):  # told by its version; or a stand-in that is no file
        return None
    editable = '"editable": true' in (record.read_text("direct_url.json") or "")
    if spec is None or spec.origin is None or editable or _stated_version(record) is None:
        return None
    home, origin = (os.path.abspath(str(one)) for one in (record.locate_file(""), spec.origin))  # noqa: PTH100
    if os.path.commonpath([home, origin]) == home:
        return None
    found = f"{origin} hides {top}, which is installed in {home}"
    remedy = f"rename {origin}, or take its folder out of PYTHONPATH"
    return Finding("libraries", library, found, "wrong", remedy)


def _torchvision() -> Finding:
    torchvision, why = imported("torchvision")
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
    module, why = imported("cv2")
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


def _frost() -> Finding:
    try:
        from pcbench.corruptions.frost_textures import frost_folder  # it imports OpenCV, which may be broken

        folder = frost_folder()
    except PcbenchError as error:
        return Finding("libraries", "frost's photographs", str(error), "wrong", "pip install imagecorruptions==1.1.2")
    return Finding("libraries", "frost's photographs", str(folder))


def imported(module: str) -> tuple[ModuleType | None, str]:
    """Import a library, or return in one line why that fails."""
    try:
        # Of what will be gone in versions to come; and where numpy does not fit, it prints pages.
        with warnings.catch_warnings(action="ignore"), contextlib.redirect_stderr(io.StringIO()):
            return importlib.import_module(module), ""
    except UNLOADABLE as error:
        return None, " ".join(str(error).split())[:200]
