"""What every model can be asked: the logits of all timesteps, for images in [0,1] or for e_0 itself."""

from __future__ import annotations

from torch import Tensor, nn

from pcbench.arguments import a_word, shown, whole
from pcbench.errors import UsageError
from pcbench.network.gradient import GRADIENTS, Gradient
from pcbench.network.unit_range import require_unit_range

_TAKEN = "a network takes images in [0,1] and normalises them"


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
        """Return the logits (T+1, batch, classes) of images in [0,1].

        Raises:
            UsageError: The images leave [0,1] or are something else, or the model does not answer that late.
        """
        require_unit_range(images, _TAKEN)
        a_word("gradient", gradient, GRADIENTS)
        return self.logits_of_input(self.normalise(images), whole_timesteps(timesteps), gradient)

    def at(self, timestep: int, gradient: Gradient = "exact") -> TimestepClassifier:
        """Return the classifier that answers with the logits of one timestep.

        Args:
            timestep: t, at least 0.
            gradient: How the error terms are differentiated.

        Raises:
            UsageError: The model does not answer that late, or an argument is none of the above.
        """
        timestep = whole_timesteps(timestep)
        self.check(timestep)
        a_word("gradient", gradient, GRADIENTS)
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
        checked: Whether images outside [0,1] are refused.
    """

    def __init__(
        self, model: TimestepModel, timestep: int, gradient: Gradient = "exact", *, checked: bool = True
    ) -> None:
        super().__init__()
        self.model = model
        self.timestep = timestep
        self.gradient: Gradient = gradient
        self.checked = checked
        self.training = model.training

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits of timestep t, (batch, classes), for images in [0,1].

        Raises:
            UsageError: The images leave [0,1] or are something else.
        """
        if self.checked:
            return self.model(images, self.timestep, self.gradient)[-1]
        return self.model.logits_of_input(self.model.normalise(images), self.timestep, self.gradient)[-1]


def unchecked(classifier: nn.Module) -> nn.Module:
    """Return a classifier that takes images outside [0,1] too, for an attack may try them; what it returns is clipped.

    Classifiers that are not a model's at one timestep are returned as they are.
    """
    if not isinstance(classifier, TimestepClassifier):
        return classifier
    return TimestepClassifier(classifier.model, classifier.timestep, classifier.gradient, checked=False)


def whole_timesteps(value: object) -> int:
    """Return a number of updates as an int, whatever type of whole number it is.

    Raises:
        UsageError: It is something else, or below 0.
    """
    found = value if type(value) is int else whole(value)
    if not isinstance(found, int) or isinstance(found, bool) or found < 0:
        raise UsageError(f"timesteps is {shown(value)}; it counts updates and is a whole number from 0")
    return found
