"""Oracles: the same attack by its name; FGSM, and a darker image, written out and classified by the loaded network."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

import pcbench
from pcbench.attacks.libraries.foolbox import attacks
from pcbench.corruptions.api import own_corruption
from pcbench.data.preprocessing import Preprocessing
from pcbench.data.sources import open_source
from pcbench.errors import UsageError
from pcbench.harness.configuration import configuration

FEW: dict[str, Any] = {"model": "pdigits", "images": 12, "timesteps": 1, "report": False, "progress": False}
CHEAP: dict[str, Any] = {**FEW, "epsilons": "16/255", "checks": False}


def fgsm(model: nn.Module, images: Tensor, labels: Tensor, epsilon: float) -> Tensor:
    images.requires_grad_()
    (gradient,) = torch.autograd.grad(torch.nn.functional.cross_entropy(model(images), labels), images)
    return images + epsilon * gradient.sign()


def darker(images: Any, severity: int, generator: np.random.Generator) -> Any:
    del generator
    return images / (1 + severity)


def brighter(images: Any, severity: int, generator: np.random.Generator) -> Any:
    del generator
    return images * (1 + severity)


def successes(run: Any) -> pd.DataFrame:
    rows = run.outcomes("given-attacks")
    rows = rows[rows["kind"] == "attack"].sort_values(["image_id", "attacked_timestep", "timestep"])
    return rows[["image_id", "attacked_timestep", "timestep", "correct"]].reset_index(drop=True)


def test_objects_names_and_functions_are_the_same_attack(tmp_path: Path) -> None:
    runs = [
        pcbench.run(**CHEAP, attacks=given, out=tmp_path / f"run-{number}")
        for number, given in enumerate(("fgsm", [attacks.FGSM()], fgsm))
    ]
    first, *others = map(successes, runs)
    assert not first["correct"].all()
    for other in others:
        pd.testing.assert_frame_equal(first, other)
    assert len({run.key for run in runs}) == 3  # other code may give other images
    assert pcbench.run(**CHEAP, attacks=fgsm, out=tmp_path / "run-2").found
    assert set(runs[2].manifest["options"]["attacks"]) == {"<function>"}
    repeated = tomllib.loads(configuration(runs[0]))
    assert (repeated["attacks"], repeated["suites"]) == (["fgsm"], [])
    assert pcbench.plan(**repeated).key == runs[0].key


def test_a_function_corrupts_with_five_severities(tmp_path: Path) -> None:
    run = pcbench.run(**FEW, corruptions=[darker, "fog"], severities=[1, 3], out=tmp_path / "run")
    rows = run.outcomes("given-corruptions")
    rows = rows[(rows["name"] == "darker") & (rows["timestep"] == 0)]
    assert sorted(rows["severity"].unique()) == [1, 3]
    model = pcbench.load("pdigits")
    source = open_source("digits", preprocessing=Preprocessing(channels=3), split="test")
    order = {name: number for number, name in enumerate(source.ids)}
    for severity in (1, 3):
        some = rows[rows["severity"] == severity]
        chosen = [order[name] for name in some["image_id"]]
        images = source.load(chosen).float() / 255
        with torch.no_grad():
            answers = model.at(timestep=0)(images / (1 + severity)).argmax(-1)
        assert answers.tolist() == some["prediction"].tolist()


def test_what_cannot_be_measured_is_told_in_one_line() -> None:
    def refused(**options: Any) -> str:
        with pytest.raises(UsageError) as caught:
            pcbench.run(**FEW, **options)
        return str(caught.value)

    assert "what `attacks` names is measured by one process: use workers=1" in refused(attacks=fgsm, workers=2)
    assert "two of the corruptions are called darker" in refused(
        corruptions=[darker, own_corruption(brighter, name="darker")]
    )
    assert "a shard measures suites" in refused(attacks=fgsm, shard="1/2")
    assert "an attack is a name" in refused(attacks=3)
    assert "a corruption is a name" in refused(corruptions=[3])


class Counting:
    """An attack that remembers how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self, model: nn.Module, images: Tensor, labels: Tensor, epsilon: float) -> Tensor:
        del model, labels
        self.asked += 1
        return images + epsilon * (self.asked > 3)


def test_what_an_object_remembers_is_what_it_had_when_it_was_given(tmp_path: Path) -> None:
    given = Counting()
    one = pcbench.run(**FEW, attacks=[given], out=tmp_path / "one")
    assert given.asked == 0
    two = pcbench.run(**FEW, attacks=[given], out=tmp_path / "two")
    assert one.key == two.key
    assert one.outcomes().equals(two.outcomes())


def test_the_key_is_that_of_the_code() -> None:
    keys = {
        pcbench.plan(**FEW, corruptions=[given]).key
        for given in (darker, brighter, own_corruption(brighter, name="darker"), own_corruption(darker, levels=3))
    }
    assert len(keys) == 4
