"""Oracle: the kept images classified one pair of timesteps at a time."""

# ruff: noqa: TID252 - tests are not an installed package, so an absolute import has nothing to name
from __future__ import annotations

import numpy as np
import pandas as pd
from torch import nn

from pcbench.attacks.checks.evidence import gather
from pcbench.attacks.checks.rows import Numbers
from pcbench.attacks.checks.transfer import transfer_matrix
from pcbench.attacks.eval_batch import EvalBatch
from pcbench.attacks.sweep import sweep

from ..conftest import Case, attack
from .conftest import Timesteps


def test_every_pair_is_scored_over_the_images_right_at_both(digits: Case) -> None:
    nets = [digits.classifier, nn.Sequential(nn.AvgPool2d(3, stride=1, padding=1), digits.classifier)]
    sweeps = [
        sweep(
            net, digits.images, digits.labels, attack("pgd"), ids=digits.ids, seed=0, epsilons=[0.1], keep_images=True
        )
        for net in nets
    ]

    model, eval_batch = Timesteps(*nets), EvalBatch(digits.images, digits.labels, digits.ids, seed=0)
    rows = [
        row
        for made in (0, 1)
        for row in gather(
            "transfer", model, eval_batch, [attack("pgd")], timestep=made, epsilon=0.1, timesteps=range(2)
        )
    ]
    matrix = transfer_matrix(Numbers(pd.DataFrame(rows)), attack("pgd"), 0.1, range(2))
    right = [(net(digits.images).argmax(dim=1) == digits.labels).numpy() for net in nets]
    for made in (0, 1):
        kept = sweeps[made].images
        assert kept is not None
        for scored in (0, 1):
            wrong = (nets[scored](kept[-1]).argmax(dim=1) != digits.labels).numpy()
            both = right[made] & right[scored]
            assert matrix.rates()[made, scored] == wrong[both].mean()
            row = matrix.rows()[2 * made + scored]
            assert (row["attacked_timestep"], row["timestep"], row["n"]) == (made, scored, both.sum())
    np.testing.assert_array_equal(matrix.rates()[0, 0], sweeps[0].success_within[-1][right[0]].mean())
