"""Oracle: projections, norms and fractions of grey levels worked out by hand."""

from __future__ import annotations

import pytest
import torch

from pcbench.errors import UsageError
from pcbench.norms import (
    L2,
    LINF,
    NORMS,
    Norm,
    epsilon_label,
    epsilon_text,
    parse_epsilon,
    perturbation_norms,
    project,
    read_epsilons,
    within_budget,
)

CLEAN = torch.tensor([0.5, 0.5, 0.9, 0.0]).reshape(1, 1, 2, 2)
MOVED = torch.tensor([0.8, 0.5, 1.3, 0.0]).reshape(1, 1, 2, 2)


def test_linf_clips_every_pixel_and_l2_shortens_the_whole() -> None:
    radius = torch.tensor([0.25], dtype=torch.float64)
    torch.testing.assert_close(project(MOVED, CLEAN, radius, LINF).flatten(), torch.tensor([0.75, 0.5, 1.15, 0.0]))
    torch.testing.assert_close(project(MOVED, CLEAN, radius, L2).flatten(), torch.tensor([0.65, 0.5, 1.1, 0.0]))


def test_inside_the_ball_nothing_moves() -> None:
    radius = torch.tensor([0.6], dtype=torch.float64)
    torch.testing.assert_close(project(MOVED, CLEAN, radius, L2), MOVED)
    assert torch.equal(project(CLEAN, CLEAN, torch.zeros(1, dtype=torch.float64), LINF), CLEAN)


def test_each_image_has_its_own_radius() -> None:
    both = project(MOVED.repeat(2, 1, 1, 1), CLEAN.repeat(2, 1, 1, 1), torch.tensor([0.0, 0.1]), LINF)
    assert torch.equal(both[:1], CLEAN)
    torch.testing.assert_close(both[1].flatten(), torch.tensor([0.6, 0.5, 1.0, 0.0]))


def test_what_is_fed_is_in_the_unit_range_and_finite() -> None:
    broken = MOVED.clone()
    broken[0, 0, 0, 0] = float("nan")
    fed = within_budget(broken, CLEAN, torch.tensor([0.4]), LINF)
    torch.testing.assert_close(fed.flatten(), torch.tensor([0.5, 0.5, 1.0, 0.0]))


def test_norms() -> None:
    measured = perturbation_norms(MOVED, CLEAN)
    torch.testing.assert_close(measured["linf"], torch.tensor([0.4], dtype=torch.float64), atol=1e-7, rtol=0)
    torch.testing.assert_close(measured["l2"], torch.tensor([0.5], dtype=torch.float64), atol=1e-7, rtol=0)


@pytest.mark.parametrize(("written", "value"), [("8/255", 8 / 255), ("0.03", 0.03), (0.5, 0.5), (1, 1.0), ("0", 0.0)])
def test_an_epsilon_is_a_number_or_a_fraction(written: object, value: float) -> None:
    assert parse_epsilon(written) == value


@pytest.mark.parametrize("written", ["", "x", "8/0", "8/255/2", "nan", "inf", True, None, [1], "-1/255", -0.1])
def test_what_is_no_epsilon_is_refused(written: object) -> None:
    with pytest.raises(ValueError, match="an epsilon is a"):
        parse_epsilon(written)


def test_an_epsilon_above_one_is_refused_under_linf_and_allowed_under_l2() -> None:
    with pytest.raises(UsageError, match="at most 1"):
        read_epsilons(["300/255"], LINF)
    assert read_epsilons([3, "0.5", 0.5], L2) == (0.5, 3.0)


def test_what_was_probably_meant_is_said() -> None:
    with pytest.raises(UsageError, match=r"at most 1, not 8; did you mean 8/255\?"):
        read_epsilons(["8"], LINF)
    with pytest.raises(UsageError, match=r"at most 13.86, not 128; did you mean 128/255\?"):
        read_epsilons(["128"], L2, (3, 8, 8))
    assert read_epsilons(["4", "13"], L2, (3, 8, 8)) == (4, 13)


def test_a_budget_is_printed_as_its_norm_is_written() -> None:
    assert [epsilon_text(4, "l2"), epsilon_text(8 / 255, "linf")] == ["4", "8/255"]
    assert [epsilon_text(0.5, None), epsilon_text(0.5, "l7")] == ["0.5", "0.5"]
    assert epsilon_label("linf") == "ε (L∞, in 1/255 of the pixel range)"
    assert epsilon_label("l2") == "ε (L2, pixel values in [0, 1])"


@pytest.mark.parametrize("norm", NORMS.values(), ids=NORMS)
def test_a_norm_agrees_with_itself(norm: Norm) -> None:
    # What any norm keeps, whatever it is: the ascent has length 1 and grows the loss by the dual norm; shortening gives
    # the length asked for; points of the unit ball lie in it, and their extremes at its surface.
    generator = torch.Generator().manual_seed(0)
    gradients = torch.randn(5, 3, 4, 4, generator=generator, dtype=torch.float64)
    steps, ones = norm.ascent(gradients), torch.ones(5, dtype=torch.float64)
    torch.testing.assert_close(norm.length(steps), ones)
    torch.testing.assert_close((steps * gradients).flatten(1).sum(dim=1), norm.dual(gradients))
    torch.testing.assert_close(norm.length(norm.shorten(gradients, ones / 2)), ones / 2)
    points = torch.stack([norm.point((3, 4, 4), generator) for _ in range(5)])
    assert bool((norm.length(points) <= 1).all())
    torch.testing.assert_close(norm.length(norm.extreme(points)), ones.float())
    assert 0 < norm.widest((3, 4, 4)) <= norm.largest((3, 4, 4)) <= norm.largest(None)
