"""Transformed kernels that are kept between processes. Oracle: those of a process that keeps none, to the bit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from pcbench.cli.main import main
from pcbench.data.cache import NO_CACHE
from pcbench.network.fast import kernel_files, transposed_convolution
from pcbench.network.fast.transposed_convolution import adjoint, by_tiles

VALUE = torch.randn(2, 8, 9, 10, generator=torch.Generator().manual_seed(1))
COTANGENT = torch.randn(2, 9, 18, 20, generator=torch.Generator().manual_seed(2))


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache folder's part for kernels, where small ones are kept too."""
    monkeypatch.setattr(kernel_files, "SMALLEST", 0)
    monkeypatch.delenv(NO_CACHE, raising=False)
    monkeypatch.setenv("PCBENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "kernels"


def layer(seed: int = 0) -> nn.ConvTranspose2d:
    torch.manual_seed(seed)
    return nn.ConvTranspose2d(8, 9, 6, stride=2, padding=2)


def answers(module: nn.ConvTranspose2d) -> list[Tensor]:
    """What a new process computes: a copy of a layer is not known yet."""
    found = [by_tiles(module, VALUE), adjoint(module, COTANGENT)]
    kernel_files.wait_for_files()
    return found


def same(found: list[Tensor], expected: list[Tensor]) -> bool:
    return all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))


@pytest.fixture
def expected(monkeypatch: pytest.MonkeyPatch, folder: Path) -> list[Tensor]:
    with monkeypatch.context() as patch:
        patch.setenv(NO_CACHE, "1")
        found = answers(layer())
    assert not folder.exists()
    return found


@pytest.fixture
def no_transformation(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Forbid to transform, from the call on."""

    def transform(*_: object) -> Tensor:
        raise AssertionError("transformed")

    return lambda: monkeypatch.setattr(transposed_convolution, "_transformed", transform)


def test_no_an_empty_and_a_filled_folder_give_the_same_bits(
    folder: Path, expected: list[Tensor], no_transformation: Callable[[], None]
) -> None:
    assert same(answers(layer()), expected)
    assert len(list(folder.glob("*.kernels"))) == 1
    no_transformation()
    assert same(answers(layer()), expected)


def test_gradients_can_pass_what_was_read_in_inference_mode(folder: Path, expected: list[Tensor]) -> None:
    answers(layer())
    assert len(list(folder.glob("*.kernels"))) == 1
    module = layer()
    with torch.inference_mode():
        by_tiles(module, VALUE)
    value = VALUE.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(by_tiles(module, value), value, COTANGENT)
    assert torch.equal(gradient, expected[1])


@pytest.mark.parametrize("damage", ["cut", "flipped", "zeros", "longer", "empty", "a folder"])
def test_a_damaged_file_is_made_again(damage: str, folder: Path, expected: list[Tensor]) -> None:
    answers(layer())
    (path,) = folder.glob("*.kernels")
    whole = path.read_bytes()
    middle = len(whole) // 2
    path.unlink()
    match damage:
        case "a folder":
            path.mkdir()
        case _:
            path.write_bytes(
                {
                    "cut": whole[:middle],
                    "flipped": whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :],
                    "zeros": whole[:middle] + bytes(4096) + whole[middle + 4096 :],
                    "longer": whole + b"\0",
                    "empty": b"",
                }[damage]
            )
    assert same(answers(layer()), expected)
    assert damage == "a folder" or path.read_bytes() == whole


@pytest.mark.parametrize("trouble", ["a file in its place", "no room", "no number", "no home"])
def test_where_nothing_can_be_kept_the_kernels_are_transformed(
    trouble: str, folder: Path, expected: list[Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    match trouble:
        case "a file in its place":
            folder.parent.write_text("not a folder")
        case "no room":
            monkeypatch.setenv("PCBENCH_CACHE_GB", "0.000001")
        case "no number":
            monkeypatch.setenv("PCBENCH_CACHE_GB", "many")
        case _:
            for name in ("PCBENCH_CACHE", "XDG_CACHE_HOME", "HOME"):
                monkeypatch.delenv(name, raising=False)
            monkeypatch.setattr("pcbench.files.home", lambda: None)
    assert same(answers(layer()), expected)
    assert not list(folder.glob("*.kernels")) if folder.is_dir() else True


def test_each_weights_and_number_of_threads_have_a_file_of_their_own(folder: Path) -> None:
    answers(layer(0))
    answers(layer(1))
    assert len(list(folder.glob("*.kernels"))) == 2
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(threads + 1)
        answers(layer(0))
    finally:
        torch.set_num_threads(threads)
    assert len(list(folder.glob("*.kernels"))) == 3


def test_a_layer_that_learns_leaves_no_file_for_each_step(folder: Path) -> None:
    module = layer()
    for _ in range(3):
        answers(module)
        with torch.no_grad():
            module.weight += 0.1
    assert len(list(folder.glob("*.kernels"))) == 1


def test_small_kernels_are_not_kept(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel_files, "SMALLEST", 2**25)
    answers(layer())
    assert not folder.exists()


def test_the_option_reaches_the_processes_that_are_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NO_CACHE, "")
    monkeypatch.delenv(NO_CACHE)
    with pytest.raises(SystemExit) as end:
        main(["list", "suites", "--no-cache"])
    assert end.value.code == 0
    assert kernel_files.NO_CACHE in kernel_files.os.environ
