"""Oracle: the definitions of the numbers, in NumPy, image by image."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pcbench.models.scores import Scores, scores

LOGITS = torch.randn(3, 60, 7, generator=torch.Generator().manual_seed(0)) * 4
# Every third image has the class that is predicted at t = 0 as its label, so that margins of both signs occur.
LABELS = torch.where(torch.arange(60) % 3 == 0, LOGITS[0].argmax(dim=1), torch.arange(60) % 7)


def test_every_number_is_what_its_definition_says() -> None:
    found = scores(LOGITS, LABELS)
    columns = found.arrays()
    margins = columns["margin"]
    assert (margins > 0).any()
    assert (margins < 0).any()
    for timestep in range(3):
        for image in range(60):
            values, label = LOGITS[timestep, image].double().numpy(), int(LABELS[image])
            probabilities = np.exp(values) / np.exp(values).sum()
            at = timestep, image
            assert columns["prediction"][at] == values.argmax()
            assert columns["correct"][at] == (values.argmax() == label)
            assert columns["confidence"][at] == pytest.approx(probabilities.max(), rel=1e-5)
            assert margins[at] == pytest.approx(values[label] - np.delete(values, label).max(), abs=1e-5)
            assert columns["true_label_probability"][at] == pytest.approx(probabilities[label], rel=1e-5)
    assert {columns[name].dtype for name in ("confidence", "margin", "true_label_probability")} == {np.dtype("f4")}
    assert found.classes == 7


def test_a_label_that_the_network_does_not_have_has_no_margin() -> None:
    labels = LABELS.clone()
    labels[5] = 7
    columns = scores(LOGITS, labels).arrays()
    for name in ("margin", "true_label_probability"):
        assert np.isnan(columns[name][:, 5]).all()
        assert np.isfinite(np.delete(columns[name], 5, axis=1)).all()
    assert not columns["correct"][:, 5].any()


def test_scores_are_taken_image_by_image() -> None:
    one, other = scores(LOGITS, LABELS), scores(-LOGITS, LABELS)
    mask = torch.arange(60) < 20
    mixed: Scores = one.where(mask, other)
    for name, values in mixed.columns.items():
        assert torch.equal(values[:, :20], one.columns[name][:, :20])
        assert torch.equal(values[:, 20:], other.columns[name][:, 20:])
        assert torch.equal(one.at(torch.tensor([3, 1])).columns[name], one.columns[name][:, [3, 1]])
