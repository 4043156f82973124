"""A backbone that is traced once, so that a timestep runs only what depends on a PCoder."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

from torch import Tensor, fx, nn
from torch.fx.node import map_arg

from pcbench.errors import ConfigurationError, UsageError
from pcbench.network.backbone import HOOKS, Backbone, RepeatedModuleError, Replace, Values, all_modules
from pcbench.network.outputs import Output, picked_logits
from pcbench.network.targets import Spot
from pcbench.network.tracing import BackboneTracer, attribute_of, call_method, pick_traced


@dataclass
class _Operation:
    """One step of the traced backbone; `last_uses` names the values that nothing needs after it.

    The step of a PCoder (`pcoder` is its index) replaces the one value that it names in `inputs`; that of a spot,
    whose index is N or more, hands it out.
    """

    name: str
    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    options: dict[str, Any]
    inputs: frozenset[str]
    pcoder: int | None = None
    last_uses: tuple[str, ...] = ()

    def run(self, values: Values) -> Any:
        arguments, options = map_arg((self.arguments, self.options), lambda node: values[node.name])
        return self.function(*arguments, **options)


class TracedBackbone(Backbone):
    """A backbone as a list of operations, cut where PCoders can change something."""

    def __init__(
        self, module: nn.Module, paths: Sequence[str], output: Output = None, spots: Sequence[Spot] = ()
    ) -> None:
        super().__init__(module, paths, output, spots)
        self._cut({})

    def _cut(self, shown: dict[int, list[str]]) -> None:
        graph = BackboneTracer([*self.paths, *(spot.path for spot in self.spots)], shown).trace(self.module)
        self._is_picked = pick_traced(graph, self.output)
        operations = self._operations(graph)
        changed = _changed_by_pcoders(operations, len(self.paths))
        self._input = next(node.name for node in graph.nodes if node.op == "placeholder")
        self._output = operations[-1].name
        self._once = [operation for operation in operations if operation.name not in changed]
        self._each_time = [operation for operation in operations if operation.name in changed]
        if self._output not in changed:
            raise ConfigurationError("the logits depend on no PCoder; put PCoders on modules that lead to them")
        # Values at spots that no PCoder changes, by index.
        self._fixed = {one.pcoder: _fixed(one.pcoder) for one in self._once if one.pcoder is not None}
        self._shared = {name for operation in self._each_time for name in operation.inputs} - changed
        self._shared |= {*self._fixed.values()}
        _mark_last_uses(self._once, self._shared | {self._input})
        _mark_last_uses(self._each_time, {self._output})

    def _operations(self, graph: fx.Graph) -> list[_Operation]:
        modules = all_modules(self.module)
        spots = list(enumerate(self.spots, len(self.paths)))
        after = {id(modules[path]): index for index, path in enumerate(self.paths)}
        after |= {id(modules[spot.path]): index for index, spot in spots if not spot.entering}
        before = {id(modules[spot.path]): index for index, spot in spots if spot.entering}
        operations: list[_Operation] = []
        runs = [0] * (len(self.paths) + len(self.spots))
        for position, node in enumerate(graph.nodes):
            if position == 0:
                continue
            operation = self._operation(node, modules)
            index = before.get(id(operation.function))
            if index is not None:
                runs[index] += 1
                entering = _entering(node)
                operations.append(_Operation(entering, _first, (), {}, frozenset({entering}), pcoder=index))
            operations.append(operation)
            index = after.get(id(operation.function))
            if index is not None:
                runs[index] += 1
                operation.name = f"{node.name}.drive"
                drive = frozenset({operation.name})
                operations.append(_Operation(node.name, _first, (), {}, drive, pcoder=index))
        for index, count in enumerate(runs):
            if count != 1:
                raise RepeatedModuleError(index, count)
        return operations

    def _operation(self, node: fx.Node, modules: dict[str, nn.Module]) -> _Operation:
        arguments, target = tuple(node.args), node.target
        function: Callable[..., Any]
        if node.op == "call_module":
            function = modules[str(target)]
        elif node.op == "call_method":
            function = partial(call_method, str(target))
        elif node.op == "get_attr":
            function = attribute_of(self.module, str(target))
        elif node.op in ("output", "placeholder"):
            # Inputs after the images keep their defaults; without one the backbone cannot be run on images alone.
            if not arguments:
                raise ConfigurationError(f"the backbone needs the input {str(target)!r} besides images")
            function = _first
        else:
            function = cast("Callable[..., Any]", target)
        inputs = frozenset(other.name for other in node.all_input_nodes)
        return _Operation(node.name, function, arguments, dict(node.kwargs), inputs)

    def _showing(self, modules: dict[int, list[str]]) -> Backbone:
        """Return this backbone with a step behind each of the modules that the trace calls."""
        made = copy.copy(self)
        made._cut(modules)  # noqa: SLF001  # it is of this class
        return made

    def refuse_hooks(self) -> None:
        """Refuse hooks on modules that do not run as modules at every timestep: these would fire never, or once."""
        run = [one.function for one in self._each_time if isinstance(one.function, nn.Module)]
        every = {id(inner) for module in run for inner in cast("Iterable[nn.Module]", module.modules())}
        for name, inner in all_modules(self.module).items():
            if id(inner) not in every:
                for method in HOOKS:
                    vars(inner)[method] = partial(_refuse_hook, name)

    def prepare(self, images: Tensor) -> Values:
        """Return every value that the timesteps need and no PCoder can change."""
        values: Values = {self._input: self._handed_on("images", images)}
        for operation in self._once:
            if operation.pcoder is None:
                values[operation.name] = operation.run(values)
            else:
                (read,) = operation.inputs
                values[operation.name] = value = values[read]
                # A copy, because a later step may work in place.
                values[_fixed(operation.pcoder)] = value.clone() if isinstance(value, Tensor) else value
            for name in operation.last_uses:
                del values[name]
        return {name: value for name, value in values.items() if name in self._shared}

    def run_timestep(self, shared: Values, replace: Replace) -> Tensor:
        """Run the part that depends on PCoders, forgetting each value after its last use."""
        answer = self._run(self._each_time, shared, replace)[self._output]
        return picked_logits(answer, None if self._is_picked else self.output)

    def _run_to_last_pcoder(self, shared: Values, replace: Replace) -> None:
        last = max(index for index, operation in enumerate(self._each_time) if operation.pcoder is not None)
        self._run(self._each_time[: last + 1], shared, replace)

    def _run(self, operations: Sequence[_Operation], shared: Values, replace: Replace) -> Values:
        values = {name: self._handed_on(name, value) for name, value in shared.items()}
        for index, name in self._fixed.items():
            replace(index, shared[name])
        for operation in operations:
            if operation.pcoder is None:
                values[operation.name] = operation.run(values)
            else:
                (drive,) = operation.inputs
                values[operation.name] = self._replaced(operation.pcoder, values[drive], replace)
            for name in operation.last_uses:
                del values[name]
        return values


def _refuse_hook(name: str, *_: Any, **__: Any) -> None:
    what = f"the module {name}" if name else "the backbone itself"
    raise UsageError(
        f"a hook on {what} would not fire at every timestep: its steps are run around the PCoders, or once for all of "
        f"them; unroll(keep=({name or 'representations'!r},)) and pcbench.extract give the outputs of every timestep"
    )


def _first(value: Any) -> Any:
    return value


def _entering(node: fx.Node) -> str:
    """Return the name of the value that goes into a module."""
    (value, *_) = (*node.args, *node.kwargs.values())
    if not isinstance(value, fx.Node):
        raise TypeError(f"{value!r} goes into {node.target}")
    return value.name


def _fixed(index: int) -> str:
    return f"spot {index}"


def _changed_by_pcoders(operations: Sequence[_Operation], pcoders: int) -> set[str]:
    changed: set[str] = set()
    for operation in operations:
        if (operation.pcoder is not None and operation.pcoder < pcoders) or operation.inputs & changed:
            changed.add(operation.name)
    return changed


def _mark_last_uses(operations: Sequence[_Operation], kept: set[str]) -> None:
    seen = set(kept)
    for operation in reversed(operations):
        unused = ({operation.name} | operation.inputs) - seen
        operation.last_uses = tuple(sorted(unused))
        seen |= unused
