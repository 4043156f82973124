"""A zoo of broken defences, written anew from published descriptions: a plain run names each, or breaks it.

Oracle: the undefended network, of which 16/255 breaks every image (the closed form of `test_retry`). Each defence
computes the same decisions, so that 0 % robust accuracy is the truth for all of them.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import pcbench
from pcbench.cli.run_table import print_summary
from pcbench.errors import UsageError

from .conftest import IMAGE
from .test_retry import IMAGES, LABELS, Certain, Linear, NotFinite

DATA = list(zip(IMAGES, LABELS.tolist(), strict=True))


class RoundedInput(Linear):
    """Pixels in steps of 1/255 (Guo et al., ICLR 2018: bit depth reduction); the slope of rounding is 0."""

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(torch.round(images * 255) / 255)


class SignOfInput(Linear):
    """Pixels as signs (Buckman et al., ICLR 2018: thermometer codes)."""

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(0.5 + 0.03 * torch.sign(images - 0.5))


class ZeroHook(Linear):
    """A hook that sets the gradient to zero."""

    def forward(self, images: Tensor) -> Tensor:
        if images.requires_grad:
            images = images.clone()
            images.register_hook(torch.zeros_like)
        return super().forward(images)


class NoGradBlock(Linear):
    """A block under `no_grad`, which a term of zero size hides from autograd's complaint."""

    def forward(self, images: Tensor) -> Tensor:
        with torch.no_grad():
            logits = super().forward(images)
        return logits + 0 * images.sum()


class Plateau(Linear):
    """Logits that are cut off at both ends, beyond which all slopes are 0."""

    def forward(self, images: Tensor) -> Tensor:
        return nn.functional.hardtanh(20 * (super().forward(images) - 1))


class DeadUnits(Linear):
    """Units that are off at every clean image (dead ReLUs); the class of an image is the unit with the least offset."""

    def forward(self, images: Tensor) -> Tensor:
        scores = super().forward(images)
        best = nn.functional.one_hot(scores.argmax(1), 5).float()
        return best + nn.functional.relu(scores - 1e6)


class HalfPrecision(Linear):
    """A part in float16, whose slope overflows; the value that it adds is 0."""

    def forward(self, images: Tensor) -> Tensor:
        tiny = (images.mean((1, 2, 3)) * 1e-9).half().sqrt()
        return super().forward(images) + tiny.float()[:, None]


NAMED = (RoundedInput, SignOfInput, ZeroHook, NoGradBlock, Plateau, DeadUnits, NotFinite, HalfPrecision)


@pytest.fixture(autouse=True)
def _without_reports(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is tested stands in the terminal; drawing takes seconds."""
    monkeypatch.setattr("pcbench.harness.run._write_report", lambda *_: None)
    monkeypatch.setattr("pcbench.harness.work.pictures._pictures", lambda *_: iter(()))


def plain_run(network: nn.Module, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> tuple[float, str]:
    """Return the robust accuracy in the worst case, and what the terminal shows."""
    asked = {"suites": ["linf"], "data": DATA, "epsilons": ["16/255"], "progress": False}
    finished = pcbench.run(network, out=tmp_path / "run", **asked)
    rows = finished.metrics
    worst = rows[(rows["name"] == "worst_case") & (rows["metric"] == "robust_accuracy") & (rows["epsilon"] > 0)]
    print_summary(finished)
    return float(worst["value"].iloc[0]), " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("defence", NAMED)
def test_a_defence_that_only_hides_the_gradient_is_named(
    defence: type[nn.Module], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, shown = plain_run(defence(), tmp_path, capsys)
    assert re.search(r"WARNING: linf: pgd's gradient is (zero|not finite) on \d+ of 20 attacked images", shown)


def test_certainty_is_broken_by_the_second_attempt(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    worst, shown = plain_run(Certain(), tmp_path, capsys)
    assert worst == 0
    assert "pgd's gradient is zero on 20 of 20 attacked images" in shown
    assert "pgd_retried" in shown


def test_an_undefended_network_is_not_accused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    worst, shown = plain_run(Linear(), tmp_path, capsys)
    assert worst == 0
    assert "WARNING" not in shown
    assert "retried" not in shown


def test_one_image_of_ten_without_a_finite_logit_is_named_and_costs_the_others_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    class NanOnce(Linear):
        def forward(self, images: Tensor) -> Tensor:
            strange = ((images - IMAGES[0]).abs().amax((1, 2, 3)) < 1e-3)[:, None]
            return super().forward(images).where(~strange, torch.nan)

    kept = [*DATA[1:5], *DATA[6:10], DATA[11], DATA[0]]  # the others of its class are left out: they are equal
    kept = [(image, label) for number, (image, label) in enumerate(kept) if label != 0 or number == 9]
    finished = pcbench.run(NanOnce(), suites=["linf"], data=kept, out=tmp_path / "run", epsilons=["16/255"])
    print_summary(finished)
    shown = " ".join(capsys.readouterr().out.split())
    assert f"logits that are not finite for 1 of {len(kept)} images" in shown
    rows = finished.metrics
    clean = rows[(rows["name"] == "pgd") & (rows["metric"] == "robust_accuracy") & (rows["epsilon"] == 0)]
    assert float(clean["value"].iloc[0]) == pytest.approx(1 - 1 / len(kept))


def test_batch_statistics_are_refused() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Flatten(), nn.Linear(8 * 36, 5))
    network.input_size = IMAGE

    class Training(nn.Module):
        input_size = IMAGE

        def __init__(self) -> None:
            super().__init__()
            self.inner = network

        def forward(self, images: Tensor) -> Tensor:
            return self.inner.train()(images)

    with pytest.raises(UsageError, match="otherwise among other images"):
        pcbench.run(Training(), suites=["linf"], data=DATA)
