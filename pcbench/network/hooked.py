"""A backbone that runs whole at every timestep, for code that cannot be traced."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import Any

from torch import Tensor, nn

from pcbench.network.backbone import Backbone, RepeatedModuleError, Replace, Values
from pcbench.network.outputs import Output
from pcbench.network.targets import Spot

_REPLACE: ContextVar[Replace | None] = ContextVar("replace", default=None)


class HookedBackbone(Backbone):
    """A backbone that runs whole at every timestep, its PCoders' outputs replaced by forward hooks.

    What replaces them is held in a context variable, so threads don't see each other's.
    """

    def __init__(
        self, module: nn.Module, paths: Sequence[str], output: Output = None, spots: Sequence[Spot] = ()
    ) -> None:
        super().__init__(module, paths, output, spots)
        for index, path in enumerate(paths):
            self.module.get_submodule(path).register_forward_hook(_hook(index))
        for index, spot in enumerate(spots, len(paths)):
            watched = self.module.get_submodule(spot.path)
            if spot.entering:
                watched.register_forward_pre_hook(_hook_before(index), with_kwargs=True)
            else:
                watched.register_forward_hook(_hook(index))

    def prepare(self, images: Tensor) -> Values:
        """Return the images: nothing is shared but them."""
        return {"images": images}

    def run_timestep(self, shared: Values, replace: Replace) -> Tensor:
        """Run the whole backbone."""

        def counted(index: int, drive: Tensor) -> Tensor:
            runs[index] += 1
            return self._replaced(index, drive, replace)

        runs = [0] * (len(self.paths) + len(self.spots))
        token = _REPLACE.set(counted)
        try:
            logits = self.whole(self._handed_on("images", shared["images"]))
        finally:
            _REPLACE.reset(token)
        for index, count in enumerate(runs):
            if count != 1:
                raise RepeatedModuleError(index, count)
        return logits


def _hook(index: int) -> Callable[[nn.Module, Any, Tensor], Tensor | None]:
    def hook(_module: nn.Module, _inputs: Any, output: Tensor) -> Tensor | None:
        replace = _REPLACE.get()
        return None if replace is None else replace(index, output)

    return hook


def _hook_before(index: int) -> Callable[[nn.Module, Any, Any], tuple[Any, Any] | None]:
    def hook(_module: nn.Module, arguments: tuple[Any, ...], options: dict[str, Any]) -> tuple[Any, Any] | None:
        replace = _REPLACE.get()
        if replace is None:
            return None
        if arguments:
            return (replace(index, arguments[0]), *arguments[1:]), options
        name = next(iter(options))
        return arguments, {**options, name: replace(index, options[name])}

    return hook
