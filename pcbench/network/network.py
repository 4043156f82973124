"""The predictive network: a backbone, its predictors, and the dynamics that unroll them."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Self, cast, get_args

import torch
from torch import Tensor, nn

from pcbench.arguments import a_word, shown
from pcbench.errors import UsageError
from pcbench.network.backbone import Backbone, all_modules
from pcbench.network.configuration import NetworkConfiguration
from pcbench.network.controls import Control
from pcbench.network.decoding import is_explicit
from pcbench.network.gradient import GRADIENTS, Gradient
from pcbench.network.targets import Targets
from pcbench.network.timestep_model import TimestepModel, whole_timesteps
from pcbench.network.unit_range import require_unit_range
from pcbench.network.unrolling import Dynamics, Keep, Unrolled, logits_of_each
from pcbench.network.update import Hyperparameters
from pcbench.network.watching import Show
from pcbench.network.weighting import GivenWeights, weights_of


class PredictiveNetwork(TimestepModel):
    """A CNN with predictive-coding dynamics; `pcbench.predify` makes one.

    `unroll(images)`, `network(images)` and `at(t)(images)` take images in [0,1] and normalise them; `unroll_input`
    takes e_0, the image after normalisation.

    The network holds no state: `unroll` is a function of its arguments, and threads can share it. The backbone is a
    frozen copy in evaluation mode. Gradients reach the predictors' parameters only after `train()`.
    """

    recompute: bool = False
    """Whether `network(images)` and `at(t)` trade time for memory where a graph is built, as `unroll_input` can."""

    def __init__(
        self,
        backbone: Backbone,
        predictors: Iterable[nn.Module],
        configuration: NetworkConfiguration,
        error_windows: Sequence[float | None],
        normalisation: tuple[Sequence[float], Sequence[float]] | None = None,
        targets: Targets | None = None,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.predictors = nn.ModuleList(predictors)
        """D_1 .. D_N, ordinary modules."""
        self.configuration = configuration
        """What the network was made from."""
        self.targets = targets or Targets.below(len(self.predictors))
        """What each PCoder predicts."""
        self.hyperparameters = configuration.hyperparameters
        self.error_windows = tuple(error_windows)
        """C of each PCoder's gradient scale, or None where errors are not scaled."""
        self.mean: Tensor | None
        self.std: Tensor | None
        for name, values in zip(("mean", "std"), normalisation or (None, None), strict=True):
            tensor = None if values is None else torch.tensor(list(values)).reshape(1, -1, 1, 1)
            self.register_buffer(name, tensor, persistent=False)
        self.eval()

    @property
    def hyperparameters(self) -> tuple[Hyperparameters, ...]:
        """β, λ, α of each PCoder. λ is always 0 where no PCoder predicts its representation, as for the last one."""
        return self.__dict__["hyperparameters"]

    @hyperparameters.setter
    def hyperparameters(self, weights: GivenWeights) -> None:
        own = self.configuration.hyperparameters
        # Under its own name, so that a model's identity holds it as it always has.
        self.__dict__["hyperparameters"] = self._weights(weights, self.__dict__.get("hyperparameters", own))

    def _weights(self, given: GivenWeights, own: Sequence[Hyperparameters]) -> tuple[Hyperparameters, ...]:
        return weights_of(given, own, self.targets.feedback)

    def normalise(self, images: Tensor) -> Tensor:
        """Return e_0 for images in [0,1], (batch, channels, height, width)."""
        if self.mean is None or self.std is None:
            return images
        return (images - self.mean) / self.std

    def unroll(
        self,
        images: Tensor,
        timesteps: int,
        gradient: Gradient = "exact",
        keep: Sequence[str] = (),
        *,
        hyperparameters: GivenWeights | None = None,
        start: Sequence[Tensor] | None = None,
        recompute: bool = False,
    ) -> Unrolled:
        """Run all timesteps t = 0..T in one pass.

        It takes and returns what `unroll_input` does, except for the images: these are in [0,1],
        (batch, channels, height, width), and normalised here.

        Raises:
            UsageError: The images leave [0,1], or an argument is wrong as in `unroll_input`.
        """
        require_unit_range(
            images, "unroll takes images in [0,1] and normalises them. For normalised images use unroll_input"
        )
        return self.unroll_input(
            self.normalise(images),
            timesteps,
            gradient,
            keep,
            hyperparameters=hyperparameters,
            start=start,
            recompute=recompute,
        )

    def unroll_input(
        self,
        inputs: Tensor,
        timesteps: int,
        gradient: Gradient = "exact",
        keep: Sequence[str] = (),
        *,
        hyperparameters: GivenWeights | None = None,
        start: Sequence[Tensor] | None = None,
        recompute: bool = False,
    ) -> Unrolled:
        """Run all timesteps t = 0..T in one pass, for images that are normalised already.

        Args:
            inputs: e_0, as the backbone takes it (normalised), (batch, channels, height, width).
            timesteps: T, the number of updates; t = 0 is the backbone, bit for bit.
            gradient: How the dynamics are differentiated; see `pcbench.network.gradient`.
            keep: What to keep besides the logits: ``"representations"``, ``"predictions"``, ``"errors"``,
                ``"reconstructions"``, and the names of modules of the backbone, such as ``"layer2"``.
            hyperparameters: β, λ, α for this pass, in place of the network's own: ``{"feedback": 0.2}`` for all
                PCoders (what is left out stays, and the reference's names `ffm`, `fbm`, `erm` are known), or a list
                with one for each. Tensors can be learned by gradient. The λ of a PCoder that no other predicts, such as
                the last, is not used.
            start: Representations to begin with, e_1 .. e_N, in place of those that the backbone gives, such as
                ``representations[-1]`` of a pass over an earlier picture: t = 0 then reads the logits off these, and
                the updates from t = 1 on see the new images.
            recompute: Trade time for memory where a graph is built: keep only the representations of each timestep,
                and compute the rest again in the backward pass.

        Returns:
            Logits (T+1, batch, classes), magnitudes, and what was asked to be kept. A graph is built only where
            gradients are enabled and the inputs or hyperparameters ask for one, or the network is in training mode;
            otherwise memory does not grow with T.

        Raises:
            UsageError: An argument is none of the above, or the inputs do not fit the network.
        """
        timesteps = whole_timesteps(timesteps)
        self._check(inputs, gradient, keep)
        inputs = self._in_own_precision(inputs)
        own = self.hyperparameters
        weights = own if hyperparameters is None else self._weights(hyperparameters, own)
        if start is not None:
            _check_start(start, len(self.predictors))
        dynamics = self._dynamics(weights, gradient=gradient, frozen=not self.training, recompute=recompute)
        wanted = self.training or inputs.requires_grad or any(_learned(entry) for entry in weights)
        wanted = wanted or any(one.requires_grad for one in start or ())
        wanted = torch.is_grad_enabled() and wanted
        if recompute and wanted:
            self._refuse_recomputing()
        with torch.set_grad_enabled(wanted):
            return dynamics.unroll(inputs, timesteps, keep, start)

    def show_input(self, inputs: Tensor, timesteps: int, keep: Sequence[str], show: Show) -> Tensor:
        """Run all timesteps, and hand on each value when it is computed: so memory does not grow with T.

        Args:
            inputs: e_0, as in `unroll_input`.
            timesteps: T.
            keep: Which values, as in `unroll_input`.
            show: Called with a value's name (``representations/1``, ``errors/2``, ``reconstructions``,
                ``modules/layer2``), its timestep, and the value, which may be changed in place afterwards.

        Returns:
            The logits (T+1, batch, classes); no graph is built.

        Raises:
            UsageError: As in `unroll_input`.
        """
        self._check(inputs, "exact", keep)
        dynamics = self._dynamics(self.hyperparameters)
        with torch.no_grad():
            return dynamics.unroll(self._in_own_precision(inputs), whole_timesteps(timesteps), keep, show=show).logits

    def logits_of_each(
        self, hyperparameters: Sequence[GivenWeights], inputs: Tensor, timesteps: int
    ) -> Iterator[Tensor]:
        """Yield the logits (T+1, batch, classes) of e_0 with each of several hyperparameters, without a graph.

        They are those of a pass of its own for each; what hyperparameters do not change is computed once.

        Args:
            hyperparameters: As `unroll_input` takes them, once for each pass.
            inputs: e_0, (batch, channels, height, width).
            timesteps: T.
        """
        self._check(inputs, "exact", ())
        each = [self._dynamics(self._weights(one, self.hyperparameters)) for one in hyperparameters]
        with torch.no_grad():
            yield from logits_of_each(each, self._in_own_precision(inputs), whole_timesteps(timesteps))

    def logits_of_input(self, inputs: Tensor, timesteps: int, gradient: Gradient = "exact") -> Tensor:
        """Return the logits (T+1, batch, classes) of e_0 from one unrolled pass."""
        return self.unroll_input(inputs, timesteps, gradient, recompute=self.recompute).logits

    def forward(self, images: Tensor, timesteps: int = 0, gradient: Gradient = "exact") -> Tensor:
        """Return the logits (T+1, batch, classes) of images in [0,1], normalised here.

        Raises:
            UsageError: The images leave [0,1], or an argument is wrong as in `unroll_input`.
        """
        return super().forward(images, timesteps, gradient)

    def train(self, mode: bool = True) -> Self:
        """Let gradients reach the predictors' parameters; the backbone stays in evaluation mode.

        So do the batch norms of predictors: a prediction is one of its image, never of the others of a batch.
        """
        super().train(mode)
        for module in self.predictors.modules():
            if isinstance(module, nn.modules.batchnorm._NormBase):  # pyright: ignore[reportPrivateUsage]  # noqa: SLF001  # the base of all that keep statistics
                module.eval()
        return self

    def _dynamics(self, weights: tuple[Hyperparameters, ...], **options: Any) -> Dynamics:
        control = self.configuration.table.control
        return Dynamics(
            self.backbone, list(self.predictors), weights, self.error_windows, self.targets, control=control, **options
        )

    def controlled(self, control: Control | None) -> PredictiveNetwork:
        """Return this network as a control to compare with, or without the one that it has; all weights are shared."""
        made = copy.copy(self)
        table = self.configuration.table.model_copy(update={"control": control})
        made.configuration = replace(self.configuration, table=table)
        return made

    def _refuse_recomputing(self) -> None:
        for index, predictor in enumerate(self.predictors):
            if not is_explicit(predictor):
                raise UsageError(
                    f"PyTorch can't recompute through the predictor of PCoder {index + 1}; leave recompute out, or "
                    "make it of convolutions, Linear, bilinear Upsample and ReLU"
                )

    def _in_own_precision(self, inputs: Tensor) -> Tensor:
        first = next(self.parameters(), None)
        return inputs if first is None else inputs.to(first.dtype)

    def _check(self, inputs: Tensor, gradient: str, keep: Sequence[str]) -> None:
        a_word("gradient", gradient, GRADIENTS)
        if isinstance(keep, str):
            raise UsageError(f"keep is a list of names, such as [{keep!r}] (got {keep!r})")
        for name in keep:
            if name not in get_args(Keep):
                a_word("keep", name, [*get_args(Keep), *filter(None, all_modules(self.backbone.module))])
        if "reconstructions" in keep and self.targets.image is None:
            raise UsageError("no PCoder of this network predicts the image, so it has no reconstructions")
        expected = self.configuration.table.input_size
        if tuple(inputs.shape[1:]) != expected:
            raise UsageError(f"images are {_sizes(inputs.shape[1:])}; this network takes {_sizes(expected)}")


def _learned(weights: Hyperparameters) -> bool:
    values = (weights.feedforward, weights.feedback, weights.error_weight)
    return any(isinstance(value, Tensor) and value.requires_grad for value in values)


def _sizes(shape: Sequence[int]) -> str:
    return "x".join(str(size) for size in shape)


def _check_start(start: Sequence[Tensor], count: int) -> None:
    given = cast("object", start)  # users give anything
    if not isinstance(given, Sequence) or not all(isinstance(one, Tensor) for one in cast("Sequence[Any]", given)):
        raise UsageError(f"start is a list of tensors, e_1 to e_{count} (got {shown(start)})")
    if len(start) != count:
        raise UsageError(f"start has {len(start)} representations; the network has {count} PCoders")
