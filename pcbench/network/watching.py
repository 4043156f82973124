"""Seeing the outputs of a backbone's modules while it runs, without changing what it computes."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any, cast

from torch import Tensor, nn

from pcbench.errors import UnknownNameError, UsageError

Watch = Callable[[str, Any], None]
"""Called with a module's name and its output."""

Show = Callable[[str, int, Tensor], None]
"""Called with the name of a value, such as ``representations/1`` or ``modules/layer2``, its timestep, and the value."""

MODULES = "modules/"
"""What the names of the outputs of modules begin with."""

_WATCH: ContextVar[Watch | None] = ContextVar("watch", default=None)


def show_value(name: str, value: Any) -> None:
    """Show the output of a module to who watches; a step of a traced backbone."""
    watch = _WATCH.get()
    if watch is not None:
        watch(name, value)


@contextmanager
def watched_runs(module: nn.Module, names: Sequence[str], watch: Watch) -> Generator[dict[int, list[str]]]:
    """Let a function watch the outputs of modules, in this thread alone.

    Args:
        module: The backbone.
        names: Names of modules in it.
        watch: The function.

    Yields:
        By the id of a module, its names. Those that are left in it when the first pass begins are shown by hooks.

    Raises:
        UnknownNameError: There is no such module.
    """
    named = cast("Iterable[tuple[str, nn.Module]]", module.named_modules(remove_duplicate=False))
    modules = {name: inner for name, inner in named if name}
    shown: dict[int, list[str]] = {}
    for name in dict.fromkeys(names):
        if name not in modules:
            raise UnknownNameError("module", name, modules)
        shown.setdefault(id(modules[name]), []).append(name)
    # Whether a hook is needed is known once the backbone was cut, so each looks when it is called.
    hooks = [
        # As the class has it: our own copies refuse hooks of users on some modules.
        nn.Module.register_forward_hook(modules[own[0]], partial(_show_output, shown))
        for own in list(shown.values())
    ]
    token = _WATCH.set(watch)
    try:
        yield shown
    finally:
        _WATCH.reset(token)
        for hook in hooks:
            hook.remove()


def _show_output(shown: dict[int, list[str]], module: nn.Module, _inputs: Any, output: Any) -> None:
    for name in shown.get(id(module), ()):
        show_value(name, output)


class ModuleOutputs:
    """Hands on the output of each watched module at every timestep, once each.

    Args:
        names: The modules.
        timesteps: T. What is computed before the timesteps, because no PCoder can change it, is that of each.
        show: Receives them.
    """

    def __init__(self, names: Sequence[str], timesteps: int, show: Show) -> None:
        self._names, self._timesteps, self._show = names, timesteps, show
        self._now: int | None = None
        self._shared: set[str] = set()
        self._seen: set[str] = set()

    def watch(self, name: str, value: Any) -> None:
        """Take an output.

        Raises:
            UsageError: It is not one tensor, or the module ran before.
        """
        if not isinstance(value, Tensor):
            what = f"the module {name} gives a {type(value).__name__}, not one tensor"
            raise UsageError(f"{what}; name a module inside or around it")
        if name in self._seen:
            raise UsageError(
                f"the module {name} runs more than once in one pass, so it has no single output at a timestep; name a "
                "module around it, or another one"
            )
        self._seen.add(name)
        for timestep in range(self._timesteps + 1) if self._now is None else (self._now,):
            self._show(MODULES + name, timestep, value)

    def end_timestep(self) -> None:
        """Note that what comes before the timesteps, or one of them, is over.

        Raises:
            UsageError: A module did not run in it.
        """
        if self._now is None:
            self._shared, self._now = self._seen, 0
        else:
            missing = [name for name in self._names if name not in self._seen]
            if missing:
                raise UsageError(f"the module {missing[0]} does not run when the backbone does; name one that does")
            self._now += 1
        self._seen = set(self._shared)
