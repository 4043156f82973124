"""How something is trained: the settings of one training, as a frozen value that is written down with the weights."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import torch
from torch import Tensor, optim

from pcbench.errors import UsageError
from pcbench.models.zoo import ZooEntry
from pcbench.training.inputs import AUGMENTATION, InputChange, NoiseTarget, Shuffle

Method = Literal["ridge", "descent", "reference"]
"""How predictors learn: solved by ridge regression, then by steps where they are not linear; by steps alone; or by the
steps of the scripts published with Choksi et al. 2021."""
Optimizer = Literal["sgd", "rmsprop", "adam"]
RateSchedule = Literal["constant", "cosine"]


@dataclass(frozen=True)
class TrainingSettings:
    """The settings of one training.

    Raises:
        UsageError: A value with which training is not possible.
    """

    epochs: int
    """How many times every image is seen, at least 1."""
    batch_size: int
    """Images in one step, over all processes together."""
    optimizer: Optimizer
    """``"sgd"`` (without momentum), ``"rmsprop"`` or ``"adam"``."""
    learning_rate: float
    """Learning rate of the first step."""
    weight_decay: float = 0.0
    """The L2 penalty of PyTorch's optimizers."""
    schedule: RateSchedule = "constant"
    """``"constant"``, or ``"cosine"``: half a cosine from the learning rate down to 0."""
    augmentation: bool = False
    """Whether each image is turned, scaled, sheared and moved a little in each epoch, as `inputs.AUGMENTATION` says."""
    seed: int = 0
    """Decides the order of the images, their augmentation, noise and shuffling, and what a dropout layer drops."""
    noise: tuple[float, ...] = ()
    """Standard deviations of Gaussian noise on e_0, of which each image draws one in each epoch; none: no noise."""
    noise_target: NoiseTarget = "noisy"
    """What predictors reconstruct where there is noise: the noisy layer below, or the one of the clean image."""
    shuffle: Shuffle | None = None
    """Rows or columns of each image are put into an order of their own; None leaves images as they are."""
    warm_up: float = 0.0
    """The share of all steps over which the learning rate grows from 0, 0 to 1."""
    noise_seed: int | None = None
    """Decides noise and shuffling in place of `seed`."""

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch_size < 1:
            raise UsageError(f"epochs and batch size are at least 1 (got {self.epochs} and {self.batch_size})")
        if self.seed < 0 or (self.noise_seed or 0) < 0:
            raise UsageError(f"seeds are at least 0 (got {self.seed} and {self.noise_seed})")
        if not (math.isfinite(self.learning_rate) and self.learning_rate > 0) or not self.weight_decay >= 0:
            raise UsageError(
                f"the learning rate is above 0 and the weight decay at least 0 "
                f"(got {self.learning_rate} and {self.weight_decay})"
            )
        if any(not (math.isfinite(deviation) and deviation >= 0) for deviation in self.noise):
            raise UsageError(f"noise is a standard deviation of at least 0 (got {', '.join(map(str, self.noise))})")
        if self.noise_target == "clean" and not self.noise:
            raise UsageError("noise_target='clean' needs noise: give it as well, such as noise=0.5")
        if self.optimizer not in get_args(Optimizer):
            raise UsageError(f"optimizer {self.optimizer!r} does not exist; known: {', '.join(get_args(Optimizer))}")
        if self.schedule not in get_args(RateSchedule):
            raise UsageError(f"schedule {self.schedule!r} does not exist; known: {', '.join(get_args(RateSchedule))}")

    def changed(self, **values: Any) -> TrainingSettings:
        """Return these settings with some of them replaced; None leaves a setting as it is."""
        return replace(self, **{name: value for name, value in values.items() if value is not None})

    @property
    def change(self) -> InputChange:
        """What is done to the images."""
        seed = self.seed if self.noise_seed is None else self.noise_seed
        return InputChange(seed, self.noise, self.shuffle, AUGMENTATION if self.augmentation else None)

    @property
    def denoising(self) -> bool:
        """Whether predictors learn to predict what they would have to without the noise that they see."""
        return bool(self.noise) and self.noise_target == "clean"

    def rate(self, step: int, steps: int) -> float:
        """Return the learning rate of one step, counted from 0, of all `steps`."""
        grown = min(1.0, (step + 1) / (self.warm_up * steps)) if self.warm_up > 0 else 1.0
        if self.schedule == "constant":
            return self.learning_rate * grown
        return self.learning_rate * grown * 0.5 * (1 + math.cos(math.pi * step / steps))


def make_optimizer(parameters: Iterable[Tensor], settings: TrainingSettings) -> optim.Optimizer:
    """Return the optimizer of some parameters."""
    options: dict[str, Any] = {"lr": settings.learning_rate, "weight_decay": settings.weight_decay}
    match settings.optimizer:
        case "sgd":
            return torch.optim.SGD(parameters, **options)
        case "rmsprop":
            return torch.optim.RMSprop(parameters, **options)
        case "adam":
            return torch.optim.Adam(parameters, **options)


Stage = Literal["backbone", "predictors"]

_BACKBONE = TrainingSettings(200, 64, "adam", 0.01, schedule="cosine", augmentation=True)
_PREDICTORS: dict[Method, TrainingSettings] = {
    # From the closed form on, a few small steps for what it leaves out of account.
    "ridge": TrainingSettings(2, 64, "adam", 0.001, schedule="cosine", warm_up=0.05),
    "descent": TrainingSettings(15, 64, "adam", 0.001),
    # The scripts train the feedback weights of VGG16 by SGD (Choksi et al. 2021, arXiv 2106.02749, appendix), without
    # augmentation; the zoo's files say where theirs differ.
    "reference": TrainingSettings(50, 64, "sgd", 0.001, weight_decay=5e-4),
}


def default_settings(stage: Stage, entry: ZooEntry | None, method: Method) -> TrainingSettings:
    """Return the settings of one stage where the user changes nothing.

    Args:
        stage: What is trained: a backbone that this project trains itself, or feedback weights.
        entry: The model's entry in the zoo; None for a network of the user's own.
        method: How predictors learn.
    """
    tables = {} if entry is None else entry.training
    if stage == "backbone":
        own, table = _BACKBONE, tables.get("backbone")
    else:
        own = _PREDICTORS[method]
        table = tables.get("reference") if method == "reference" else tables.get("predictors")
        # A model's own recipe is one for all steps, not for those that follow the closed form.
        table = None if method == "ridge" else table
    return own.changed(**({} if table is None else table.model_dump()))
