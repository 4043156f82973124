"""A backbone whose PCoder modules' outputs can be replaced, run again and again without repeated work.

The forward method of the backbone, and of the modules around a PCoder's, is traced once with `torch.fx`; every other
module stays whole. What depends on no PCoder is computed once for all timesteps. A backbone that cannot be traced is
run through forward hooks on a private copy instead.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from typing import Any, Self, cast

from torch import Tensor, fx, nn
from torch.fx.node import map_arg
from torch.fx.proxy import TraceError

from pcbench.errors import ConfigurationError, UsageError
from pcbench.network.outputs import Output, picked_logits
from pcbench.network.own_modules import private_copy
from pcbench.network.tracing import BackboneTracer, attribute_of, call_method, pick_traced
from pcbench.network.watching import Watch, watched_runs

HOOKS = ("register_forward_hook", "register_forward_pre_hook")
"""The methods of a module that register what is called when it runs."""

Replace = Callable[[int, Tensor], Tensor]
Values = dict[str, Any]


class RepeatedModuleError(Exception):
    """A PCoder's module runs more than once, or never, in one pass.

    Args:
        index: Which PCoder's.
        runs: How often it runs.
        places: The modules in which it does, where that is known.
    """

    def __init__(self, index: int, runs: int, places: Sequence[str] = ()) -> None:
        self.index, self.runs, self.places = index, runs, places
        super().__init__(index, runs)


class Backbone(nn.Module):
    """A frozen private copy of a backbone that is run in two parts.

    Args:
        module: The backbone; it is copied and left as it is.
        paths: The names of the PCoders' modules, in forward order.
        output: Which of its outputs are the logits; see `pcbench.network.outputs`.

    `prepare` computes what no PCoder can change; `run_timestep` computes the rest: it calls `replace(n, drive)` with
    each PCoder's drive and continues with what that returns. Neither keeps anything between calls.
    """

    def __init__(self, module: nn.Module, paths: Sequence[str], output: Output = None) -> None:
        super().__init__()
        self.module = private_copy(module).requires_grad_(requires_grad=False)
        self.paths = tuple(paths)
        self.output = output
        self._overwritten: frozenset[int | str] = frozenset()

    def whole(self, images: Tensor) -> Any:
        """Run the module itself, and return its logits."""
        return picked_logits(self.module(images), self.output)

    def prepare(self, images: Tensor) -> Values:
        """Return what all timesteps of these images share."""
        raise NotImplementedError

    def run_timestep(self, shared: Values, replace: Replace) -> Tensor:
        """Run everything that depends on a PCoder, and return the logits."""
        raise NotImplementedError

    def start(self, images: Tensor) -> list[Tensor]:
        """Return each PCoder's first drive, e_n(0); what comes after the last one need not be computed."""
        drives: list[Tensor] = []

        def note(_: int, drive: Tensor) -> Tensor:
            drives.append(drive)
            return drive

        self._run_to_last_pcoder(self.prepare(images), note)
        return drives

    def _run_to_last_pcoder(self, shared: Values, replace: Replace) -> None:
        """Do what `run_timestep` does, at least as far as the last PCoder."""
        self.run_timestep(shared, replace)

    def forward(self, images: Tensor) -> Tensor:
        """Run the backbone as it is, replacing nothing."""
        return self.run_timestep(self.prepare(images), lambda _, drive: drive)

    def observe(self, images: Tensor) -> tuple[dict[int, Any], Any]:
        """Run once, noting what the backbone does to its own values.

        From here on, values that a later step changes in place are handed to it as copies: a representation stays
        what it is, and what timesteps share stays the same for all. Layers keep working in place, because a backbone
        may use what they leave behind.

        Args:
            images: e_0, of the configuration's input size.

        Returns:
            The drive of each PCoder, in the order in which they ran, and the logits.

        Raises:
            RepeatedModuleError: A PCoder's module does not run exactly once.
        """
        drives: dict[int, Any] = {}
        versions: dict[int | str, int] = {}

        def note(index: int, drive: Any) -> Any:
            drives[index] = drive
            if isinstance(drive, Tensor):
                versions[index] = drive._version  # noqa: SLF001  # PyTorch has no public way to ask
            return drive

        versions["images"] = images._version  # noqa: SLF001
        shared = self.prepare(images)
        versions.update({name: v._version for name, v in shared.items() if isinstance(v, Tensor)})  # noqa: SLF001
        logits = self.run_timestep(shared, note)
        after = {"images": images, **shared, **drives}
        self._overwritten = frozenset(key for key, version in versions.items() if after[key]._version != version)  # noqa: SLF001
        return drives, logits

    def refuse_hooks(self) -> None:
        """Refuse hooks on modules that do not run as modules at every timestep: these would fire never, or once."""

    @contextmanager
    def watched(self, names: Sequence[str], watch: Watch) -> Generator[Backbone]:
        """Show the outputs of some modules each time that they are computed.

        Args:
            names: Names of modules of the backbone, blocks and containers among them.
            watch: Called with a module's name and its output.

        Yields:
            What is to be run in place of this backbone; it gives the same numbers.

        Raises:
            UnknownNameError: There is no such module.
        """
        with watched_runs(self.module, names, watch) as left:
            yield self._showing(left)

    def _showing(self, modules: dict[int, list[str]]) -> Backbone:
        """Return this backbone with the outputs of some modules shown; those left in the table are shown by hooks."""
        del modules
        return self

    def train(self, mode: bool = True) -> Self:
        """Stay in evaluation mode whatever is asked: batch statistics are never touched."""
        del mode
        return super().train(mode=False)

    def _handed_on(self, key: int | str, value: Any) -> Any:
        return value.clone() if key in self._overwritten else value

    def _replaced(self, index: int, drive: Tensor, replace: Replace) -> Tensor:
        return self._handed_on(index, replace(index, drive))


def all_modules(module: nn.Module) -> dict[str, nn.Module]:
    """Return every module under every name that it has."""
    named = cast("Iterable[tuple[str, nn.Module]]", module.named_modules(remove_duplicate=False))
    return dict(named)


def cut_backbone(module: nn.Module, paths: Sequence[str], output: Output = None) -> Backbone:
    """Trace a backbone, or fall back to hooks where it cannot be traced.

    Raises:
        RepeatedModuleError: In the trace, a PCoder's module does not run exactly once.
        ConfigurationError: The backbone takes more than images, or its logits depend on no PCoder.
    """
    try:
        return TracedBackbone(module, paths, output)
    except RepeatedModuleError as error:
        if error.runs:
            raise
        return HookedBackbone(module, paths, output)  # it may run inside a module that a trace leaves whole
    except (TraceError, TypeError, ValueError, RuntimeError, AttributeError, AssertionError, IndexError, KeyError):
        # Whatever the backbone's own code does with a traced value that only a tensor can do.
        return HookedBackbone(module, paths, output)


@dataclass
class _Operation:
    """One step of the traced backbone; `last_uses` names the values that nothing needs after it.

    The step of a PCoder (`pcoder` is its index) replaces the one value that it names in `inputs`.
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

    def __init__(self, module: nn.Module, paths: Sequence[str], output: Output = None) -> None:
        super().__init__(module, paths, output)
        self._cut({})

    def _cut(self, shown: dict[int, list[str]]) -> None:
        graph = BackboneTracer(self.paths, shown).trace(self.module)
        self._is_picked = pick_traced(graph, self.output)
        operations = self._operations(graph)
        changed = _changed_by_pcoders(operations)
        self._input = next(node.name for node in graph.nodes if node.op == "placeholder")
        self._output = operations[-1].name
        self._once = [operation for operation in operations if operation.name not in changed]
        self._each_time = [operation for operation in operations if operation.name in changed]
        if self._output not in changed:
            raise ConfigurationError("the logits depend on no PCoder; put PCoders on modules that lead to them")
        self._shared = {name for operation in self._each_time for name in operation.inputs} - changed
        _mark_last_uses(self._once, self._shared | {self._input})
        _mark_last_uses(self._each_time, {self._output})

    def _operations(self, graph: fx.Graph) -> list[_Operation]:
        modules = all_modules(self.module)
        pcoders = {id(modules[path]): index for index, path in enumerate(self.paths)}
        operations: list[_Operation] = []
        runs = [0] * len(self.paths)
        for position, node in enumerate(graph.nodes):
            if position == 0:
                continue
            operation = self._operation(node, modules)
            operations.append(operation)
            index = pcoders.get(id(operation.function))
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
            values[operation.name] = operation.run(values)
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


def _changed_by_pcoders(operations: Sequence[_Operation]) -> set[str]:
    changed: set[str] = set()
    for operation in operations:
        if operation.pcoder is not None or operation.inputs & changed:
            changed.add(operation.name)
    return changed


def _mark_last_uses(operations: Sequence[_Operation], kept: set[str]) -> None:
    seen = set(kept)
    for operation in reversed(operations):
        unused = ({operation.name} | operation.inputs) - seen
        operation.last_uses = tuple(sorted(unused))
        seen |= unused


_REPLACE: ContextVar[Replace | None] = ContextVar("replace", default=None)


class HookedBackbone(Backbone):
    """A backbone that runs whole at every timestep, its PCoders' outputs replaced by forward hooks.

    What replaces them is held in a context variable, so threads don't see each other's.
    """

    def __init__(self, module: nn.Module, paths: Sequence[str], output: Output = None) -> None:
        super().__init__(module, paths, output)
        for index, path in enumerate(paths):
            self.module.get_submodule(path).register_forward_hook(_hook(index))

    def prepare(self, images: Tensor) -> Values:
        """Return the images: nothing is shared but them."""
        return {"images": images}

    def run_timestep(self, shared: Values, replace: Replace) -> Tensor:
        """Run the whole backbone."""

        def counted(index: int, drive: Tensor) -> Tensor:
            runs[index] += 1
            return self._replaced(index, drive, replace)

        runs = [0] * len(self.paths)
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
