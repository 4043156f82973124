"""What hyperparameters are tuned for: clean images, noise on e_0, or the corruptions of a suite."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, partial

import torch
from torch import Tensor

from pcbench.arguments import number, shown
from pcbench.catalog import suite_folder
from pcbench.corruptions.api import corrupt
from pcbench.corruptions.definitions import CorruptionDefinition, load_corruption_suite
from pcbench.corruptions.input_noise import noisy_input
from pcbench.errors import UsageError
from pcbench.network.network import PredictiveNetwork
from pcbench.network.own_modules import computed_in

CLEAN = 0
"""The number of clean images among the severities of the suite `gaussian-noise`."""
NOISE_SUITE = "gaussian-noise"
_NOISE = "gaussian_noise"


@dataclass(frozen=True, eq=False)
class TuningCondition:
    """What is done to images before they are answered."""

    title: str
    """In words."""
    definition: CorruptionDefinition | None = None
    """The corruption; None for clean images."""
    severity: int = 0
    """Its severity."""
    on_input: bool = False
    """Whether it is a noise that is added to e_0, after normalisation; the others corrupt images."""

    def inputs(self, network: PredictiveNetwork, images: Tensor, ids: Sequence[str], seed: int) -> Tensor:
        """Return e_0 of some images under this condition.

        Args:
            network: Its normalisation counts.
            images: uint8, (batch, channels, height, width).
            ids: Names of the images; the randomness of each is its own.
            seed: Another seed is another draw.
        """
        first = next(network.parameters(), torch.empty(0))
        kind = computed_in(network)

        def normalised(unit: Tensor) -> Tensor:
            return network.normalise(unit.to(device=first.device, dtype=kind))

        if self.definition is not None and self.on_input:
            return noisy_input(self.definition, self.severity, images, normalised, seed=seed, ids=ids)
        if self.definition is not None:
            images = corrupt(images, self.definition, self.severity, seed=seed, ids=ids)
        return normalised(images.float() / 255)


CLEAN_IMAGES = TuningCondition("clean")
_NOISE_TITLE = ("noise of standard deviation ", " on e_0")


@cache
def noise_definition() -> CorruptionDefinition:
    """Return the noise of the suite `gaussian-noise`; its severities are the paper's five standard deviations."""
    return load_corruption_suite(suite_folder(NOISE_SUITE)[1]).corruption(_NOISE)


def standard_deviation(condition: int) -> float:
    """Return σ of a numbered condition in units of e_0; 0 for clean images."""
    return 0.0 if condition == CLEAN else float(noise_definition().parameters["standard_deviation"][condition - 1])


@cache
def numbered_condition(condition: int) -> TuningCondition:
    """Return a condition by its number: 0 for clean images, 1 to 5 for the severities of `gaussian-noise`."""
    if condition == CLEAN:
        return CLEAN_IMAGES
    return TuningCondition(_noise_title(standard_deviation(condition)), noise_definition(), condition, on_input=True)


def noise_conditions(levels: Sequence[float | str]) -> tuple[TuningCondition, ...]:
    """Return the conditions of some standard deviations on e_0; 0 stands for clean images.

    Raises:
        UsageError: One is not a number of at least 0, or there are none.
    """
    found = [number(level) for level in levels]
    wrong = [one for one in found if not isinstance(one, int | float) or isinstance(one, bool) or not 0 <= one < 1e6]
    if wrong or not found:
        raise UsageError(
            f"`noise` is one or several standard deviations on e_0, such as 0.25,0.5 (got {shown(levels)})"
        )
    sigmas = [float(one) for one in found if isinstance(one, int | float)]
    noises = tuple(sorted({sigma for sigma in sigmas if sigma}))
    conditions = [CLEAN_IMAGES] if 0 in sigmas else []
    if noises:
        own = noise_definition().model_copy(update={"parameters": {"standard_deviation": noises}})
        made = CorruptionDefinition.model_validate(own.model_dump())
        conditions += [
            TuningCondition(_noise_title(sigma), made, severity, on_input=True)
            for severity, sigma in enumerate(noises, 1)
        ]
    return tuple(conditions)


def suite_conditions(name: str, channels: int) -> tuple[TuningCondition, ...]:
    """Return the conditions of a suite of corruptions: each corruption at each severity.

    Raises:
        UnknownNameError: There is no such suite.
        UsageError: It is not one of corruptions, or is made for images of other channels.
    """
    kind, folder = suite_folder(name)
    if kind != "corruptions":
        raise UsageError(f"objective='suite:{name}' is a suite of attacks; name one of corruptions, such as imagenet-c")
    suite = load_corruption_suite(folder)
    on_input = suite.applied_to != "pixels"
    unfit = [one.name for one in suite.corruptions if not on_input and not one.takes(channels)]
    if unfit:
        raise UsageError(f"{', '.join(unfit)} of {suite.name} cannot be made of images of {channels} channels")
    title = partial("{0.title}, severity {1}".format)
    return tuple(
        TuningCondition(title(one, severity), one, severity, on_input=on_input)
        for one in suite.corruptions
        for severity in one.severities
    )


def _noise_title(sigma: float) -> str:
    return f"{_NOISE_TITLE[0]}{sigma:g}{_NOISE_TITLE[1]}"


def titled_levels(titles: Sequence[str]) -> tuple[float, ...]:
    """Return the standard deviations of the noises on e_0 among the titles that the record of a tuning has."""
    begin, end = _NOISE_TITLE
    noises = [title for title in titles if title.startswith(begin) and title.endswith(end)]
    return tuple(float(title.removeprefix(begin).removesuffix(end)) for title in noises)
