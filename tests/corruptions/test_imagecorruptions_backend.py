"""Oracle: imagecorruptions 1.1.2 as installed, and its failures on today's libraries.

Each repair is tested twice: the repaired function works, and the installed source still needs the repair. When an
upstream release makes a repair unnecessary, the second test fails: then take the repair out of
`imagecorruptions_backend.py`.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import inspect
import re
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import skimage.filters
import skimage.util
import torch
from shipped_corruptions import IN_IMAGECORRUPTIONS, shipped_suites

from pcbench.corruptions import imagecorruptions_backend
from pcbench.corruptions.api import corrupt
from pcbench.corruptions.definitions import CorruptionSuite
from pcbench.corruptions.imagenet import imagenet_definition
from pcbench.errors import DataError, UsageError

FUNCTIONS = [one.function for suite in IN_IMAGECORRUPTIONS for one in shipped_suites()[suite].corruptions]


@pytest.fixture(scope="module")
def source() -> str:
    spec = importlib.util.find_spec("imagecorruptions")
    assert spec is not None
    assert spec.submodule_search_locations
    return (Path(spec.submodule_search_locations[0]) / "corruptions.py").read_text()


def test_a_function_that_it_does_not_have_is_refused(small_images: torch.Tensor) -> None:
    with pytest.raises(UsageError, match="imagecorruptions has no 'sparkles': use the backend 'fast'"):
        corrupt(small_images[:1], "sparkles", 1, backend="reference")


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_runs_on_today_s_libraries(small_images: torch.Tensor, name: str) -> None:
    images = small_images[:2, :, :32, :32].contiguous()
    result = corrupt(images, name, 1, backend="reference")
    assert result.dtype == torch.uint8
    assert result.shape == images.shape
    assert not torch.equal(result, images)
    assert torch.equal(result[1:], corrupt(images[1:], name, 1, backend="reference", ids=["1"]))
    assert corrupt(images.float() / 255, name, 1, backend="reference").dtype == torch.float32


def test_the_version_that_is_repaired_is_the_one_installed() -> None:
    assert importlib.metadata.version("imagecorruptions") == "1.1.2"


@pytest.mark.parametrize(
    ("repair", "needs_it"),
    [
        ("pkg_resources", lambda source: "from pkg_resources import resource_filename" in source),
        ("scipy.ndimage.interpolation", lambda source: "from scipy.ndimage.interpolation import" in source),
        ("multichannel", lambda source: len(re.findall(r"multichannel=True", source)) == 3),
        ("float_", lambda source: "np.float_" in source and not hasattr(np, "float_")),
        ("max", lambda source: "m /= np.max(m, axis=(0, 1))" in source),
        ("random", lambda source: "np.random.normal(" in source and "rng" not in source),
        ("random_noise", lambda source: "sk.util.random_noise(np.array(x) / 255., mode='s&p', amount=c)" in source),
    ],
)
def test_the_installed_source_still_needs_the_repair(source: str, repair: str, needs_it: Callable[[str], bool]) -> None:
    assert needs_it(source), (
        f"imagecorruptions has changed: the repair of {repair} in imagecorruptions_backend.py is unnecessary"
    )


def test_scikit_image_still_refuses_what_the_package_asks() -> None:
    assert "multichannel" not in inspect.signature(skimage.filters.gaussian).parameters
    assert "rng" in inspect.signature(skimage.util.random_noise).parameters


def test_spatter_without_a_drop_leaves_the_image() -> None:
    # The installed package turns such an image black: at 32 px its widest Gaussian leaves no noise above the threshold.
    images = torch.full((40, 3, 32, 32), 90, dtype=torch.uint8)
    results = corrupt(images, "spatter", 1, backend="reference")
    assert results.amin() >= 90
    assert (results == 90).all(3).all(2).all(1).any()


def test_threads_do_not_disturb_each_other(small_images: torch.Tensor) -> None:
    # Oracle: one thread. With a shared random generator or shared patches most of these images come out wrong.
    names = ["gaussian_noise", "impulse_noise", "fog", "snow", "elastic_transform", "spatter"]
    images = small_images[:, :, :32, :32].contiguous()
    alone = {name: corrupt(images, name, 2, backend="reference") for name in names}
    wrong: list[str] = []

    def work(order: list[str]) -> None:
        wrong.extend(
            name for name in order if not torch.equal(alone[name], corrupt(images, name, 2, backend="reference"))
        )

    threads = [threading.Thread(target=work, args=(names[start:] + names[:start],)) for start in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_the_global_generator_is_left_alone(small_images: torch.Tensor) -> None:
    np.random.seed(5)  # noqa: NPY002 - it is this generator that must not move
    before = np.random.get_state()[1].tolist()  # noqa: NPY002
    for name in ("gaussian_noise", "impulse_noise", "frost"):
        corrupt(small_images[:1], name, 1, backend="reference")
        corrupt(small_images[:1], name, 1)
    assert np.random.get_state()[1].tolist() == before  # noqa: NPY002


def test_it_refuses_what_it_cannot_do(suites: dict[str, CorruptionSuite]) -> None:
    images = torch.zeros(1, 3, 32, 32, dtype=torch.uint8)
    with pytest.raises(UsageError, match="ImageNet-C's constants only"):
        corrupt(images, suites["digits-c"].corruption("fog"), 1, backend="reference")
    with pytest.raises(DataError, match="at least 32 px"):
        corrupt(images[..., :31], "fog", 1, backend="reference")


def test_a_copy_is_private() -> None:
    first, second = imagecorruptions_backend.repaired_module(), imagecorruptions_backend.repaired_module()
    assert first.np.random is not second.np.random
    assert imagenet_definition("fog").function in vars(first)
