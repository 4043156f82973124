"""What every model can be asked: the logits of all timesteps, for images in [0,1] or for e_0 itself."""

from __future__ import annotations

from torch import Tensor, nn

from pcbench.errors import UsageError
from pcbench.network.gradient import Gradient


class TimestepModel(nn.Module):
    """A model that answers at every timestep."""

    limit: int | None = None
    """The largest T it can be asked for; None where there is none."""

    def normalise(self, images: Tensor) -> Tensor:
        """Return e_0 for images in [0,1]."""
        return images

    def logits_of_input(self, inputs: Tensor, timesteps: int, gradient: Gradient = "exact") -> Tensor:
        """Return the logits (T+1, batch, classes) of e_0."""
        raise NotImplementedError

    def forward(self, images: Tensor, timesteps: int, gradient: Gradient = "exact") -> Tensor:
        """Return the logits (T+1, batch, classes) of images in [0,1]."""
        return self.logits_of_input(self.normalise(images), timesteps, gradient)

    def at(self, timestep: int, gradient: Gradient = "exact") -> TimestepClassifier:
        """Return the classifier that answers with the logits of one timestep.

        Args:
            timestep: t, at least 0.
            gradient: How the error terms are differentiated.

        Raises:
            UsageError: The model does not answer that late.
        """
        self.check(timestep)
        return TimestepClassifier(self, timestep, gradient)

    def check(self, timesteps: int) -> None:
        """Refuse a T beyond the limit.

        Raises:
            UsageError: The model does not answer that late.
        """
        if self.limit is not None and timesteps > self.limit:
            raise UsageError(f"this model answers at t = 0 to {self.limit}; use timesteps={self.limit} or fewer")


class TimestepClassifier(nn.Module):
    """A model as it answers at one timestep: an ordinary classifier of images in [0,1].

    Args:
        model: The model; it is shared, not copied.
        timestep: t, the number of updates before the answer.
        gradient: How the error terms are differentiated.
    """

    def __init__(self, model: TimestepModel, timestep: int, gradient: Gradient = "exact") -> None:
        super().__init__()
        self.model = model
        self.timestep = timestep
        self.gradient: Gradient = gradient
        self.training = model.training

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits of timestep t, (batch, classes), for images in [0,1]."""
        return self.model(images, self.timestep, self.gradient)[-1]
