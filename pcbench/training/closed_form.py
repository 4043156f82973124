"""Predictors by ridge regression: solved, not descended to, from as many images as it takes.

The images come in a random order. Whenever their number has doubled, each predictor is solved for with several
strengths, and the one with the best R² on the held-out images counts; a predictor whose R² no longer grows takes no
more images.

Source: Own, in place of the descent of Choksi et al., NeurIPS 2021, arXiv 2106.02749; the objective is theirs.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor
from torch.func import functional_call

from pcbench.errors import DataError
from pcbench.network.network import PredictiveNetwork
from pcbench.training.conjugate_gradients import Steps
from pcbench.training.linear_parts import LinearParts, taken_apart
from pcbench.training.loop import Reporter
from pcbench.training.normal_equations import NormalEquations, is_small
from pcbench.training.reconstructing import Images, Spread, constant_target, pcoder_name

STRENGTHS = (1e-8, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
"""Tried in the ridge regression, in units of the patches' mean square."""
FIRST_IMAGES = 32
"""Images after which predictors are solved for the first time."""
SETTLED = 0.001
"""A predictor whose R² grew by less than this when its images were doubled takes no more of them."""
_CHOSEN_ON, _CHOSEN_ON_LARGE = 500, 100
"""Held-out images that decide strengths at most, and those of more than 64 px."""
_LARGE = 64
_MEASURED = 5
"""Steps of conjugate gradients between two measurements."""
_PASSES = 60
"""Steps of conjugate gradients at most; each goes through the images once."""
_LARGE_IMAGES = 1024
"""Images that conjugate gradients go through at most."""

logger = logging.getLogger("pcbench")


@dataclass
class Solved:
    """How one predictor was solved."""

    method: str
    """``"ridge"``, ``"conjugate gradients"``, or ``"none"`` where its form has no closed solution."""
    images: int = 0
    """How many images it was fitted on."""
    strength: float | None = None
    """Of the ridge regression, in units of the patches' mean square."""
    steps: int | None = None
    """Of conjugate gradients."""
    epochs: int = 0
    """Passes of Adam after it, where they made R² higher."""
    course: list[tuple[int, float]] = field(default_factory=list[tuple[int, float]])
    """R² on held-out images after so many images, or steps."""

    @property
    def told(self) -> str:
        """How, in words."""
        way = "steps alone"
        if self.strength is not None:
            way = f"ridge regression of strength {self.strength:g} on {self.images:,} images"
        elif self.steps is not None:
            way = f"{self.steps} steps of conjugate gradients on {self.images:,} images"
        return f"{way}, then {self.epochs} epochs of Adam" if self.epochs else way


@dataclass
class _Ridge:
    """One predictor whose normal equations are written down."""

    index: int
    parts: LinearParts
    equations: NormalEquations
    solved: Solved
    settled: bool = False
    shape: tuple[int, ...] | None = None
    """Of the layer's output for one image."""
    candidates: list[tuple[float, dict[str, Tensor], Spread]] = field(
        default_factory=list[tuple[float, dict[str, Tensor], Spread]]
    )
    """Strengths, the weights that they give, and how well these predict."""

    def add(self, values: Sequence[Tensor], targets: Sequence[Tensor]) -> None:
        features = self.parts.features(values[self.index])
        if self.shape is None:
            self.shape = tuple(self.parts.layer(features[:1]).shape[1:])
        self.equations.add(features, targets[self.index].reshape(len(features), *self.shape))

    def solve(self) -> None:
        """Solve with each strength."""
        like = self.parts.layer.weight
        self.candidates = []
        for strength in STRENGTHS:
            try:
                weight, bias = self.equations.solve(strength)
            except np.linalg.LinAlgError:
                continue
            weights = {"weight": weight.to(like)} | ({} if bias is None else {"bias": bias.to(like)})
            self.candidates.append((strength, weights, Spread()))

    def measure(self, values: Sequence[Tensor], targets: Sequence[Tensor]) -> None:
        """Add some held-out images to what each strength reaches."""
        features = self.parts.features(values[self.index])
        for _, weights, spread in self.candidates:
            output: Tensor = functional_call(self.parts.layer, weights, (features,))
            spread.add(self.parts.prediction(output), targets[self.index])

    def choose(self, images: int) -> None:
        """Keep what is best on the held-out images."""
        reached = [(spread.r_squared(), strength) for strength, _, spread in self.candidates]
        best, strength = max(reached)
        self.parts.layer.load_state_dict(next(weights for one, weights, _ in self.candidates if one == strength))
        before = self.solved.course[-1][1] if self.solved.course else float("-inf")
        self.settled = best - before < SETTLED
        self.solved.images, self.solved.strength = images, strength
        self.solved.course.append((images, best))
        self.candidates = []


def solve_predictors(
    network: PredictiveNetwork, fit: Images, held: Images, report: Reporter | None = None
) -> list[Solved]:
    """Solve each predictor, as far as it is linear, for the least squared error with a ridge.

    A predictor that is not linear to its end gets the best linear start: its last learned layer is solved for, what
    follows (a ReLU, say) is left out of account, and what comes before stays as it is.

    Args:
        network: Its predictors are changed in place.
        fit: The images to fit on, in this order.
        held: The images that decide strengths and when to stop.
        report: Called with (images done, all, R² by name).

    Returns:
        How each was solved.

    Raises:
        DataError: What a PCoder sees, or is to predict, is the same on all images.
        DivergenceError: A representation is not finite.
    """
    network.eval()
    fit, held = (replace(one, settings=one.settings.changed(batch_size=FIRST_IMAGES)) for one in (fit, held))
    solved: list[Solved] = []
    ridges: list[_Ridge] = []
    large: list[tuple[int, LinearParts]] = []
    for index, predictor in enumerate(network.predictors):
        parts = taken_apart(predictor)
        if parts is None:
            solved.append(Solved("none"))
        elif parts.keeps_cells and is_small(parts.layer):
            solved.append(Solved("ridge"))
            ridges.append(_Ridge(index, parts, NormalEquations(parts.layer), solved[-1]))
        else:
            solved.append(Solved("conjugate gradients"))
            large.append((index, parts))
    with torch.no_grad():
        if ridges:
            _solve_ridges(network, ridges, fit, held, report)
        if large:
            _solve_large(network, large, solved, fit, held, report)
    return solved


def _solve_ridges(
    network: PredictiveNetwork, ridges: list[_Ridge], fit: Images, held: Images, report: Reporter | None
) -> None:
    total, size = len(fit.source), fit.settings.batch_size
    due = FIRST_IMAGES
    for number, (values, targets) in enumerate(fit.batches(network), 1):
        open_ones = [one for one in ridges if not one.settled]
        for one in open_ones:
            one.add(values, targets)
        done = min(number * size, total)
        if done >= due or done == total:
            due = max(2 * done, due)
            _solve_all(network, open_ones, done, held)
            logger.info("%s images: R² %s", f"{done:,}", _told([one.solved.course[-1][1] for one in ridges]))
        if report is not None:
            report(number, -(-total // size), _reached((one.index, one.solved) for one in ridges))
        if all(one.settled for one in ridges):
            break


def _solve_all(network: PredictiveNetwork, ridges: Sequence[_Ridge], images: int, held: Images) -> None:
    for one in ridges:
        _refuse_dead(network, one)
        one.solve()
    for values, targets in held.batches(network, 0, _few(network, held)):
        for one in ridges:
            one.measure(values, targets)
    for one in ridges:
        if any(math.isnan(spread.r_squared()) for _, _, spread in one.candidates):
            raise constant_target(network, one.index)
        one.choose(images)


def _few(network: PredictiveNetwork, held: Images) -> int:
    """Return how many batches of held-out images decide."""
    large = max(network.configuration.table.input_size[1:]) > _LARGE
    return -(-min(_CHOSEN_ON_LARGE if large else _CHOSEN_ON, len(held.source)) // held.settings.batch_size)


def _refuse_dead(network: PredictiveNetwork, one: _Ridge) -> None:
    """Name the channels that are 0 on all images; refuse a representation of which nothing else is left."""
    dead, channels = one.equations.dead_channels()
    if dead == channels:
        raise DataError(
            f"{pcoder_name(network, one.index)}: all {channels} channels that its predictor sees are 0 on all images, "
            "so that nothing can be predicted from them; look at the backbone's weights"
        )
    if dead and not one.solved.course:
        logger.warning(
            "%s: %d of the %d channels that its predictor sees are 0 on all images; their weights are 0",
            pcoder_name(network, one.index), dead, channels,
        )  # fmt: skip


def _reached(ones: Iterable[tuple[int, Solved]]) -> dict[str, float]:
    return {f"R² pcoder{index + 1}": one.course[-1][1] for index, one in ones if one.course}


def _told(values: Sequence[float]) -> str:
    return ", ".join(f"{value:.3f}" for value in values)


def _solve_large(
    network: PredictiveNetwork,
    large: Sequence[tuple[int, LinearParts]],
    solved: Sequence[Solved],
    fit: Images,
    held: Images,
    report: Reporter | None,
) -> None:
    steps = {index: Steps(parts) for index, parts in large}
    passes = -(-min(len(fit.source), _LARGE_IMAGES) // fit.settings.batch_size)
    for number in range(_PASSES + 1):
        for values, targets in fit.batches(network, 0, passes):
            for index, parts in large:
                if index in steps:
                    steps[index].add(parts.features(values[index]), targets[index])
        for one in steps.values():
            one.step()
        if number and number % _MEASURED == 0:
            _measure_large(network, dict(large), steps, solved, held, number)
        if report is not None:
            report(number, _PASSES, _reached((index, solved[index]) for index, _ in large))
        if not steps:
            break
    for index, _ in large:
        solved[index].images = min(len(fit.source), passes * fit.settings.batch_size)


def _measure_large(
    network: PredictiveNetwork,
    large: dict[int, LinearParts],
    steps: dict[int, Steps],
    solved: Sequence[Solved],
    held: Images,
    number: int,
) -> None:
    """Measure what the steps have reached; end those of the predictors that reach no more, and keep their best."""
    spreads = {index: Spread() for index in steps}
    for values, targets in held.batches(network, 0, _few(network, held)):
        for index, one in steps.items():
            spreads[index].add(one.output(large[index].features(values[index])), targets[index])
    for index, spread in spreads.items():
        reached = spread.r_squared()
        if math.isnan(reached):
            raise constant_target(network, index)
        before = solved[index].course[-1][1] if solved[index].course else float("-inf")
        if reached > before:
            large[index].layer.load_state_dict(steps[index].solution)
            solved[index].steps = number
        solved[index].course.append((number, max(reached, before)))
        if reached - before < SETTLED:
            del steps[index]
    logger.info("%d steps: R² %s", number, _told([solved[index].course[-1][1] for index in large]))
