"""A configuration to start from: one PCoder for each resolution that a backbone passes through."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from pcbench.errors import ConfigurationError
from pcbench.network.backbone import all_modules

_PASSING = ("torch.nn.modules.pooling", "torch.nn.modules.dropout", "torch.nn.modules.flatten")
"""Where the layers are defined that make nothing new of what they are given."""


def proposed_configuration(name: str, backbone: nn.Module, images: Tensor, *, tried: bool = False) -> str:
    """Return the text of a configuration to start from; Predify's format.

    A PCoder sits on the last module before each change of resolution, as those of the zoo's networks do. Their
    predictors are left out, so that they are Predify's (see `inferred_predictor`), and β, λ and α are its defaults.

    Args:
        name: The backbone as the user names it.
        backbone: The network itself; it is run once.
        images: Some that it takes, (batch, channels, height, width).
        tried: Whether nothing states their size, and it is the first of some that the backbone takes.

    Raises:
        ConfigurationError: None of its modules gives images.
    """
    paths = _last_of_each_resolution(backbone, images)
    if not paths:
        raise ConfigurationError(
            f"{name}: none of its modules gives images (channels, height, width), so no PCoder can be proposed; name "
            "modules and predictors yourself (docs/explanation/network.md)"
        )
    what = "the first of some sizes that it takes; put that of your images" if tried else "as it states"
    lines = [
        "# A configuration to start from: a PCoder on the last module before each change of resolution. Where no",
        "# predictor is written, it is bilinear upsampling and a 3x3 ConvTranspose2d. feedforward is β, feedback λ,",
        "# pc α; `pcbench tune` chooses them. All keys: docs/explanation/network.md",
        f"backbone = {json.dumps(name, ensure_ascii=False)}",
        f"input_size = {list(images.shape[1:])}  # channels, height and width: {what}",
        "gradient_scaling = true",
    ]
    for path in paths:
        lines += ["", "[[pcoders]]", f'module = "{path}"']
        lines += ["hyperparameters = {feedforward = 0.3, feedback = 0.3, pc = 0.01}"]
    # Nothing is above the last PCoder.
    lines[-1] = lines[-1].replace("feedback = 0.3", "feedback = 0.0")
    return "\n".join(lines) + "\n"


def _last_of_each_resolution(backbone: nn.Module, images: Tensor) -> list[str]:
    """Return the paths of modules, in forward order."""
    outputs: list[tuple[str, Tensor]] = []
    with _watched(backbone, outputs), torch.no_grad():
        backbone.eval()(images)
    times = [path for path, _ in outputs]
    modules = all_modules(backbone)
    makers: dict[int, str] = {}
    for path, value in outputs:
        makers.setdefault(id(value), path)  # a block gives the very tensor that its last layer gave
    last: dict[tuple[int, ...], str] = {}
    for path, value in outputs:
        new = not any(_only_passes(modules[one]) for one in (path, makers[id(value)]))
        # One that runs twice can hold no PCoder; a cell alone is a vector, such as those of squeeze and excitation.
        if new and value.dim() == 4 and max(value.shape[2:]) > 1 and times.count(path) == 1:
            last.pop(tuple(value.shape[2:]), None)
            last[tuple(value.shape[2:])] = path
    return list(last.values())


def _only_passes(module: nn.Module) -> bool:
    return isinstance(module, nn.Identity) or type(module).__module__ in _PASSING


@contextmanager
def _watched(backbone: nn.Module, outputs: list[tuple[str, Tensor]]) -> Generator[None]:
    """Note what each module but the whole gives, when it is done, while this lasts."""

    def noted(path: str) -> Callable[[nn.Module, Any, Any], None]:
        def note(_module: nn.Module, _inputs: Any, output: Any) -> None:
            if isinstance(output, Tensor):
                outputs.append((path, output))

        return note

    hooks = [module.register_forward_hook(noted(path)) for path, module in all_modules(backbone).items() if path]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
