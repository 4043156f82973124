"""The backend `reference`: the functions of the package imagecorruptions 1.1.2, repaired.

imagecorruptions is the published code of ImageNet-C as a package; nobody has released a repair since 2020. On
today's libraries its import and three of its functions fail, and it draws from NumPy's global generator, which two
threads cannot share. So its module is loaded a second time under a private name, once for each thread, and the names
that it looks up are replaced in that copy. The installed package is neither changed nor imported.

What is repaired, and why:

- `pkg_resources` is gone from setuptools 81: `resource_filename` is provided here.
- `scipy.ndimage.interpolation` is deprecated and gone from SciPy 2: `scipy.ndimage` is given instead.
- `gaussian(…, multichannel=True)` (glass_blur, gaussian_blur): scikit-image 0.23 calls it `channel_axis`.
- `np.float_` (fog): gone from NumPy 2.
- `np.max` (spatter): an image on which no drop falls was divided by zero and came out black.
- `np.random`: a generator that is seeded for each image.
- `random_noise` (impulse_noise) ignores NumPy's global generator: it is given that one.

`tests/corruptions/test_imagecorruptions_backend.py` fails when an upstream release makes one of them unnecessary.
"""

from __future__ import annotations

import builtins
import importlib.machinery
import importlib.util
import threading
import types
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import scipy.ndimage
import skimage.color
import skimage.filters
import skimage.util
import torch
from numpy.typing import NDArray
from PIL import Image

from pcbench.corruptions import randomness
from pcbench.corruptions.definitions import CorruptionDefinition
from pcbench.corruptions.imagenet import imagenet_definitions
from pcbench.errors import DataError, UsageError

IMAGECORRUPTIONS_SMALLEST_SIDE = 32
"""Pixels; the package refuses smaller images."""


def corrupt_by_imagecorruptions(
    images: torch.Tensor, definition: CorruptionDefinition, severity: int, *, seed: int, ids: Sequence[str]
) -> torch.Tensor:
    """Corrupt images by imagecorruptions, one by one.

    Args:
        images: (batch, 3, height, width), uint8, or floating point in [0, 1], which is rounded to grey levels.
        definition: One of ImageNet-C's 19, at its own constants: the package has no others.
        severity: 1 to 5.
        seed: The run's seed.
        ids: Names of the images.

    Returns:
        Shape, type and device of `images`.

    Raises:
        UsageError: The definition has other constants than the package.
        DataError: The images are smaller than the package allows.
    """
    _check(images, definition)
    levels = images if images.dtype == torch.uint8 else (images * 255).round().to(torch.uint8)
    corrupted: list[NDArray[np.uint8]] = []
    for image, image_id in zip(levels.permute(0, 2, 3, 1).cpu().numpy(), ids, strict=True):
        number = randomness.legacy_seed(seed, image_id, definition.name, severity)
        corrupted.append(corrupt_one(np.ascontiguousarray(image), definition.function, severity, number))
    result = torch.from_numpy(np.stack(corrupted)).permute(0, 3, 1, 2).contiguous().to(images.device)
    return result if images.dtype == torch.uint8 else (result.float() / 255).to(images.dtype)


def corrupt_one(image: NDArray[np.uint8], function: str, severity: int, seed: int) -> NDArray[np.uint8]:
    """Corrupt one image, (height, width, 3), as imagecorruptions.corrupt does, from a seed."""
    module = _module_of_this_thread()
    _seed(module, seed)
    return np.asarray(getattr(module, function)(Image.fromarray(image), severity)).astype(np.uint8)


def load_original(repairs: dict[str, types.ModuleType]) -> Any:
    """Load a private copy of imagecorruptions' functions.

    Args:
        repairs: Modules that the copy gets when it imports these names.

    Raises:
        DataError: imagecorruptions is not installed.
    """
    spec = importlib.util.find_spec("imagecorruptions")
    if spec is None or not spec.submodule_search_locations:
        raise DataError("the backend 'reference' needs imagecorruptions; install it with: pip install imagecorruptions")
    path = Path(spec.submodule_search_locations[0]) / "corruptions.py"
    loader = importlib.machinery.SourceFileLoader("_pcbench_imagecorruptions", str(path))
    copy_spec = importlib.util.spec_from_loader(loader.name, loader)
    module: Any = importlib.util.module_from_spec(cast("importlib.machinery.ModuleSpec", copy_spec))

    def import_repaired(name: str, *arguments: Any, **options: Any) -> types.ModuleType:
        return repairs[name] if name in repairs else builtins.__import__(name, *arguments, **options)

    # A module's own __builtins__ is where its import statements look: no other module sees this one.
    module.__dict__["__builtins__"] = {**vars(builtins), "__import__": import_repaired}
    loader.exec_module(module)
    return module


class _Numpy:
    """NumPy with a random generator of its own, the name that NumPy 2 dropped, and a maximum to divide by."""

    float_ = np.float64

    def __init__(self) -> None:
        self.random = np.random.RandomState(0)

    def max(self, array: Any, axis: tuple[int, ...] | None = None) -> Any:
        """Return the maximum; along axes, which only spatter asks for, 1 where it is 0."""
        largest = np.max(array, axis=axis)
        return largest if axis is None else np.where(largest == 0, 1, largest)

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)


_threads = threading.local()


def _module_of_this_thread() -> Any:
    if not hasattr(_threads, "module"):
        _threads.module = repaired_module()
    return _threads.module


def repaired_module() -> Any:
    """Return a private copy of imagecorruptions' functions that works, with a random generator of its own."""

    def resource_filename(_: str, name: str) -> str:
        return str(Path(module.__file__).parent / name)

    resources: Any = types.ModuleType("pkg_resources")
    resources.resource_filename = resource_filename
    module = load_original({"pkg_resources": resources, "scipy.ndimage.interpolation": scipy.ndimage})
    module.gaussian = _gaussian
    module.np = _Numpy()
    module.sk = types.SimpleNamespace(color=skimage.color, util=types.SimpleNamespace())
    return module


def _gaussian(image: NDArray[np.float64], sigma: Any, *, multichannel: bool = False, **options: Any) -> Any:
    return cast("Any", skimage.filters.gaussian)(image, sigma, channel_axis=-1 if multichannel else None, **options)


def _seed(module: Any, seed: int) -> None:
    module.np.random.seed(seed)
    generator = np.random.default_rng(seed)

    def random_noise(image: NDArray[np.float64], **options: Any) -> Any:
        return cast("Any", skimage.util.random_noise)(image, rng=generator, **options)

    module.sk.util.random_noise = random_noise


def _check(images: torch.Tensor, definition: CorruptionDefinition) -> None:
    known = imagenet_definitions().get(definition.function)
    if definition.own is not None or known is None or definition.parameters != known.parameters:
        raise UsageError(
            f"the backend 'reference' knows ImageNet-C's constants only, not those of this {definition.name!r}; "
            "use the backend 'fast'"
        )
    if not hasattr(_module_of_this_thread(), definition.function):
        raise UsageError(f"imagecorruptions has no {definition.name!r}: use the backend 'fast'")
    if images.shape[1] != 3:
        raise DataError(
            f"the backend 'reference' takes and makes colour images, not images of {images.shape[1]} channels; "
            "use the backend 'fast'"
        )
    if min(images.shape[-2:]) < IMAGECORRUPTIONS_SMALLEST_SIDE:
        raise DataError(
            f"the backend 'reference' takes images of at least {IMAGECORRUPTIONS_SMALLEST_SIDE} px; "
            "use the backend 'fast'"
        )
