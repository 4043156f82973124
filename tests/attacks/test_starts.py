"""Oracle: the distribution's closed form (a uniform point of an n-ball has E[radius] = n / (n + 1))."""

from __future__ import annotations

import pytest
import torch

from pcbench.attacks.starts import image_seed, start_generator, unit_starts
from pcbench.norms import L2, LINF, Norm


def starts(ids: list[str], norm: Norm, *, seed: int = 0, shape: tuple[int, int, int] = (3, 4, 4)) -> torch.Tensor:
    return unit_starts(
        torch.zeros(len(ids), *shape), norm, [start_generator(seed, image_id, "pgd", 0) for image_id in ids]
    )


@pytest.mark.parametrize("norm", [LINF, L2])
def test_an_image_starts_at_the_same_point_in_any_batch(norm: Norm) -> None:
    together = starts(["a", "b", "c"], norm)
    assert torch.equal(starts(["c"], norm)[0], together[2])
    assert torch.equal(starts(["c", "a"], norm)[1], together[0])


def test_run_image_attack_and_restart_all_change_the_seed() -> None:
    seeds = {image_seed(*key) for key in [(0, "a", "pgd", 0), (1, "a", "pgd", 0), (0, "b", "pgd", 0)]}
    seeds |= {image_seed(0, "a", "bim", 0), image_seed(0, "a", "pgd", 1)}
    assert len(seeds) == 5


def test_the_global_generator_is_left_alone() -> None:
    before = torch.get_rng_state()
    starts(["a"], LINF)
    assert torch.equal(torch.get_rng_state(), before)


def test_starts_are_uniform_in_the_unit_ball() -> None:
    ids = [str(number) for number in range(4000)]
    box = starts(ids, LINF, shape=(1, 1, 2)).flatten()
    assert box.abs().max() <= 1
    assert box.mean().abs() < 0.03
    assert (box.square().mean() - 1 / 3).abs() < 0.02
    radii = starts(ids, L2, shape=(1, 1, 3)).flatten(1).norm(dim=1)
    assert radii.max() <= 1
    assert (radii.mean() - 3 / 4).abs() < 0.02
