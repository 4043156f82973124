"""The study of ResNet-20 in small, on real images. Oracle: what was published of it, decision by decision."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from small_studies import PUBLISHED_RESNET, RESNET, resnet_given, written

from pcbench.studies.publishing import compare_study
from pcbench.studies.study import report_study, run_study


def test_the_study_of_resnet_20_made_again_is_the_published_one(test_data: Path, tmp_path: Path) -> None:
    path, given = written(tmp_path, RESNET), resnet_given(test_data, tmp_path / "out")
    run_study(path, given)
    answers = report_study(path, given.out)
    found = compare_study(path, given.out, PUBLISHED_RESNET)
    assert found.decisions > 1000
    assert found.passed, f"{found}: where this is meant, publish it anew with `python tests/small_studies.py`"
    seeds = pd.read_csv(given.out / "tables/seeds.csv").set_index(["question", "against"])
    assert seeds.loc[("noise", "t = 0"), "training_seed"].tolist() == [0, 1]
    assert seeds.loc[[("noise", "input-blur")], "training_seed"].tolist() == [0]
    assert set(seeds.loc["representations"].index) == {"t = 0", "no-feedback", "random-predictors"}
    assert "## attack" in answers
