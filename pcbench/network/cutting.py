"""Where a backbone is cut: at the PCoders' modules, and where else a value is that a PCoder predicts."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx.proxy import TraceError

from pcbench.errors import ConfigurationError, PcbenchError, named
from pcbench.network.backbone import Backbone, RepeatedModuleError, all_modules
from pcbench.network.configuration import NetworkConfiguration
from pcbench.network.function_probe import KEEPS_STATE, RANDOM, check_function, smaller
from pcbench.network.gradient_probe import same_gradient
from pcbench.network.hooked import HookedBackbone
from pcbench.network.outputs import Output
from pcbench.network.own_modules import private_copy
from pcbench.network.predictors import Shape
from pcbench.network.repeated_runs import Places, noted_runs, repeated
from pcbench.network.seeding import seeded
from pcbench.network.targets import Spot, Targets, read_targets, too_late
from pcbench.network.traced import TracedBackbone

logger = logging.getLogger("pcbench")


@dataclass(frozen=True)
class Cut:
    """A backbone that is cut, and what its values are like."""

    backbone: Backbone
    shapes: tuple[Shape, ...]
    """Of one image: those of e_0, e_1 .. e_N, and of the values at the backbone's spots."""
    targets: Targets
    """What each PCoder predicts."""

    def shape(self, pcoder: int) -> Shape:
        """Return the shape of a PCoder's representation, counted from 0."""
        return self.shapes[pcoder + 1]

    def predicted_shape(self, pcoder: int) -> Shape:
        """Return the shape of what a PCoder predicts."""
        return self.shapes[self.targets.of[pcoder]]


def cut_network(backbone: nn.Module, configuration: NetworkConfiguration, *, stochastic: bool) -> Cut:
    """Cut a backbone as a configuration asks, and learn the shapes of its values from one probe image.

    Args:
        backbone: It is copied and left as it is.
        configuration: Its PCoders' modules are in the backbone.
        stochastic: Whether the backbone may draw random numbers.

    Raises:
        ConfigurationError: They do not fit; the message names the PCoder and the fix.
    """
    wanted = _Wanted.of(backbone, configuration)
    shape = configuration.table.input_size
    first = next(backbone.parameters(), torch.empty(0))
    with torch.inference_mode(mode=False), torch.no_grad():
        try:
            probe = _probe(shape, first)
            made, drives, logits, expected = _observed(backbone, wanted, probe.clone())
            images = smaller(made.whole, _two(probe))
            if not _same(logits, expected) or _loses_gradient(made, images):
                # Its code depends on the order of its steps, or says itself what its gradient is; hooks keep both.
                made = HookedBackbone(backbone, *wanted.arguments)
                drives, logits = _drawn_alike(made.observe)(probe.clone())
            _check_outputs(wanted, drives, logits, expected)
            targets = wanted.targets(made, probe)
        except RepeatedModuleError as error:
            # A trace names no module around it.
            ran = _places(backbone, wanted.watched, _probe(shape, first))[error.index]
            places = ran if len(ran) == error.runs else error.places
            raise wanted.problem(error.index, repeated(error.runs, places)) from None
        except PcbenchError:
            raise
        except Exception as error:
            raise ConfigurationError(
                f"{configuration.source}: the backbone cannot run on {shape}: {named(error)}"
            ) from error
        found = check_function(type(made.module).__name__, made.whole, images)
        if found == "state" or (found == "random" and not stochastic):
            why = RANDOM if found == "random" else KEEPS_STATE
            raise ConfigurationError(f"{configuration.source}: the backbone {why}")
    return Cut(made, (shape, *(tuple(drives[index].shape[1:]) for index in sorted(drives))), targets)


@dataclass(frozen=True)
class _Wanted:
    """What a configuration asks of a backbone."""

    configuration: NetworkConfiguration
    predicted: tuple[int | Spot, ...]
    """For each PCoder, what it predicts; see `read_targets`."""

    @classmethod
    def of(cls, backbone: nn.Module, configuration: NetworkConfiguration) -> _Wanted:
        return cls(configuration, tuple(read_targets(configuration, all_modules(backbone))))

    @property
    def paths(self) -> list[str]:
        return [pcoder.path for pcoder in self.configuration.table.pcoders]

    @property
    def spots(self) -> list[Spot]:
        return list(dict.fromkeys(one for one in self.predicted if isinstance(one, Spot)))

    @property
    def watched(self) -> list[str]:
        return [*self.paths, *(spot.path for spot in self.spots)]

    @property
    def arguments(self) -> tuple[list[str], Output, list[Spot]]:
        return self.paths, self.configuration.table.output, self.spots

    def problem(self, index: int, problem: str) -> ConfigurationError:
        """Return the error that names the PCoder which asks for a module, and its problem."""
        if index < len(self.paths):
            return self.configuration.problem(index, problem)
        pcoder = self.predicted.index(self.spots[index - len(self.paths)])
        predicts = self.configuration.table.pcoders[pcoder].predicts
        return self.configuration.problem(pcoder, f"predicts = {predicts!r}: {problem}")

    def targets(self, made: Backbone, probe: Tensor) -> Targets:
        """Return what each PCoder predicts; a spot where a representation comes through unchanged is that one."""
        if not self.spots:
            return Targets(tuple(one for one in self.predicted if isinstance(one, int)))
        numbers: dict[Spot, int] = dict(zip(self.spots, _numbers(made, probe, len(self.paths)), strict=True))
        return Targets(tuple(one if isinstance(one, int) else numbers[one] for one in self.predicted))


def _numbers(made: Backbone, probe: Tensor, count: int) -> list[int]:
    """Return the number among a pass's values of the value at each spot.

    It is told by noise in place of the representations: only what hands a representation on leaves all of it.
    """
    drawn = torch.Generator().manual_seed(0)
    values = [probe]
    numbers: dict[int, int] = {}

    def replace(index: int, value: Tensor) -> Tensor:
        if index < count:
            noise = torch.randn(value.shape, generator=drawn).to(value)
            values.append(noise.clone())
            return noise
        same = (number for number, known in enumerate(values) if torch.equal(known, value))
        numbers[index] = next(same, index + 1)
        return value

    with seeded(0, probe.device):
        made.run_timestep(made.prepare(probe.clone()), replace)
    return [numbers[index] for index in sorted(numbers)]


def _observed(backbone: nn.Module, wanted: _Wanted, probe: Tensor) -> tuple[Backbone, dict[int, Any], Any, Any]:
    """Return the cut backbone, its drives and logits, and the logits of the backbone as it is.

    Raises:
        RepeatedModuleError: A module does not run exactly once.
    """
    made = cut_backbone(backbone, *wanted.arguments)
    # A backbone that draws random numbers draws the same ones.
    expected = _drawn_alike(made.whole)(probe.clone())
    with noted_runs(made.module, wanted.watched) as places:
        drives, logits = _drawn_alike(made.observe)(probe)
    _refuse_repeated(places)
    return made, drives, logits, expected


def cut_backbone(
    module: nn.Module, paths: Sequence[str], output: Output = None, spots: Sequence[Spot] = ()
) -> Backbone:
    """Trace a backbone, or fall back to hooks where it cannot be traced.

    Raises:
        RepeatedModuleError: In the trace, a PCoder's module, or one whose value is predicted, runs more than once.
        ConfigurationError: The backbone takes more than images, or its logits depend on no PCoder.
    """
    try:
        return TracedBackbone(module, paths, output, spots)
    except RepeatedModuleError as error:
        if error.runs:
            raise
        return HookedBackbone(module, paths, output, spots)  # it may run inside a module that a trace leaves whole
    except (TraceError, TypeError, ValueError, RuntimeError, AttributeError, AssertionError, IndexError, KeyError):
        # Whatever the backbone's own code does with a traced value that only a tensor can do.
        return HookedBackbone(module, paths, output, spots)


def _probe(shape: Sequence[int], like: Tensor) -> Tensor:
    """Return one image of a shape (channels, height, width): any fixed pattern that is not constant is suitable."""
    pattern = torch.linspace(-1, 1, math.prod(shape), dtype=like.dtype, device=like.device)
    return pattern.sin_().reshape(1, *shape)


def _drawn_alike(asked: Callable[[Tensor], Any]) -> Callable[[Tensor], Any]:
    """Return what asks with the same random numbers each time."""

    def ask(images: Tensor) -> Any:
        with seeded(0, images.device):
            return asked(images)

    return ask


def _loses_gradient(cut: Backbone, images: Tensor) -> bool:
    """Return whether tracing has changed the gradient, and say so in one line."""
    # The second image is for where the gradient at the first one vanishes anyway.
    if not isinstance(cut, TracedBackbone) or same_gradient(
        _drawn_alike(cut.whole), _drawn_alike(cut), list(images[:, None])
    ):
        return False
    logger.warning(
        "%s says itself what its gradient is (an autograd.Function, no_grad, detach or a gradient hook), which a trace "
        "would lose: it runs whole at every timestep",
        type(cut.module).__name__,
    )
    return True


def _two(probe: Tensor) -> Tensor:
    """Return the probe image and one of noise."""
    return torch.cat([probe, torch.randn(probe.shape, generator=torch.Generator().manual_seed(0)).to(probe)])


def _same(logits: Any, expected: Any) -> bool:
    if not (isinstance(logits, Tensor) and isinstance(expected, Tensor)):
        return True
    return torch.equal(logits.nan_to_num(), expected.nan_to_num())


def _refuse_repeated(places: Places) -> None:
    """Refuse a module that runs again where a trace does not look: inside a module that it leaves whole.

    Raises:
        RepeatedModuleError: There is one.
    """
    for index, found in enumerate(places):
        if len(found) > 1:
            raise RepeatedModuleError(index, len(found), tuple(found))


def _places(backbone: nn.Module, paths: Sequence[str], probe: Tensor) -> Places:
    copied = private_copy(backbone)
    with noted_runs(copied, paths) as places:
        copied(probe.clone())
    return places


def _check_outputs(wanted: _Wanted, drives: dict[int, Any], logits: Any, expected: Any) -> None:
    count, source = len(wanted.paths), wanted.configuration.source
    for index, drive in drives.items():
        what = "the module" if index < count else "that"
        if not isinstance(drive, Tensor) or drive.dim() < 2:
            raise wanted.problem(index, f"{what} does not give a tensor (batch, …); name one that does")
        if len(drive) != 1:
            raise wanted.problem(index, f"{what} gives {len(drive)} rows for one image; name one that gives one")
    order = [index for index in drives if index < count]
    if order != sorted(order):
        modules = ", ".join(wanted.configuration.table.pcoders[index].module for index in order)
        raise ConfigurationError(f"{source}: PCoders are listed in forward order; here: {modules}")
    _refuse_late(wanted, list(drives))
    if not isinstance(logits, Tensor) or logits.dim() != 2:
        raise ConfigurationError(
            f"{source}: the backbone does not give logits (batch, classes); where it gives several, "
            "output = … names the output that counts"
        )
    if not _same(logits, expected):
        raise ConfigurationError(f"{source}: the backbone {KEEPS_STATE}")


def _refuse_late(wanted: _Wanted, order: list[int]) -> None:
    """Refuse a PCoder that predicts a value which is not there yet when its module gives its drive."""
    for index, pcoder in enumerate(wanted.configuration.table.pcoders):
        spot = wanted.predicted[index]
        if not isinstance(spot, Spot):
            continue
        number = len(wanted.paths) + wanted.spots.index(spot)
        if order.index(number) > order.index(index):
            raise wanted.configuration.problem(index, too_late(str(pcoder.predicts)))
