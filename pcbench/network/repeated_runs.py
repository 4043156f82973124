"""Where in a backbone a module runs: a PCoder's module has one representation only if it runs once in a pass."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from typing import Any, cast

from torch import nn

Places = list[list[str]]
"""For each module that is watched, the names of the modules in whose forward methods it ran, once for each run."""


@contextmanager
def noted_runs(module: nn.Module, paths: Sequence[str]) -> Generator[Places]:
    """Note where modules run, while the network that holds them does.

    Args:
        module: The network.
        paths: The names of the modules to watch in it.

    Yields:
        Where they ran so far; ``""`` is the network itself.
    """
    places: Places = [[] for _ in paths]
    wanted: dict[int, list[int]] = {}
    for index, path in enumerate(paths):
        wanted.setdefault(id(module.get_submodule(path)), []).append(index)
    names = {id(inner): name for name, inner in cast("Iterable[tuple[str, nn.Module]]", module.named_modules())}
    running: list[str] = []

    def enter(entered: nn.Module, _: Any) -> None:
        for index in wanted.get(id(entered), ()):
            # A trace runs the steps of modules around it without calling them.
            places[index].append(running[-1] if running else names[id(entered)].rpartition(".")[0])
        running.append(names[id(entered)])

    def leave(*_: Any) -> None:
        running.pop()

    handles = [
        hook
        for inner in cast("Iterable[nn.Module]", module.modules())
        for hook in (inner.register_forward_pre_hook(enter), inner.register_forward_hook(leave, always_call=True))
    ]
    try:
        yield places
    finally:
        for handle in handles:
            handle.remove()


def repeated(runs: int, places: Iterable[str]) -> str:
    """Return what a configuration's message says of a module that does not run once, and where it does."""
    if runs == 0:
        return "the module does not run when the backbone does; name one that does"
    told = " and ".join(f"in {place}" if place else "in the backbone's own forward method" for place in places)
    where = f" ({told})" if told else ""
    return (
        f"the module runs {runs} times in one pass{where}, so it has no single representation; name one that runs once"
    )
