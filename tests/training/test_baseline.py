"""Oracles: errors counted image by image; the catalogue's own reader; a classifier that is always right."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pcbench.catalog import load_definition, suite_folder
from pcbench.corruptions.api import corrupt
from pcbench.corruptions.definitions import Baseline, CorruptionSuite, load_corruption_suite
from pcbench.data.image_source import ImageSource
from pcbench.data.preprocessing import Preprocessing
from pcbench.data.sources import open_source
from pcbench.errors import DataError, UsageError
from pcbench.models import Model, load
from pcbench.training.baseline import baseline_text, measure_baseline


class BrightHalf(nn.Module):
    """Says 1 where the upper half of an image is brighter than the lower one."""

    input_size = (3, 8, 8)

    def forward(self, images: Tensor) -> Tensor:
        difference = images[:, :, :4].mean((1, 2, 3)) - images[:, :, 4:].mean((1, 2, 3))
        return torch.stack([-difference, difference], 1)


@pytest.fixture
def suite() -> CorruptionSuite:
    whole = load_corruption_suite(suite_folder("digits-c")[1])
    chosen = tuple(whole.corruption(name) for name in ("gaussian_noise", "impulse_noise"))
    return whole.model_copy(update={"corruptions": chosen})


@pytest.fixture
def model() -> Model:
    return load(BrightHalf())


def _right(source: ImageSource) -> np.ndarray:
    images = source.load(range(len(source))).float()
    return (images[:, :, :4].mean((1, 2, 3)) > images[:, :, 4:].mean((1, 2, 3))).long().numpy()


def test_errors_are_those_of_each_image_alone(suite: CorruptionSuite, model: Model, source: ImageSource) -> None:
    # Oracle: every image corrupted and classified by itself.
    images = source.load(range(len(source))).permute(0, 2, 3, 1).numpy()
    source = open_source((images, _right(source)), preprocessing=Preprocessing())
    measured = measure_baseline(model, suite, source, seed=2, batch_size=5)
    assert (measured.name, measured.clean_error) == ("BrightHalf", 0)
    assert "on the 12 images of" in measured.source
    assert "seed 2, measured by: pcbench baseline" in measured.source
    for definition in suite.corruptions:
        for severity in (1, 5):
            wrong = 0
            for index, name in enumerate(source.ids):
                image = corrupt(source.load([index]), definition, severity, seed=2, ids=[name])
                wrong += int(BrightHalf()(image.float() / 255).argmax()) != source.labels[index]
            assert measured.errors[definition.name][severity - 1] == wrong / 12


def test_what_is_written_is_a_baseline(
    suite: CorruptionSuite, model: Model, source: ImageSource, tmp_path: Path
) -> None:
    # Oracle: the reader that runs use.
    measured = measure_baseline(model, suite, source)
    path = tmp_path / "baseline.toml"
    path.write_text(baseline_text(measured.model_copy(update={"name": "half", "source": 'made by a "test"'})))
    read = load_definition(Baseline, path)
    assert read.name == "half"
    assert read.source == 'made by a "test"'
    assert read.clean_error == pytest.approx(measured.clean_error, abs=1e-6)
    for name, errors in measured.errors.items():
        assert read.errors[name] == pytest.approx(errors, abs=1e-6)


def test_a_baseline_without_errors_is_refused(suite: CorruptionSuite, model: Model) -> None:
    # Oracle: built so; no noise makes the black half of an image brighter than the white one.
    images = np.zeros((4, 8, 8, 3), np.uint8)
    images[:, :4] = 255
    source = open_source((images, np.ones(4, int)), preprocessing=Preprocessing())
    with pytest.raises(DataError, match=r"makes no error under gaussian_noise, impulse_noise: .*divided by zero"):
        measure_baseline(model, suite, source)


def test_noise_on_the_input_has_no_baseline(model: Model, source: ImageSource) -> None:
    noise = load_corruption_suite(suite_folder("gaussian-noise")[1])
    with pytest.raises(UsageError, match="does not have a baseline"):
        measure_baseline(model, noise, source)


def test_the_digits_baseline_has_errors_everywhere_and_they_grow() -> None:
    # Oracle: what a suite is for: no zero denominator, and the mean over the 15 corruptions grows with severity.
    suite = load_corruption_suite(suite_folder("digits-c")[1])
    assert suite.baseline is not None
    assert len(suite.corruptions) == 15
    errors = np.array([suite.baseline.errors[corruption.name] for corruption in suite.corruptions])
    assert (errors.mean(1) > 0).all()
    assert (np.diff(errors.mean(0)) > 0).all()
