"""What training minimises: a loss for each image and each part that learns, as an ordinary module."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pcbench.network.decoding import decode
from pcbench.network.network import PredictiveNetwork
from pcbench.network.update import prediction_error
from pcbench.training.inputs import NoiseTarget
from pcbench.training.reconstructing import representations


class Objective(nn.Module):
    """Losses of images; its parameters that require gradients are trained."""

    terms: tuple[str, ...]
    """A name for each loss."""

    def forward(self, images: Tensor, labels: Tensor, noise: Tensor | None = None) -> Tensor:
        """Return the losses, (terms, batch).

        Args:
            images: In [0,1], (batch, channels, height, width).
            labels: (batch,).
            noise: What is added to the images after normalisation; None adds nothing.
        """
        raise NotImplementedError


class Reconstruction(Objective):
    """Each predictor reconstructs the layer below it, or what else it predicts, at t = 0; labels are not used.

    The loss of predictor n is mean((D_n(e_n(0)) - e_{n-1}(0))²) over the cells of one image. The backbone stays in
    evaluation mode and receives no gradient.

    Args:
        network: Its predictors learn.
        target: Where there is noise on e_0, e_n(0) is what the backbone makes of the noisy image. ``"noisy"``: so is
            the e_{n-1}(0) that is to be reconstructed; ``"clean"``: that one is of the image without noise.

    Source:
        Choksi et al. 2021 (arXiv 2106.02749), section 3.
    """

    def __init__(self, network: PredictiveNetwork, target: NoiseTarget = "noisy") -> None:
        super().__init__()
        self.network = network
        self.terms = tuple(f"pcoder{number + 1}" for number in range(len(network.predictors)))
        self._target: NoiseTarget = target
        network.train()

    def forward(self, images: Tensor, labels: Tensor, noise: Tensor | None = None) -> Tensor:
        """Return the reconstruction errors, (predictors, batch)."""
        del labels
        values, targets = representations(self.network, images, noise, self._target)
        errors: list[Tensor] = []
        for predictor, value, target in zip(self.network.predictors, values, targets, strict=True):
            # The same numbers as predictor(representation), by the faster ways of the unrolled pass.
            prediction, _ = decode(predictor, value, frozen=False)
            errors.append(prediction_error(prediction, target))
        return torch.stack(errors)


class Classification(Objective):
    """A backbone learns labels; its loss is the cross-entropy.

    Args:
        backbone: Normalised images -> logits.
        mean: Per channel, subtracted from images in [0,1].
        std: Per channel, what the difference is divided by.
    """

    def __init__(self, backbone: nn.Module, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        super().__init__()
        self.terms = ("cross_entropy",)
        self.backbone = backbone.train()
        self.register_buffer("mean", torch.tensor(mean).reshape(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).reshape(1, -1, 1, 1), persistent=False)
        self.mean: Tensor
        self.std: Tensor

    def forward(self, images: Tensor, labels: Tensor, noise: Tensor | None = None) -> Tensor:
        """Return the cross-entropy of each image, (1, batch)."""
        inputs = (images - self.mean) / self.std
        logits = self.backbone(inputs if noise is None else inputs + noise)
        return F.cross_entropy(logits, labels, reduction="none")[None]
