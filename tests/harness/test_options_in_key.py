"""Oracle: a list of another value for each option, against the key of the run that would be made with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from pcbench.catalog import catalog_folder
from pcbench.harness.plan import make_plan
from pcbench.harness.request import RunOptions, request_from
from pcbench.models import load
from pcbench.models.weights import save_weights
from pcbench.models.zoo import zoo_entry
from pcbench.options import declared
from pcbench.results.run_spec import RunSpec, Settings, differences

FORMER = Path(__file__).parent.parent / "former"
OPTIONS = declared(RunOptions)


class Images:
    """Images and labels as a Python object."""

    def __init__(self) -> None:
        self.images = np.zeros((20, 32, 32, 3), dtype=np.uint8)
        self.labels = np.arange(20) % 10


def other_weights(path: Path) -> Path:
    """Weights of pdigits, of which the first of the backbone and of the predictors differ from the shipped ones."""
    network = load("pdigits").network
    assert network is not None
    for module in (network.backbone.module, network.predictors):
        next(module.parameters()).data.add_(0.5)
    save_weights(path, backbone=network.backbone.module, predictors=list(network.predictors), metadata={})
    return path


PDIGITS = zoo_entry("pdigits").configuration_path


class MakesNoise(nn.Module):
    """Adds noise."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images + torch.randn_like(images)


def signed(model: nn.Module, images: torch.Tensor, labels: torch.Tensor, epsilon: float) -> torch.Tensor:
    """An attack of the user's own."""
    del model, labels
    return images + epsilon


def darker(images: Any, severity: int, generator: np.random.Generator) -> Any:
    """A corruption of the user's own."""
    del generator
    return images / severity


# What a run is asked for where this is not the four images of digits-c.
ATTACKED = {"suites": ("digits-linf",)}
OWN = {"model": nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 10)), "data": "digits", "timesteps": 0}
RANDOM = {**OWN, "model": nn.Sequential(nn.Flatten(), MakesNoise(), nn.Linear(3 * 32 * 32, 10)), "stochastic": 1}
OTHER: dict[str, tuple[Any, dict[str, Any]]] = {
    "model": ("alexnet_digits", {"timesteps": 0}),
    "suites": (("digits-c", "gaussian-noise"), {}),
    "data": (Images(), {}),
    "images": (5, {}),
    "leave_out": ("10", {}),
    "allow_tuned_images": (True, {}),
    "timesteps": (2, {}),
    "backbone_weights": (other_weights, {}),
    "weights": (other_weights, {}),
    "random_predictors": (0, {}),
    "configuration": (PDIGITS, {}),
    "ablation": ("no-feedback", {}),
    "hyperparameters": (("feedback=0.1",), {}),
    "stochastic": (2, RANDOM),
    "model_version": ("a", OWN),
    "attacks": (signed, {}),
    "corruptions": (darker, {}),
    "epsilons": (("1/255",), ATTACKED),
    "attacked_timesteps": ((0,), ATTACKED),
    "gradient": ("stop_error", {}),
    "plain_sweep": (True, ATTACKED),
    "bracketing": (False, {}),
    "checks": (True, ATTACKED),
    "save_adversarials": (True, ATTACKED),
    "adversarials": (FORMER, {}),
    "severities": ((1, 3), {}),
    "backend": ("reference", {}),
    "baseline": (str(catalog_folder("corruptions") / "digits-c" / "baseline.toml"), {}),
    "jpeg_quality": (85, {}),
    "seed": (1, {}),
    "batch_size": (64, {}),
    "device": ("meta", {}),
    "precision": ("bfloat16", {}),
    "compiled": (True, {}),
    "recompute": (True, {}),
    "out": ("elsewhere", {}),
    "shard": ("1/2", {}),
    "again": (True, {}),
    "workers": (2, {}),
    "engine": ("ray", {}),
    "ray_address": ("auto", {"engine": "ray"}),
    "cpus_per_worker": (3, {"engine": "ray"}),
    "gpus_per_worker": (0.5, {"engine": "ray"}),
    "threads": (2, {}),
    "block_size": (1024, {}),
    "mixed_machines": (True, {}),
    "allow_missing": (True, {}),
    "report": (False, {}),
    "figures": ("all", {}),
    "dry_run": (True, {}),
    "progress": (False, {}),
    "on_result": (print, {}),
}


def planned(**options: Any) -> RunSpec:
    """What a run would be, without running it."""
    asked: dict[str, Any] = {
        "suites": ("digits-c",),
        "images": 4,
        "timesteps": 1,
        **options,
    }
    if "adversarials" in options:
        del asked["suites"], asked["images"]
    return make_plan(request_from(asked)).spec


# Published files in place of corrupted ones need a whole data set, and the digits are neither damaged nor resized:
# `data.corrupted` is walked over with all other fields of a description in tests/results/test_run_spec.py, and the keys
# of the other three are compared in tests/harness/test_images.py. A saved plan is all options at once, and has a test
# of its own, tests/harness/test_saved_plan.py.
_ELSEWHERE = ("corrupted", "resize", "crop", "skip_damaged", "spec")


@pytest.mark.parametrize("name", [name for name in OPTIONS if name not in _ELSEWHERE])
def test_an_option_is_in_the_key_if_and_only_if_its_declaration_says_so(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    value, beside = OTHER[name]
    if name == "device":  # that it is here is asked elsewhere
        for room in ("harness.plan", "models.load_options"):
            monkeypatch.setattr(f"pcbench.{room}.read_device", lambda given: "cpu" if given == "auto" else given)
    if value is other_weights:
        value = other_weights(tmp_path / "other.safetensors")
    one, other = planned(**beside), planned(**{**beside, name: value})
    counts = OPTIONS[name].option.spec is not None
    assert (one.key() != other.key()) is counts
    field = OPTIONS[name].setting
    if field is not None:
        assert f"settings.{field}" in [difference.field for difference in differences(one.counting(), other.counting())]


def test_a_run_without_draws_and_hyperparameters_has_the_key_of_a_description_that_knows_none() -> None:
    counting = planned().counting()
    later = {"stochastic", "hyperparameters", "severities", "attacked_timesteps"}
    assert not later & set(counting["settings"])
    assert "seed" in counting["settings"]


def test_every_field_of_the_settings_is_one_option() -> None:
    assert sorted(one.setting for one in OPTIONS.values() if one.setting) == sorted(Settings.model_fields)
