"""The values inside a model at every timestep, handed on as they are computed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

import torch
from torch import Tensor

from pcbench.errors import UnknownNameError, UsageError
from pcbench.models.model import Model
from pcbench.models.timestep_model import FeedforwardModel
from pcbench.network.backbone import all_modules
from pcbench.network.unrolling import Keep
from pcbench.network.watching import ModuleOutputs, Show, watched_runs

PCODER_VALUES = tuple(kind for kind in get_args(Keep) if kind != "reconstructions")
"""What each PCoder has: representations, predictions, errors."""


def show_values(model: Model, images: Tensor, timesteps: int, keep: Sequence[str], show: Show) -> Tensor:
    """Run all timesteps, and hand on values inside the model.

    Args:
        model: A predictive network has values of its PCoders and of its backbone's modules; a feedforward one has the
            outputs of its modules at t = 0; others have logits alone.
        images: (batch, channels, height, width) in [0,1].
        timesteps: T.
        keep: Kinds of `PCODER_VALUES`, and names of modules.
        show: Called with a value's name (``representations/1``, ``modules/layer2``), its timestep, and the value.

    Returns:
        The logits, (T+1, batch, classes).

    Raises:
        UnknownNameError: There is no such module.
        UsageError: The model has no such values.
    """
    if model.network is not None:
        model.check_size(images.shape[1:])
        network = model.predictive_network("extracting inner values")
        return network.show_input(network.normalise(images), timesteps, keep, show)
    with torch.no_grad():
        if not keep:
            return model.answer(images, timesteps)
        kinds = [name for name in keep if name in PCODER_VALUES]
        if kinds:
            raise UsageError(
                f"{model.name} has no {kinds[0]}: it is not a predictive network; keep its modules, or logits"
            )
        inner = model.timestep_model
        if not isinstance(inner, FeedforwardModel):
            raise UsageError(
                f"{model.name} runs its own timesteps, so its modules have no single output at each; keep logits alone"
            )
        outputs = ModuleOutputs(keep, 0, show)
        with watched_runs(inner.module, keep, outputs.watch):
            outputs.end_timestep()
            logits = model.answer(images, timesteps)
            outputs.end_timestep()
        return logits


def pcoder_modules(model: Model) -> tuple[str, ...]:
    """Return the names of the modules that a model's PCoders sit on; none where it has no PCoders."""
    network = model.network
    return () if network is None else network.backbone.paths[: len(network.predictors)]


def module_named(model: Model, name: str) -> str:
    """Return the name of a module as PyTorch spells it, of one that may be spelled with brackets: ``layer1[0].conv``.

    Raises:
        UnknownNameError: There is no such module.
    """
    network, inner = model.network, model.timestep_model
    root = network.backbone.module if network is not None else getattr(inner, "module", inner)
    plain = name.replace("[", ".").replace("]", "").removeprefix(".")
    known = [path for path in all_modules(root) if path]
    for spelled in (name, plain):
        if spelled in known:
            return spelled
    raise UnknownNameError("keep", name, [*PCODER_VALUES, "logits", *known])
