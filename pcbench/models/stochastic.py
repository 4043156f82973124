"""Networks that draw random numbers: the classifier that is measured is the mean of a few draws.

Its logits are the logarithms of the mean probabilities, so that it is one classifier for every measure, and its
gradient is the expectation over draws that an attack needs: Athalye et al., "Synthesizing Robust Adversarial Examples"
(ICML 2018) and "Obfuscated Gradients Give a False Sense of Security" (ICML 2018).
"""

from __future__ import annotations

import math
from functools import partial

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint  # pyright: ignore[reportUnknownVariableType]  # PyTorch leaves a context manager untyped

from pcbench.models.draws import current_drawing, current_tally
from pcbench.models.scores import predicted
from pcbench.network.gradient import Gradient
from pcbench.network.seeding import seeded
from pcbench.network.timestep_model import TimestepModel


class StochasticModel(TimestepModel):
    """The mean probability over draws of another model.

    Each draw is one pass of a whole batch, from a seed that `pcbench.models.draws` gives: the other model's code draws
    as it likes, and the global generators are put back.

    Args:
        inner: The other model.
        draws: How many.
        recompute: Keep the graph of one draw at a time, and compute it again in the backward pass.
    """

    def __init__(self, inner: TimestepModel, draws: int, *, recompute: bool = False) -> None:
        super().__init__()
        self.inner, self.draws, self.recompute = inner, draws, recompute
        self.limit = inner.limit

    def normalise(self, images: Tensor) -> Tensor:
        """Return e_0 for images in [0,1]."""
        return self.inner.normalise(images)

    def logits_of_input(self, inputs: Tensor, timesteps: int, gradient: Gradient = "exact") -> Tensor:
        """Return the logarithms of the mean probabilities, (T+1, batch, classes)."""
        draw = partial(self._draw, timesteps=timesteps, gradient=gradient)
        if self.recompute and torch.is_grad_enabled():
            draw = partial(checkpoint, draw, use_reentrant=False, preserve_rng_state=False)
        logits = torch.stack([draw(inputs, seed) for seed in current_drawing().seeds(self.draws)])
        tally = current_tally()
        if tally is not None:
            tally.add(predicted(logits))
        return logits.log_softmax(dim=-1).logsumexp(dim=0) - math.log(self.draws)

    def _draw(self, inputs: Tensor, seed: int, *, timesteps: int, gradient: Gradient) -> Tensor:
        with seeded(seed, inputs.device):
            return self.inner.logits_of_input(inputs, timesteps, gradient)
