"""Tracing the forward method of a backbone, and of the modules around its PCoders' modules."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from torch import fx, nn

from pcbench.network.outputs import Output, picked
from pcbench.network.watching import show_value


class BackboneTracer(fx.Tracer):
    """Traces into the modules around PCoders' modules, and adds a step behind each module whose output is shown.

    Args:
        paths: The names of the PCoders' modules.
        shown: By the id of a module, the names under which its output is shown; those that were called are taken out.
    """

    def __init__(self, paths: Sequence[str], shown: dict[int, list[str]]) -> None:
        super().__init__()
        self._around = {path[:end] for path in paths for end, letter in enumerate(path) if letter == "."}
        self._shown, self._called = shown, dict[int, list[str]]()

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Return whether a module stays one step."""
        del m
        return module_qualified_name not in self._around

    def call_module(
        self, m: nn.Module, forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """Trace the call of a module."""
        if id(m) in self._shown:
            self._called[id(m)] = self._shown.pop(id(m))
        output = super().call_module(m, forward, args, kwargs)
        for name in self._called.get(id(m), ()):
            self.create_proxy("call_function", show_value, (name, output), {})
        return output


def pick_traced(graph: fx.Graph, output: Output) -> bool:
    """Let a trace end with one output, and leave out what that does not need; return False where it cannot be told.

    Whether a step that was left out had changed a value in place is seen by the logits, which are compared.
    """
    (end,) = (node for node in graph.nodes if node.op == "output")
    if output is None or isinstance(end.args[0], fx.Node):
        return False
    end.args = (picked(end.args[0], output),)
    for node in reversed(list(graph.nodes)):
        if not node.users and node.op not in ("output", "placeholder") and node.target is not show_value:
            graph.erase_node(node)
    return True


# Steps of a trace are partial functions, not closures: a copy of the backbone must have copies of what they hold.
def attribute_of(module: nn.Module, target: str) -> Callable[..., Any]:
    """Return what looks up a parameter or buffer that a forward method reads: moving a module replaces it."""
    path, _, name = target.rpartition(".")
    return partial(getattr, module.get_submodule(path), name)


def call_method(name: str, value: Any, *arguments: Any, **options: Any) -> Any:
    """Call the method of this name."""
    return getattr(value, name)(*arguments, **options)
