"""Oracle: the range of a picture's pixels, [0, 1] around the grey of no perturbation."""

from __future__ import annotations

import torch

from pcbench.harness.work.pictures import _magnified


def test_a_perturbation_is_magnified_as_far_as_its_picture_allows_and_says_how_far() -> None:
    budgets = torch.tensor([2 / 255, 8 / 255, 32 / 255, 0.8, 0.0])
    shown = _magnified(budgets.reshape(-1, 1, 1, 1) * torch.tensor([-1.0, 1.0]).reshape(1, 1, 1, 2), 8)
    # Ten times 32/255 would reach 1.75; its picture is multiplied by three.
    scales = ["50", "10", "3", "0.5", "100"]
    assert shown.titles == tuple(f"its perturbation × {scale}, grey is none" for scale in scales)
    expected = 0.5 + budgets * torch.tensor([float(scale) for scale in scales])
    assert torch.allclose(shown.pixels[:, 0, 0, 1], expected)
    assert shown.pixels.min() >= 0
    assert shown.pixels.max() <= 1
