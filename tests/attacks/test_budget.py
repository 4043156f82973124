"""Oracle: projections and norms worked out by hand."""

from __future__ import annotations

import torch

from pcbench.attacks.budget import perturbation_norms, project, within_budget

CLEAN = torch.tensor([0.5, 0.5, 0.9, 0.0]).reshape(1, 1, 2, 2)
MOVED = torch.tensor([0.8, 0.5, 1.3, 0.0]).reshape(1, 1, 2, 2)


def test_linf_clips_every_pixel_and_l2_shortens_the_whole() -> None:
    radius = torch.tensor([0.25], dtype=torch.float64)
    torch.testing.assert_close(project(MOVED, CLEAN, radius, "linf").flatten(), torch.tensor([0.75, 0.5, 1.15, 0.0]))
    torch.testing.assert_close(project(MOVED, CLEAN, radius, "l2").flatten(), torch.tensor([0.65, 0.5, 1.1, 0.0]))


def test_inside_the_ball_nothing_moves() -> None:
    radius = torch.tensor([0.6], dtype=torch.float64)
    torch.testing.assert_close(project(MOVED, CLEAN, radius, "l2"), MOVED)
    assert torch.equal(project(CLEAN, CLEAN, torch.zeros(1, dtype=torch.float64), "linf"), CLEAN)


def test_each_image_has_its_own_radius() -> None:
    both = project(MOVED.repeat(2, 1, 1, 1), CLEAN.repeat(2, 1, 1, 1), torch.tensor([0.0, 0.1]), "linf")
    assert torch.equal(both[:1], CLEAN)
    torch.testing.assert_close(both[1].flatten(), torch.tensor([0.6, 0.5, 1.0, 0.0]))


def test_what_is_fed_is_in_the_unit_range_and_finite() -> None:
    broken = MOVED.clone()
    broken[0, 0, 0, 0] = float("nan")
    fed = within_budget(broken, CLEAN, torch.tensor([0.4]), "linf")
    torch.testing.assert_close(fed.flatten(), torch.tensor([0.5, 0.5, 1.0, 0.0]))


def test_norms() -> None:
    linf, l2 = perturbation_norms(MOVED, CLEAN)
    torch.testing.assert_close(linf, torch.tensor([0.4], dtype=torch.float64), atol=1e-7, rtol=0)
    torch.testing.assert_close(l2, torch.tensor([0.5], dtype=torch.float64), atol=1e-7, rtol=0)
