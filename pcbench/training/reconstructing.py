"""What predictors learn from and are measured on: representations at t = 0, and what each of them predicts."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pcbench.data.image_source import ImageSource
from pcbench.errors import DataError, DivergenceError
from pcbench.network.network import PredictiveNetwork
from pcbench.training.inputs import NoiseTarget
from pcbench.training.sampler import Sampler, load_steps
from pcbench.training.settings import TrainingSettings

HELD_OUT_EPOCH = 0
"""The epoch whose noise the held-out images have."""


def representations(
    network: PredictiveNetwork, images: Tensor, noise: Tensor | None, target: NoiseTarget
) -> tuple[list[Tensor], list[Tensor]]:
    """Return e_1 .. e_N at t = 0, and what each of their predictors is to predict; no gradient is kept.

    Args:
        network: Its backbone is run.
        images: In [0,1], (batch, channels, height, width).
        noise: What is added to the images after normalisation; None adds nothing.
        target: Whether predictors are to predict the layer below of the noisy image, or of the one without noise.
    """
    with torch.no_grad():
        clean = network.normalise(images)
        inputs = clean if noise is None else clean + noise
        values = predicted = [inputs, *network.backbone.start(inputs)]
        if noise is not None and target == "clean":
            predicted = [clean, *network.backbone.start(clean)]
    count = len(network.predictors)
    return values[1 : count + 1], [predicted[index] for index in network.targets.of]


@dataclass(frozen=True)
class Images:
    """Images of a training in an order, and what is done to them."""

    source: ImageSource
    """Where they come from."""
    settings: TrainingSettings
    """Batch size, seeds, noise and shuffling."""
    workers: int = 0
    """Processes that decode images ahead of time."""
    device: torch.device | str = "cpu"
    """Where the network is."""

    def batches(
        self, network: PredictiveNetwork, first: int = 0, last: int | None = None
    ) -> Iterator[tuple[list[Tensor], list[Tensor]]]:
        """Yield representations and targets, batch by batch, in the order of the first epoch.

        Args:
            network: In evaluation mode.
            first: The first batch.
            last: The batch before which to stop; None: all.

        Raises:
            DivergenceError: A representation is not finite.
        """
        settings = self.settings
        sampler = Sampler(len(self.source), settings.batch_size, settings.seed)
        steps = range(first, sampler.steps_per_epoch if last is None else last)
        for _, images, _, drawn in load_steps(self.source, sampler, steps, settings.change, self.workers):
            noise = None if drawn is None else drawn.to(self.device)
            values, targets = representations(network, images.to(self.device), noise, settings.noise_target)
            _check_finite(network, values, targets)
            yield values, targets


def _check_finite(network: PredictiveNetwork, values: Sequence[Tensor], targets: Sequence[Tensor]) -> None:
    for number, (value, target) in enumerate(zip(values, targets, strict=True)):
        if not bool(value.isfinite().all() & target.isfinite().all()):
            raise DivergenceError(
                f"{pcoder_name(network, number)}: what it sees, or is to predict, is not finite (NaN or infinite) at "
                "t = 0; look at the backbone's weights and its normalisation"
            )


def pcoder_name(network: PredictiveNetwork, index: int) -> str:
    """Return how messages call a PCoder, counted from 0 here: ``"PCoder 2 (layer2)"``."""
    return f"PCoder {index + 1} ({network.configuration.table.pcoders[index].module})"


class Spread:
    """Sums of one PCoder's targets and errors over images, which give its R².

    R² is 1 - Σ(d - e)² / Σ(e - mean)², where the mean is that of each channel of e, over images and places.
    """

    def __init__(self) -> None:
        self._error: Tensor | float = 0.0
        self._sums: Tensor | float = 0.0
        self._squares: Tensor | float = 0.0
        self._rows = 0

    def add(self, prediction: Tensor, target: Tensor) -> None:
        """Add some images, (batch, channels, …)."""
        wanted = target.double().transpose(0, 1).flatten(1)
        self._error += (prediction.double() - target.double()).square().sum()
        self._sums += wanted.sum(1)
        self._squares += wanted.square().sum(1)
        self._rows += wanted.shape[1]

    def r_squared(self) -> float:
        """Return R², at most 1; NaN where the targets do not vary."""
        spread = torch.as_tensor(self._squares - torch.as_tensor(self._sums).square() / max(self._rows, 1)).sum()
        squares = float(torch.as_tensor(self._squares).sum())
        if float(spread) <= 1e-12 * squares:
            return float("nan")
        return 1 - float(self._error) / float(spread)


def r_squared(network: PredictiveNetwork, images: Images) -> list[float]:
    """Return the R² of each PCoder on some images; the network is left in the mode that it was in.

    Raises:
        DataError: What a PCoder is to predict is the same on all images.
        DivergenceError: A representation is not finite.
    """
    spreads = [Spread() for _ in network.predictors]
    training = network.training
    network.eval()
    with torch.no_grad():
        for values, targets in images.batches(network):
            for spread, predictor, value, target in zip(spreads, network.predictors, values, targets, strict=True):
                spread.add(predictor(value), target)
    network.train(training)
    found = [spread.r_squared() for spread in spreads]
    for index, value in enumerate(found):
        if math.isnan(value):
            raise constant_target(network, index)
    return found


def constant_target(network: PredictiveNetwork, index: int) -> DataError:
    """Return the error that names a PCoder which has nothing to predict."""
    return DataError(
        f"{pcoder_name(network, index)}: what it is to predict does not vary over the images, so that there "
        "is nothing to learn; give other images, or look at the backbone's weights"
    )
