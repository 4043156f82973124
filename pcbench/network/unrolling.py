"""Unrolling: all timesteps of a predictive network from one pass over the images.

Source: Choksi et al., NeurIPS 2021, arXiv 2106.02749; the equations stand in `pcbench.network.update`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint  # pyright: ignore[reportUnknownVariableType]  # PyTorch leaves a context manager untyped

from pcbench.errors import UsageError
from pcbench.network.backbone import Backbone, Replace, Values
from pcbench.network.controls import Control
from pcbench.network.decoding import Decoded, Pullback, decode
from pcbench.network.fast.layers import fast_input_gradients
from pcbench.network.fast.memory_format import all_channels_last, channels_last_suits, laid_channels_last
from pcbench.network.gradient import Gradient
from pcbench.network.targets import Targets
from pcbench.network.update import Hyperparameters, error_gradient_scale, is_zero, magnitude, updated
from pcbench.network.watching import MODULES, ModuleOutputs, Show

Keep = Literal["representations", "predictions", "errors", "reconstructions"]


@dataclass(frozen=True)
class Unrolled:
    """What one pass over a batch gives, for every timestep t = 0..T."""

    logits: Tensor
    """(T+1, batch, classes)."""
    magnitudes: Tensor
    """The root mean square of each image's representations, (T+1, N, batch), outside any graph."""
    representations: tuple[tuple[Tensor, ...], ...] = ()
    """``representations[t][n]`` is e_{n+1}(t), (batch, channels, height, width); empty unless kept."""
    predictions: tuple[tuple[Tensor, ...], ...] = ()
    """``predictions[t][n]`` is d_{n+1}(t) = D_{n+1}(e_{n+1}(t)), shaped as what it predicts; empty unless kept."""
    reconstructions: tuple[Tensor, ...] = ()
    """``reconstructions[t]`` is the prediction of e_0, the normalised image; empty unless kept."""
    errors: tuple[tuple[Tensor, ...], ...] = ()
    """``errors[t][n]`` is d_{n+1}(t) less what it predicts; ε_{n+1}(t) is the mean of squares. Empty unless kept."""
    modules: Mapping[str, tuple[Tensor, ...]] = field(default_factory=dict[str, tuple[Tensor, ...]])
    """``modules[name][t]`` is the output of a module of the backbone, for the names that were asked for."""

    def diverged(self, growth: float = 10.0) -> Tensor:
        """Return which images' representations grow without bound.

        Args:
            growth: How many times larger than at t = 0 (or than the batch's mean at t = 0, where that is larger) a
                representation may become.

        Returns:
            Booleans, (batch,): at some t a representation or a logit is not finite, or a representation has grown
            beyond `growth`.
        """
        return diverged(self.magnitudes, growth) | ~self.logits.isfinite().all(2).all(0)


def diverged(magnitudes: Tensor, growth: float = 10.0) -> Tensor:
    """Return which images diverge, from the magnitudes (T+1, N, batch) alone; see `Unrolled.diverged`."""
    start = torch.maximum(magnitudes[0], magnitudes[0].mean(1, keepdim=True))
    return ~((magnitudes <= growth * start) & magnitudes.isfinite()).all(1).all(0)


@dataclass(frozen=True)
class Dynamics:
    """Everything that one pass over some images needs, except its state."""

    backbone: Backbone
    """The backbone, cut at the PCoders."""
    predictors: Sequence[nn.Module]
    """D_1 .. D_N."""
    hyperparameters: Sequence[Hyperparameters]
    """β, λ, α of each PCoder."""
    error_windows: Sequence[float | None]
    """C of each PCoder's gradient scale, or None where errors are not scaled."""
    targets: Targets
    """What each PCoder predicts, and so whose prediction feeds back to whom."""
    gradient: Gradient = "exact"
    """How one pass is differentiated."""
    frozen: bool = True
    """The predictors' parameters are constants."""
    recompute: bool = False
    """Keep only the representations of each timestep for the backward pass, and compute the rest again."""
    control: Control | None = None
    """What the network is changed into, for comparison."""

    def unroll(
        self,
        images: Tensor,
        timesteps: int,
        keep: Sequence[str] = (),
        start: Sequence[Tensor] | None = None,
        show: Show | None = None,
    ) -> Unrolled:
        """Run t = 0..T; see `PredictiveNetwork.unroll_input`, and `show_input` for `show`."""
        return _new_pass(self, images, keep, show).run(timesteps, start)


def _new_pass(dynamics: Dynamics, images: Tensor, keep: Sequence[str] = (), show: Show | None = None) -> _Pass:
    kinds, modules = split_keep(keep)
    # All given here: a dataclass's factories of lists break the graph that torch.compile makes.
    sources = dynamics.targets.feedback
    entered = images if dynamics.control is None else dynamics.control.entered(images)
    return _Pass(dynamics, entered, kinds, modules, show, sources, logits=[], magnitudes=[], kept={}, cells={})


def logits_of_each(dynamics: Sequence[Dynamics], images: Tensor, timesteps: int) -> Iterator[Tensor]:
    """Yield the logits (T+1, batch, classes) of dynamics that differ in their hyperparameters alone, one after another.

    What these do not change is computed once: the backbone below the first PCoder, and t = 0.
    """
    begun: _Begun | None = None
    for one in dynamics:
        made = _new_pass(one, images)
        begun = begun or made.begin(one.backbone)
        yield made.go_on(one.backbone, begun, timesteps).logits


def split_keep(keep: Sequence[str]) -> tuple[frozenset[str], tuple[str, ...]]:
    """Return the kinds of values, and the names of modules, in what is to be kept."""
    kinds = frozenset(keep).intersection(get_args(Keep))
    return kinds, tuple(dict.fromkeys(name for name in keep if name not in kinds))


def _started(given: Tensor, drive: Tensor, n: int) -> Tensor:
    if given.shape != drive.shape:
        raise UsageError(f"start[{n}] is {tuple(given.shape)}; e_{n + 1} of these images is {tuple(drive.shape)}")
    return given.to(drive)


Predictions = list[Tensor | None]


class _Begun(NamedTuple):
    """A pass as it stands at t = 0."""

    shared: Values
    """What all timesteps share."""
    logits: Tensor
    state: list[Tensor]
    """e_1 .. e_N, and the other values that are predicted."""


def _nothing() -> None:
    """Take no notice of the end of a timestep."""


@dataclass
class _Pass:
    """One pass over one batch.

    Between timesteps the representations are the whole state, and after them the other values that are predicted.
    """

    dynamics: Dynamics
    images: Tensor
    keep: frozenset[str]
    modules: tuple[str, ...]
    show: Show | None
    feedback: tuple[int | None, ...]
    logits: list[Tensor]
    magnitudes: list[Tensor]
    kept: dict[str, list[Tensor]]
    cells: dict[int, int]

    def run(self, timesteps: int, start: Sequence[Tensor] | None) -> Unrolled:
        if not self.modules:
            return self.go_on(self.dynamics.backbone, self.begin(self.dynamics.backbone, start), timesteps)
        if self.dynamics.recompute:
            raise UsageError("the outputs of modules are not kept with recompute=True; leave it out")
        outputs = ModuleOutputs(self.modules, timesteps, self._show)
        with self.dynamics.backbone.watched(self.modules, outputs.watch) as backbone:
            begun = self.begin(backbone, start, outputs.end_timestep)
            return self.go_on(backbone, begun, timesteps, outputs.end_timestep)

    def begin(
        self, backbone: Backbone, start: Sequence[Tensor] | None = None, ended: Callable[[], None] = _nothing
    ) -> _Begun:
        with fast_input_gradients():
            shared = backbone.prepare(self.images)
        ended()

        def begin(n: int, drive: Tensor) -> Tensor:
            return drive if start is None else _started(start[n], drive, n)

        return _Begun(shared, *self._run_timestep(backbone, shared, begin))

    def go_on(
        self, backbone: Backbone, begun: _Begun, timesteps: int, ended: Callable[[], None] = _nothing
    ) -> Unrolled:
        shared, logits, state = begun
        del begun  # no representation outlives its timestep
        self._note(logits, state)
        ended()
        if channels_last_suits(self.images, state):
            shared, state = all_channels_last(shared), [laid_channels_last(value) for value in state]
            self.images = laid_channels_last(self.images)
        advance = partial(self._advance, backbone, shared)
        for timestep in range(timesteps):
            before = state
            if self.dynamics.recompute and torch.is_grad_enabled():
                logits, state, predictions = checkpoint(advance, *state, use_reentrant=False)
            else:
                logits, state, predictions = advance(*state)
            ended()
            self._note(logits, state)
            self._note_predictions(timestep, predictions, before)
        if self.keep & {"predictions", "errors", "reconstructions"}:
            last = [self._decode(n, state)[0] if self._kept(n) else None for n in range(self._count)]
            self._note_predictions(timesteps, last, state)
        return self._result()

    @property
    def _count(self) -> int:
        return len(self.dynamics.predictors)

    def _run_timestep(self, backbone: Backbone, shared: Values, update: Replace) -> tuple[Tensor, list[Tensor]]:
        """Return the logits and the new state, whose representations are made by `update`."""
        new: dict[int, Tensor] = {}

        def replace(index: int, value: Tensor) -> Tensor:
            new[index] = update(index, value) if index < self._count else value
            return new[index]

        with fast_input_gradients():
            logits = backbone.run_timestep(shared, replace)
        return logits, [new[index] for index in range(len(new))]

    def _advance(self, backbone: Backbone, shared: Values, *state: Tensor) -> tuple[Tensor, list[Tensor], Predictions]:
        predictions, gradients = self._feed_back(state)

        def update(n: int, drive: Tensor) -> Tensor:
            weights, above = self.dynamics.hyperparameters[n], self.feedback[n]
            fed = above is not None and not is_zero(weights.feedback)
            feedback = predictions[above] if above is not None and fed else None
            if fed and self.dynamics.control is not None:
                feedback = self.dynamics.control.fed_back(feedback, state[n], n)
            return updated(drive, state[n], feedback, gradients[n], self._scale(n), weights)

        logits, new = self._run_timestep(backbone, shared, update)
        return logits, new, [prediction if self._kept(n) else None for n, prediction in enumerate(predictions)]

    def _feed_back(self, state: Sequence[Tensor]) -> tuple[Predictions, Predictions]:
        """Return every prediction and every error gradient that something needs, None for the others."""
        predictions: Predictions = []
        gradients: Predictions = []
        for n, weights in enumerate(self.dynamics.hyperparameters):
            corrected = not is_zero(weights.error_weight)
            if not (corrected or self._feeds_back(n) or self._kept(n)):
                predictions.append(None)
                gradients.append(None)
                continue
            prediction, pullback = self._decode(n, state)
            predictions.append(prediction)
            gradients.append(self._gradient(n, prediction, pullback, state) if corrected else None)
        return predictions, gradients

    def _gradient(self, n: int, prediction: Tensor, pullback: Pullback, state: Sequence[Tensor]) -> Tensor:
        """Return J^T (d_n - e_{n-1}), which is K/2 ∇ε_n; with another value than e_{n-1} where that is predicted."""
        target = self._target(n, state)
        self.cells[n] = prediction[0].numel()
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.dynamics.gradient == "exact"):
            return pullback(prediction - target)

    def _target(self, n: int, state: Sequence[Tensor]) -> Tensor:
        number = self.dynamics.targets.of[n]
        return state[number - 1] if number else self.images

    def _scale(self, n: int) -> float:
        """Return what makes s_n ∇ε_n of `_gradient`."""
        cells = self.cells.get(n)
        return 0.0 if cells is None else 2 / cells * error_gradient_scale(cells, self.dynamics.error_windows[n])

    def _decode(self, n: int, state: Sequence[Tensor]) -> Decoded:
        return decode(self.dynamics.predictors[n], state[n], frozen=self.dynamics.frozen)

    def _feeds_back(self, n: int) -> bool:
        weights, control = self.dynamics.hyperparameters, self.dynamics.control
        if control is not None and not control.needs_prediction:
            return False
        return any(above == n and not is_zero(weights[m].feedback) for m, above in enumerate(self.feedback))

    def _kept(self, n: int) -> bool:
        return bool(self.keep & {"predictions", "errors"}) or self._reconstructs(n)

    def _reconstructs(self, n: int) -> bool:
        return "reconstructions" in self.keep and n == self.dynamics.targets.image

    def _show(self, name: str, timestep: int, value: Tensor) -> None:
        if self.show is not None:
            self.show(name, timestep, value)
        elif name.startswith(MODULES):  # the backbone may change it in place afterwards
            self.kept.setdefault(name, []).append(value.clone())
        else:
            self.kept.setdefault(name, []).append(value)

    def _note(self, logits: Tensor, state: Sequence[Tensor]) -> None:
        if "representations" in self.keep:
            for n, representation in enumerate(state[: self._count]):
                self._show(f"representations/{n + 1}", len(self.logits), representation)
        self.logits.append(logits)
        self.magnitudes.append(torch.stack([magnitude(representation) for representation in state[: self._count]]))

    def _note_predictions(self, timestep: int, predictions: Sequence[Tensor | None], state: Sequence[Tensor]) -> None:
        """Note the predictions that are kept: all, or the one of the image."""
        for n, prediction in enumerate(predictions):
            if prediction is None:
                continue
            if "predictions" in self.keep:
                self._show(f"predictions/{n + 1}", timestep, prediction)
            if "errors" in self.keep:
                self._show(f"errors/{n + 1}", timestep, prediction - self._target(n, state))
            if self._reconstructs(n):
                self._show("reconstructions", timestep, prediction)

    def _result(self) -> Unrolled:
        def each(kind: str) -> tuple[tuple[Tensor, ...], ...]:
            numbers = range(1, self._count + 1)
            columns = [self.kept[f"{kind}/{n}"] for n in numbers if f"{kind}/{n}" in self.kept]
            return tuple(zip(*columns, strict=True))

        return Unrolled(
            logits=torch.stack(self.logits),
            magnitudes=torch.stack(self.magnitudes),
            representations=each("representations"),
            predictions=each("predictions"),
            reconstructions=tuple(self.kept.get("reconstructions", ())),
            errors=each("errors"),
            modules={name: tuple(self.kept[MODULES + name]) for name in self.modules if self.show is None},
        )
