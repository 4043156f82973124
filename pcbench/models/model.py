"""What is measured: a model, with everything that a run must know about it."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from pcbench.arguments import asked
from pcbench.data.counted_classes import counted_classes
from pcbench.errors import DataError, UnknownNameError, UsageError
from pcbench.models.facts import ModelFacts
from pcbench.models.known_words import PRECISIONS
from pcbench.models.stochastic import StochasticModel
from pcbench.models.timestep_model import CompiledModel, CountedModel, LowPrecisionModel
from pcbench.network.gradient import Gradient
from pcbench.network.network import PredictiveNetwork
from pcbench.network.own_modules import own_code
from pcbench.network.timestep_model import TimestepClassifier, TimestepModel
from pcbench.network.unit_range import outside_unit_range
from pcbench.network.update import Hyperparameters
from pcbench.network.weighting import GivenWeights


@dataclass(frozen=True)
class Model(ModelFacts):
    """A model under test: what is known of it, and the model itself."""

    timestep_model: TimestepModel
    """The module that answers at every timestep."""
    device: torch.device
    """Where it lies."""

    @classmethod
    def of(cls, facts: ModelFacts, timestep_model: TimestepModel, device: torch.device) -> Model:
        """Return the model of which these facts are known."""
        known = {field.name: getattr(facts, field.name) for field in fields(ModelFacts)}
        return cls(**known, timestep_model=timestep_model, device=device)

    def choosing_among(self, data: object) -> Model:
        """Return this model, whose other logits are left out; see `ModelFacts.choosing_among`."""
        chosen, counted = super().choosing_among(data), counted_classes(data)
        if counted is None:
            return chosen
        return replace(chosen, timestep_model=CountedModel(self.timestep_model, counted).to(self.device).eval())

    @property
    def network(self) -> PredictiveNetwork | None:
        """The predictive network, where the model is one: for its representations and reconstructions."""
        inner = self.timestep_model
        while isinstance(inner, (StochasticModel, LowPrecisionModel, CompiledModel, CountedModel)):
            inner = inner.inner
        return inner if isinstance(inner, PredictiveNetwork) else None

    def predictive_network(self, purpose: str) -> PredictiveNetwork:
        """Return the predictive network, computed as it is.

        Args:
            purpose: What it is needed for, for the message.

        Raises:
            UsageError: The model is not a predictive network, draws random numbers, or runs in bfloat16 or compiled.
        """
        if not isinstance(self.timestep_model, PredictiveNetwork):
            raise UsageError(
                f"{purpose} needs a predictive network, in float32, not compiled and not stochastic; {self.name} is not"
            )
        return self.timestep_model

    def logits(self, images: Tensor, timesteps: int | None = None, gradient: Gradient = "exact") -> Tensor:
        """Return the logits of every timestep.

        Args:
            images: (batch, 3, height, width) in [0,1].
            timesteps: T; None means the model's own.
            gradient: How error terms are differentiated; see `pcbench.network.gradient`.

        Returns:
            (T+1, batch, classes).

        Raises:
            DataError: The images leave [0,1]; normalisation is the model's own business.
            UsageError: The model does not answer that late, or takes images of another size.
            RunError: The network's own code failed; its exception is the cause.
        """
        with own_code(f"{self.name} fails"):
            return self.answer(images, timesteps, gradient)

    def answer(self, images: Tensor, timesteps: int | None = None, gradient: Gradient = "exact") -> Tensor:
        """Return what `logits` returns, and pass on the exception of a network's own code: the harness names the unit.

        Raises:
            DataError: The images leave [0,1]; normalisation is the model's own business.
            UsageError: The model does not answer that late, or takes images of another size.
        """
        return self.timestep_model(self.checked(images), self._steps(timesteps), gradient)

    def checked(self, images: Tensor) -> Tensor:
        """Return images, once they are seen to lie in [0,1] and to have the model's size.

        Raises:
            DataError: They do not.
        """
        outside = asked("images", lambda: outside_unit_range(images))
        if outside is not None:
            raise DataError(f"{outside}; models take images in [0,1] and normalise them")
        self.check_size(images.shape[1:])
        return images

    def normalise(self, images: Tensor) -> Tensor:
        """Return e_0, what the network makes of images in [0,1] before anything else."""
        return self.timestep_model.normalise(images)

    def logits_of_input(self, inputs: Tensor, timesteps: int | None = None) -> Tensor:
        """Return the logits of every timestep for e_0 itself: the one path past the check of [0,1].

        It is for suites that add noise after normalisation.
        """
        return self.timestep_model.logits_of_input(inputs, self._steps(timesteps))

    def at(self, timestep: int, gradient: Gradient = "exact") -> TimestepClassifier:
        """Return the classifier that answers at one timestep: images in [0,1] -> logits (batch, classes).

        Raises:
            UsageError: The model does not answer that late.
        """
        return self.timestep_model.at(timestep, gradient)

    def configured(self, *, precision: str = "float32", compiled: bool = False, recompute: bool = False) -> Model:
        """Return this model computed with another precision, compiled, or with less memory; the weights are shared.

        On a GPU, ``"float32"`` means full float32 products: TF32 is switched off for this process, and
        ``"tf32"`` switches it on.

        Args:
            precision: ``"float32"``, ``"tf32"`` (GPU only) or ``"bfloat16"`` (autocast).
            compiled: Send the model through `torch.compile`.
            recompute: Build an attack's graph one timestep at a time: less memory, more time, the same gradients. It
                changes predictive networks only.

        Raises:
            UsageError: The precision is unknown, or needs a GPU.
        """
        if isinstance(self.timestep_model, StochasticModel):  # each draw is seeded around what it computes
            drawn = self._drawn_once().configured(precision=precision, compiled=compiled, recompute=recompute)
            return drawn.with_draws(self.timestep_model.draws, recompute=recompute)
        if precision not in PRECISIONS:
            raise UnknownNameError("precision", precision, PRECISIONS)
        on_gpu = self.device.type == "cuda"
        if precision == "tf32" and not on_gpu:
            raise UsageError("tf32 is a mode of NVIDIA GPUs; use precision='float32' or precision='bfloat16' here")
        if on_gpu:
            torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision == "tf32"
        timestep_model = self.timestep_model
        if recompute and isinstance(timestep_model, PredictiveNetwork):
            timestep_model = copy.copy(timestep_model)
            timestep_model.recompute = True
        if precision == "bfloat16":
            timestep_model = LowPrecisionModel(timestep_model)
        return replace(self, timestep_model=CompiledModel(timestep_model).eval() if compiled else timestep_model.eval())

    def in_full_precision(self) -> Model:
        """Return this model in float32 and not compiled."""
        if isinstance(self.timestep_model, StochasticModel):
            drawn = self._drawn_once().in_full_precision()
            return drawn.with_draws(self.timestep_model.draws, recompute=self.timestep_model.recompute)
        inner = self.timestep_model
        while isinstance(inner, (LowPrecisionModel, CompiledModel)):
            inner = inner.inner
        return replace(self, timestep_model=inner)

    def with_draws(self, draws: int, *, recompute: bool = False) -> Model:
        """Return this model, which draws random numbers, as the mean of a few draws.

        Args:
            draws: How many.
            recompute: Keep an attack's graph of one draw at a time.
        """
        return replace(self, timestep_model=StochasticModel(self.timestep_model, draws, recompute=recompute).eval())

    def _drawn_once(self) -> Model:
        """Return what is drawn, where this model is the mean of draws."""
        inner = self.timestep_model
        return replace(self, timestep_model=inner.inner) if isinstance(inner, StochasticModel) else self

    def with_hyperparameters(self, weights: Hyperparameters) -> Model:
        """Return this predictive network with the same β, λ and α for every PCoder (λ = 0 for the last).

        Raises:
            UsageError: The model is not a predictive network, or runs in another precision or compiled.
        """
        if isinstance(self.timestep_model, StochasticModel):
            drawn = self._drawn_once().with_hyperparameters(weights)
            return drawn.with_draws(self.timestep_model.draws, recompute=self.timestep_model.recompute)
        changed = copy.copy(self.predictive_network("setting hyperparameters"))
        changed.hyperparameters = (*[weights] * (len(changed.predictors) - 1), weights.without("feedback"))
        return replace(self, timestep_model=changed.eval())

    def with_given(self, weights: GivenWeights) -> Model:
        """Return this model with hyperparameters of a run, however it is computed; the network and weights are shared.

        Raises:
            UsageError: They are impossible, or the model is not a predictive network.
        """
        return replace(self, timestep_model=_with_given(self.timestep_model, weights).eval())

    def _steps(self, timesteps: int | None) -> int:
        return self.timesteps if timesteps is None else timesteps


def _with_given(model: TimestepModel, weights: GivenWeights) -> TimestepModel:
    match model:
        case PredictiveNetwork():
            changed = copy.copy(model)
            changed.hyperparameters = weights  # pyright: ignore[reportAttributeAccessIssue]  # its setter takes more
            return changed
        case StochasticModel():
            return StochasticModel(_with_given(model.inner, weights), model.draws, recompute=model.recompute)
        case CountedModel():
            return CountedModel(_with_given(model.inner, weights), [int(one) for one in model.counted]).to(
                model.counted.device
            )
        case LowPrecisionModel() | CompiledModel():
            return type(model)(_with_given(model.inner, weights))
        case _:
            raise UsageError("hyperparameters are for predictive networks; this model has no PCoders")


def answers_of_each(models: Sequence[Model], given: Tensor, timesteps: int, *, pixels: bool) -> Iterator[Tensor]:
    """Yield what each of several models answers that differ in β, λ and α alone, as each of them would.

    What these do not change is computed once where the network is computed as it is.

    Args:
        models: The models.
        given: Images in [0,1], or e_0.
        timesteps: T.
        pixels: Whether they are images, as `Model.answer` takes them, or e_0, as `Model.logits_of_input` does.

    Raises:
        DataError, UsageError: As for these.
    """
    networks = [model.timestep_model for model in models if isinstance(model.timestep_model, PredictiveNetwork)]
    if len(models) == 1 or len(networks) < len(models):
        for model in models:
            yield model.answer(given, timesteps) if pixels else model.logits_of_input(given, timesteps)
        return
    inputs = models[0].normalise(models[0].checked(given)) if pixels else given
    yield from networks[0].logits_of_each([network.hyperparameters for network in networks], inputs, timesteps)
