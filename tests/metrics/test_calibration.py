"""Oracles: the definitions as plain loops, PyTorch's loss, scipy's interval of a mean, and coverage by simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
import torch
from numpy.typing import NDArray

from pcbench.metrics.calibration import (
    BINS,
    LARGEST_LOSS,
    UNCERTAIN,
    calibration_rows,
    calibration_terms,
    expected_calibration_error,
    negative_log_likelihoods,
    student_mean,
)
from pcbench.metrics.cells import NEEDED_COLUMNS, PROBABILITIES, Cell, collect
from pcbench.metrics.two_way import two_way
from pcbench.results.conditions import Condition
from pcbench.results.schema import outcome_table


def plain_error(confidence: NDArray[np.float32], correct: NDArray[np.bool_]) -> float:
    """Guo et al., equation 3, over the bins ((m - 1) / M, m / M]."""
    error = 0.0
    for number in range(1, BINS + 1):
        inside = [
            (float(sure), bool(right))
            for sure, right in zip(confidence, correct, strict=True)
            if (number - 1) / BINS < float(sure) <= number / BINS or (number == 1 and sure == 0)
        ]
        if inside:
            accuracy = sum(right for _, right in inside) / len(inside)
            sure = sum(sure for sure, _ in inside) / len(inside)
            error += len(inside) / len(confidence) * abs(accuracy - sure)
    return error


def test_the_error_is_that_of_the_definition() -> None:
    generator = np.random.default_rng(0)
    for images in (1, 7, 500):
        confidence = generator.uniform(0, 1, images).astype(np.float32)
        confidence[0] = 0.0
        correct = generator.random(images) < 0.7
        found = expected_calibration_error(confidence, correct)
        assert found.value == pytest.approx(plain_error(confidence, correct), abs=1e-12)
        assert 0 <= found.low <= found.value <= found.high <= 1
        assert found.images == images


def test_closed_forms() -> None:
    right = np.arange(10) < 8
    assert expected_calibration_error(np.full(10, 0.8), right).value == pytest.approx(0, abs=1e-12)
    assert expected_calibration_error(np.full(10, 0.95), right).value == pytest.approx(0.15)
    # Two bins whose errors have unlike signs do not cancel.
    halves = np.repeat([0.9, 0.3], 5)
    assert expected_calibration_error(halves, np.arange(10) >= 5).value == pytest.approx(0.5 * 0.9 + 0.5 * 0.7)


@pytest.mark.parametrize("too_sure", [0.0, 0.1, 0.4])
def test_the_interval_holds_the_true_error_for_a_calibrated_network_too(too_sure: float) -> None:
    generator = np.random.default_rng(1)

    def draw(images: int) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        confidence = generator.beta(5, 1, images)
        return confidence, generator.random(images) < confidence * (1 - too_sure)

    true = expected_calibration_error(*draw(2_000_000)).value if too_sure else 0.0
    found = [expected_calibration_error(*draw(200)) for _ in range(400)]
    held = np.mean([one.low <= true <= one.high for one in found])
    assert held >= 0.95 - 2 * math.sqrt(0.95 * 0.05 / 400)


def test_the_error_of_pooled_answers_is_a_mean_over_images() -> None:
    generator = np.random.default_rng(4)
    confidence, correct = generator.uniform(0, 1, 400), generator.random(400) < 0.6
    image = np.repeat(np.arange(100), 4)
    terms, excess = calibration_terms(confidence, correct, image)
    assert terms.shape == (100,)
    assert terms.mean() + excess == pytest.approx(plain_error(confidence, correct))
    # An image that counts a little more moves the error by its term: the derivative, by a difference.
    step = 1e-4
    index, weight = np.ceil(confidence * BINS), np.where(image == 7, 1 + step, 1.0)
    sums = [((correct - confidence) * weight)[index == number].sum() for number in range(BINS + 1)]
    moved = np.abs(sums).sum() / 400
    assert (moved - plain_error(confidence, correct)) / step * 100 == pytest.approx(terms[7] + excess, rel=1e-6)


def test_what_chance_adds_is_that_of_a_normal_number() -> None:
    # Closed forms, of one bin: E|X| of a standard normal X; and nothing where every answer is wrong by as much.
    balanced = np.arange(100) % 2 == 0
    found = calibration_terms(np.full(100, 0.5), balanced, np.arange(100))
    assert found.excess == pytest.approx(0.5 / 10 * math.sqrt(2 / math.pi))
    assert calibration_terms(np.full(100, 0.9), np.zeros(100, dtype=bool), np.arange(100)).excess < 1e-6


@pytest.mark.parametrize("too_sure", [(0.0, 0.0), (0.2, 0.0), (0.0, 0.1)])
def test_the_interval_of_a_difference_holds_the_true_one(too_sure: tuple[float, float]) -> None:
    """The oracle is the error of very many images; the case of a calibrated network is the one that chance spoils."""
    generator = np.random.default_rng(1)

    def draw(images: int) -> list[tuple[NDArray[np.float64], NDArray[np.bool_]]]:
        confidence, luck = generator.beta(5, 1, images), generator.random(images)
        return [(confidence, luck < confidence * (1 - share)) for share in too_sure]

    first, second = (expected_calibration_error(*one).value for one in draw(2_000_000))
    true, held = second - first, 0
    for _ in range(300):
        before, after = (calibration_terms(*one, np.arange(200)) for one in draw(200))
        uncertain = UNCERTAIN * math.hypot(before.excess, after.excess)
        found = two_way((after.terms - before.terms)[None], uncertain=uncertain)
        held += found.low <= true <= found.high
    assert held / 300 >= 0.95 - 2 * math.sqrt(0.95 * 0.05 / 300)


def test_the_losses_are_those_of_pytorch() -> None:
    logits = torch.randn(50, 10, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    labels = torch.arange(50) % 10
    probability = logits.softmax(1)[torch.arange(50), labels].numpy()
    expected = torch.nn.functional.cross_entropy(logits, labels, reduction="none").numpy()
    np.testing.assert_allclose(negative_log_likelihoods(probability), expected, rtol=1e-12)
    assert negative_log_likelihoods(np.float32([0, 1])).tolist() == [pytest.approx(103.279, abs=1e-3), 0]


def test_the_interval_of_a_mean_is_students() -> None:
    values = np.random.default_rng(2).exponential(size=30)
    found = student_mean(values, highest=LARGEST_LOSS)
    expected = scipy.stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx(tuple(expected))
    assert student_mean(values[:1], highest=1.0)[1:3] == (0.0, 1.0)
    assert student_mean(np.array([0.0, 1.0]), highest=1.0)[1:3] == (0.0, 1.0)


def test_images_without_probabilities_are_left_out() -> None:
    condition = Condition("s", "clean", "clean")
    confidence = np.ma.array([0.9, 0.5, 0.0], mask=[False, False, True])
    columns = {
        "image_id": np.array(["a", "b", "c"]),
        "label": np.zeros(3),
        "timestep": np.zeros(3),
        "prediction": np.array([0, 1, -1]),
        "correct": np.array([True, False, False]),
        "confidence": confidence,
        "true_label_probability": np.ma.array([0.9, 0.1, 0.0], mask=[False, False, True]),
    }
    table = outcome_table(condition, columns)
    outcomes = collect(iter([table]))["s"]
    cell = Cell(condition, 0)
    rows = {row["metric"]: row for row in calibration_rows(cell, outcomes.answers(cell))}
    assert [row["n"] for row in rows.values()] == [2, 2, 2]
    assert rows["mean_confidence"]["value"] == pytest.approx(0.7)
    assert rows["negative_log_likelihood"]["value"] == pytest.approx(-(math.log(0.9) + math.log(0.1)) / 2)
    # Tables of former versions do not hold the label's probability, and comparisons do not read any.
    former = table.set_column(
        table.column_names.index("true_label_probability"), "true_label_probability", [[None] * 3]
    )
    held = collect(iter([former]))["s"].answers(cell)
    assert [row["metric"] for row in calibration_rows(cell, held)] == ["expected_calibration_error", "mean_confidence"]
    unread = collect(iter([table.select(NEEDED_COLUMNS)]))["s"].answers(cell)
    assert list(calibration_rows(cell, unread)) == []
    assert set(PROBABILITIES) <= set(table.column_names)
