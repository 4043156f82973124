"""Oracle: the arithmetic of small functions, written out; the same bits in any company; equal code, equal identity."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from made_plugins import install_plugins
from PIL import Image

from pcbench.corruptions.api import corrupt, find_corruption, own_corruption
from pcbench.corruptions.definitions import load_corruption_suite
from pcbench.errors import DefinitionError, RunError, UnknownNameError, UsageError

CODE = """
import torch

def dimmed(images, severity, generator, share=0.1):
    return images * (1 - share * severity)

def noisy(images, severity, generator):
    return images + 0.1 * severity * torch.from_numpy(generator.standard_normal(tuple(images.shape)))
"""


def dimmed(images: torch.Tensor, severity: int, generator: np.random.Generator) -> torch.Tensor:
    del generator
    return images * (1 - 0.1 * severity)


def noisy(images: torch.Tensor, severity: int, generator: np.random.Generator) -> torch.Tensor:
    # What such functions do in practice: the global generators are drawn from too.
    drawn = generator.random() + np.random.rand() + random.random() + float(torch.rand(()))  # noqa: NPY002, S311
    return images + 0.05 * severity * drawn


def test_a_function_does_to_images_what_it_says(small_images: torch.Tensor) -> None:
    floats = small_images.float() / 255
    for severity in (1, 3, 7):
        assert torch.allclose(corrupt(floats, dimmed, severity), floats * (1 - 0.1 * severity), atol=1e-6)
        levels = corrupt(small_images, dimmed, severity).float()
        assert ((small_images.float() * (1 - 0.1 * severity) - levels) < 1 + 1e-3).all()
    assert torch.equal(corrupt(small_images, lambda images, *_: images, 1), small_images)


def test_an_array_and_a_picture_are_taken_and_results_are_cut_off(small_images: torch.Tensor) -> None:
    def far(images: torch.Tensor, severity: int, generator: np.random.Generator) -> Any:
        del severity, generator
        return images.numpy() * 4.0 - 1.5

    found = corrupt(small_images.float() / 255, far, 1)
    assert torch.allclose(found, (small_images.float() / 255 * 4 - 1.5).clamp(0, 1), atol=1e-5)
    picture = Image.fromarray(small_images[0].permute(1, 2, 0).numpy())
    assert np.asarray(corrupt(picture, far, 1)).shape == (*picture.size[::-1], 3)


def test_the_bits_do_not_depend_on_the_company(small_images: torch.Tensor) -> None:
    names = ["a", "b", "c", "d", "e", "f"]
    together = corrupt(small_images, noisy, 2, seed=3, ids=names)
    alone = [corrupt(small_images[index : index + 1], noisy, 2, seed=3, ids=[names[index]]) for index in (4, 0)]
    assert torch.equal(together[[4, 0]], torch.cat(alone))
    assert not torch.equal(together, corrupt(small_images, noisy, 2, seed=4, ids=names))
    assert not torch.equal(together[:1], corrupt(small_images[:1], noisy, 2, seed=3, ids=["b"]))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda *given: given[0][:, :, 1:], r"the corruption mine returns \(1, 3"),
        (lambda *_: None, "returns NoneType"),
        (lambda *given: (given[0] * 255).byte(), "of torch.uint8"),
        (lambda *given: given[0] * float("nan"), "returns NaN or infinity"),
        (lambda *_: 1 / 0, "the corruption mine fails: ZeroDivisionError"),
    ],
)
def test_what_a_function_returns_wrong_is_named(small_images: torch.Tensor, wrong: Any, message: str) -> None:
    with pytest.raises(RunError, match=message):
        corrupt(small_images, own_corruption(wrong, name="mine"), 1)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (3, "a corruption is a name"),
        (np.random.Generator, "a corruption is a name"),
        (lambda images: images, "does not take these"),
        ("os:getcwd", "does not take these"),
        ("no_module_here:fog", "there is no module 'no_module_here'"),
        ("linf/pgd", "is a suite of attacks"),
    ],
)
def test_what_is_no_corruption_is_refused_in_one_line(small_images: torch.Tensor, wrong: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        corrupt(small_images, wrong, 1)
    assert "\n" not in str(caught.value)


def test_a_corruption_of_another_suite_has_its_name(small_images: torch.Tensor) -> None:
    assert find_corruption("cifar-10-c/fog").parameters != find_corruption("fog").parameters
    with pytest.raises(UnknownNameError, match="did you mean 'fog'"):
        corrupt(small_images, "cifar-10-c/fogg", 1)


def test_a_function_has_as_many_severities_as_it_is_said_to_have(small_images: torch.Tensor) -> None:
    assert list(own_corruption(dimmed).severities) == [1, 2, 3, 4, 5]
    seven = own_corruption(dimmed, levels=7)
    corrupt(small_images, seven, 7)
    with pytest.raises(UsageError, match="from 1 to 7"):
        corrupt(small_images, seven, 8)
    with pytest.raises(UsageError, match="reference"):
        corrupt(small_images, seven, 1, backend="reference")


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Path]]:
    """Write a suite that brings its own code; what was imported of it before is forgotten."""
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def write(code: str = CODE, **keys: str) -> Path:
        sys.modules.pop("own_dimming", None)
        folder = tmp_path / "corruptions" / "mine"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "suite.toml").write_text('version = 1\ntitle = "Mine"\nsource = "own"\n')
        (folder / "own_dimming.py").write_text(code)
        table = {"title": '"Dimmed"', "family": '"digital"', "function": '"own_dimming:dimmed"', "source": '"own"'}
        table |= {"parameters": "{}", **keys}
        (folder / "dimmed.toml").write_text("".join(f"{key} = {value}\n" for key, value in table.items()))
        return folder

    yield write
    sys.modules.pop("own_dimming", None)


def test_a_suite_brings_its_own_code(small_images: torch.Tensor, written: Callable[..., Path]) -> None:
    suite = load_corruption_suite(written(levels="7"))
    (definition,) = suite.corruptions
    assert list(definition.severities) == list(range(1, 8))
    assert torch.equal(corrupt(small_images, definition, 6), corrupt(small_images, dimmed, 6))
    with_shares = load_corruption_suite(written(parameters="{share = [0.1, 0.05]}")).corruptions[0]
    assert torch.equal(corrupt(small_images, with_shares, 2), corrupt(small_images, dimmed, 1))
    assert torch.equal(
        corrupt(small_images, written() / "dimmed.toml", 1), corrupt(small_images, f"{written()}/dimmed", 1)
    )


def test_the_code_is_in_a_suites_identity(written: Callable[..., Path]) -> None:
    def identity(code: str = CODE, **keys: str) -> str:
        return load_corruption_suite(written(code, **keys)).identity()

    first = identity()
    assert identity('"""Dimming."""\n' + CODE) == first
    assert identity(CODE.replace("share=0.1", "share=0.2")) != first
    assert identity(levels="3") != first
    assert identity(parameters="{share = [0.1]}") != first


def test_wrong_files_are_refused_by_name(written: Callable[..., Path]) -> None:
    with pytest.raises(UsageError, match="has no function 'fog'"):
        load_corruption_suite(written(function='"own_dimming:fog"'))
    with pytest.raises(UsageError, match="unexpected keyword argument"):
        load_corruption_suite(written(parameters="{strength = [1.0]}"))
    with pytest.raises(DefinitionError, match="levels"):
        load_corruption_suite(written(parameters="{share = [0.1]}", levels="2"))


def test_another_package_registers_a_corruption(
    small_images: torch.Tensor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries = {"corruptions": {"dim": "plugged_in:dimmed", "lost": "plugged_in:nothing"}}
    install_plugins(tmp_path, monkeypatch, entries, sources={"plugged_in": CODE})
    assert torch.equal(corrupt(small_images, "dim", 2), corrupt(small_images, dimmed, 2))
    with pytest.raises(UsageError, match="plug-in of mypackage"):
        corrupt(small_images, "lost", 1)


def test_images_in_other_units_are_told_and_noise_is_not(
    small_images: torch.Tensor, caplog: pytest.LogCaptureFixture
) -> None:
    def levels(images: torch.Tensor, severity: int, generator: np.random.Generator) -> torch.Tensor:
        del severity, generator
        return images * 255

    corrupt(small_images, noisy, 5)
    assert not caplog.records
    for _ in range(2):
        corrupt(small_images, levels, 1)
    (told,) = caplog.records
    assert "and images are in [0, 1]: they are cut off there" in told.getMessage()


def test_a_transform_of_images_alone_is_refused_with_what_to_write(small_images: torch.Tensor) -> None:
    class Blur(torch.nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return images

    with pytest.raises(UsageError, match=r"write lambda images, severity, generator: Blur\(…\)"):
        corrupt(small_images, Blur(), 1)
