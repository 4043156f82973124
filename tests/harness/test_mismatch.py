"""Oracle: answers written out by hand, of networks that belong to their labels and of networks that do not."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pytest
import torch

import pcbench
from pcbench.cli.run_table import print_summary
from pcbench.harness.mismatch import mismatch
from pcbench.reports.page.content import page_content

NAMES = tuple(f"class {label}" for label in range(10))
RIGHT = [*range(10)] * 2


def table(labels: list[int], predictions: list[int]) -> pa.Table:
    """Return outcomes at t = 0 as given, and at t = 1 all right."""
    count = len(labels)
    return pa.table(
        {
            "timestep": pa.array([0] * count + [1] * count, pa.int16()),
            "label": pa.array(labels * 2, pa.int32()),
            "prediction": pa.array(predictions + labels, pa.int32()),
        }
    )


def facts(names: tuple[str, ...] | None = NAMES, classes: int = 10) -> Any:
    return cast("Any", SimpleNamespace(classes=classes, class_names=names))


@pytest.mark.parametrize(
    ("labels", "predictions", "names"),
    [
        (RIGHT, RIGHT, NAMES),
        (RIGHT, [label if label < 2 else 0 for label in RIGHT], NAMES),
        # One class of data, one class of answers.
        ([3] * 20, [3] * 20, NAMES),
        # Without names, a network that is no better than chance may be untrained on purpose.
        (RIGHT, [(label + 1) % 10 for label in RIGHT], None),
        (RIGHT[:7], [(label + 1) % 10 for label in RIGHT[:7]], NAMES),
    ],
)
def test_no_warning(labels: list[int], predictions: list[int], names: tuple[str, ...] | None) -> None:
    assert mismatch(table(labels, predictions), facts(names)) is None


def test_labels_in_another_order() -> None:
    warning = mismatch(table(RIGHT, [(label + 1) % 10 for label in RIGHT]), facts())
    assert warning is not None
    assert "0.0 % of 20 clean images are right at t = 0, and 10.0 % would be by chance" in warning
    assert "labels in another order" in warning


@pytest.mark.parametrize("names", [NAMES, None])
def test_labels_that_run_from_1(names: tuple[str, ...] | None) -> None:
    labels = [*range(1, 6)] * 4  # five classes of data, ten outputs: all labels are inside, none is right
    warning = mismatch(table(labels, [label - 1 for label in labels]), facts(names))
    assert warning is not None
    assert "0.0 % of 20 clean images are right at t = 0" in warning
    assert warning.endswith("labels run from 1, the network's outputs from 0; give labels - 1")
    assert mismatch(table(labels, [label + 1 for label in labels]), facts(None)) is None


@pytest.mark.parametrize("names", [NAMES, None])
def test_predictions_of_one_class(names: tuple[str, ...] | None) -> None:
    warning = mismatch(table(RIGHT, [4] * 19 + [9]), facts(names))
    assert warning is not None
    assert f"95.0 % of the predictions on clean images at t = 0 are class 4{' (class 4)' if names else ''};" in warning
    halves = mismatch(table([0, 1] * 10, [1] * 20), facts(None, 2))
    assert halves is not None
    assert "100.0 % of the predictions" in halves


class Levels(torch.nn.Module):
    """Reads the class off the grey level, and states the classes in an order that is not the labels'."""

    input_size = (3, 16, 16)
    class_names = NAMES
    mean, std = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)

    def __init__(self) -> None:
        super().__init__()
        self.level = torch.nn.Parameter(torch.arange(10) * 20.0 + 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return -((images.mean((1, 2, 3))[:, None] * 255 - self.level) ** 2)


@pytest.mark.parametrize("shift", [0, 1])
def test_warning_is_in_the_terminal_and_on_the_page(
    tmp_path: Path, shift: int, capsys: pytest.CaptureFixture[str]
) -> None:
    images = np.stack([np.full((16, 16, 3), 20 * label + 10, np.uint8) for label in range(10)])
    labels = (np.arange(10) + shift) % 10
    made = pcbench.run(
        model=Levels(), data=(images, labels), suites=["gaussian-noise"], out=tmp_path / "run", progress=False
    )
    print_summary(made)
    printed = " ".join(capsys.readouterr().out.split())
    warnings = page_content([made]).values["runs"][0]["warnings"]
    assert ("note: WARNING: labels and network may not belong together" in printed) is bool(shift)
    assert [warning.startswith("WARNING: labels and network") for warning in warnings] == [True] * shift
