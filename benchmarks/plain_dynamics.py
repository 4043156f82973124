"""The dynamics of predictive coding, written plainly: what the fast implementation is timed and checked against.

Hooks on the whole backbone at every timestep, and error gradients by `autograd.grad` through the decoders, as the
paper describes them (Choksi et al., NeurIPS 2021, arXiv 2106.02749); no decoding at the last timestep. It shares no
code with `pcbench.network`.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn


@dataclass
class PlainNetwork:
    """A backbone with hooks, and the state that the hooks pass on."""

    backbone: nn.Module
    """The plain network; it is copied."""
    modules: Sequence[str]
    """Names of the modules that PCoders sit on, in forward order."""
    decoders: Sequence[nn.Module]
    """D_1 .. D_N."""
    weights: Sequence[tuple[float, float, float]]
    """(beta, lambda, alpha) of each PCoder."""
    scales: Sequence[float]
    """s_n of each PCoder."""
    differentiable: bool = False
    """Whether the error gradients stay in the graph."""
    guarded: bool = False
    """Hand representations on as copies, for backbones that change their own values in place."""
    representations: list[Tensor] = field(default_factory=list)
    predictions: list[Tensor] = field(default_factory=list)
    gradients: list[Tensor] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Copy the backbone and put the hooks on it."""
        self.backbone = copy.deepcopy(self.backbone).eval()
        for number, name in enumerate(self.modules):
            self.backbone.get_submodule(name).register_forward_hook(self._hook(number))

    def _hook(self, number: int) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], Tensor]:
        def hook(_module: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
            if not self.predictions:
                new = output
            else:
                beta, feedback_weight, alpha = self.weights[number]
                new = beta * output - alpha * self.scales[number] * self.gradients[number]
                if number + 1 < len(self.modules):
                    new = new + feedback_weight * self.predictions[number + 1]
                else:
                    feedback_weight = 0.0
                new = new + (1 - beta - feedback_weight) * self.representations[number]
            self._new.append(new)
            return new.clone() if self.guarded else new

        return hook

    def _decode(self, images: Tensor) -> None:
        predictions, gradients = [], []
        for number, decoder in enumerate(self.decoders):
            representation = self.representations[number]
            below = images if number == 0 else self.representations[number - 1]
            with torch.enable_grad():
                if not self.differentiable:
                    representation, below = representation.detach().requires_grad_(), below.detach()
                elif not representation.requires_grad:
                    representation = representation.requires_grad_()
                prediction = decoder(representation)
                errors = (prediction - below).square().flatten(1).mean(1).sum()
                (gradient,) = torch.autograd.grad(errors, representation, create_graph=self.differentiable)
            predictions.append(prediction if self.differentiable else prediction.detach())
            gradients.append(gradient)
        self.predictions, self.gradients = predictions, gradients

    def unroll(self, images: Tensor, timesteps: int) -> Tensor:
        """Return the logits of t = 0..T, (T+1, batch, classes)."""
        self.representations, self.predictions, self.gradients = [], [], []
        logits = []
        with torch.set_grad_enabled(self.differentiable):
            for timestep in range(timesteps + 1):
                self._new: list[Tensor] = []
                logits.append(self.backbone(images))
                self.representations = self._new
                if timestep < timesteps:
                    self._decode(images)
        return torch.stack(logits)

    def reconstruction_loss(self, images: Tensor) -> Tensor:
        """Return the sum of all decoders' mean squared errors at t = 0, from which their weights learn."""
        self.representations, self.predictions, self.gradients = [], [], []
        self._new = []
        with torch.no_grad():
            self.backbone(images)
        below = [images, *self._new]
        return sum(
            (decoder(representation) - target).square().mean()
            for decoder, representation, target in zip(self.decoders, self._new, below[:-1], strict=True)
        )
