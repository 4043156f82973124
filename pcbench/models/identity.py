"""The identity of a user's model as it is: what its code says and how its objects are set, without running it.

The parameters and the buffers of the state dictionary are not here; the weights have a hash of their own.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import hashlib
import inspect
import linecache
import sys
import textwrap
import types
from ast import unparse
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from pathlib import PurePath
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pcbench import source_code
from pcbench.source_code import ModuleKind, kind_of, normalised

_DEEPEST = 6
_MAIN = "__main__"
# A module's own bookkeeping. What hooks compute counts, though, so these four are read.
_BOOKKEEPING = {*vars(nn.Module()), "_compiled_call_impl"}
_HOOKS = ("_forward_pre_hooks", "_forward_hooks", "_backward_pre_hooks", "_backward_hooks")


@dataclasses.dataclass(frozen=True)
class ModelIdentity:
    """What makes a user's model the model it is, its weights aside."""

    code_sha256: str | None
    """Hash over the user's own modules that the model's code imports; None where some of the code cannot be read."""
    attributes_sha256: str
    """Hash over the attributes of every submodule."""
    unreadable: tuple[str, ...]
    """The modules and classes whose source cannot be read."""
    packages: Mapping[str, str]
    """The versions of the installed distributions that the code imports."""


def model_identity(module: nn.Module, function_module: str | None = None) -> ModelIdentity:
    """Return the identity of a model.

    Args:
        module: The model.
        function_module: The module of the function that made it.
    """
    values = _Values(module)
    attributes = values.of_model(module)
    unreadable = {_class_name(cls) for cls in values.layers if not _is_readable(cls)}
    code: list[bytes] = []
    if function_module is not None:
        values.modules.add(function_module)
    if _MAIN in values.modules and _is_notebook():
        parts, lost = _notebook(values)
        code += parts
        unreadable |= lost
        values.modules.discard(_MAIN)
    unreadable |= values.lost
    kinds = source_code.reached(values.modules, everywhere=True)
    for name, kind in sorted(kinds.items()):
        source = source_code.read_source(name) if kind == "own" else None
        if source is not None:
            code.append(_joined(name.encode(), normalised(source)))
        elif kind in ("own", "unreadable"):
            unreadable.add(name)
    return ModelIdentity(
        code_sha256=None if unreadable else hashlib.sha256(b"".join(code)).hexdigest(),
        attributes_sha256=hashlib.sha256(attributes).hexdigest(),
        unreadable=tuple(sorted(unreadable)),
        packages=source_code.distributions(kinds),
    )


class _Values:
    """Turns values into bytes that are equal for equal values only, and notes whose code they need.

    Attributes:
        modules: The names of the modules that define the classes and functions met.
        layers: The classes of the `torch.nn.Module` objects met, and the classes that these inherit from.
        functions: The functions met.
        lost: Functions whose module is not there.
    """

    def __init__(self, model: nn.Module) -> None:
        self._names = {id(layer): name for name, layer in _layers(model)}
        self._open: set[int] = set()
        self._kinds: dict[str, ModuleKind] = {}
        self.modules: set[str] = set()
        self.layers: dict[type[Any], None] = {}
        self.functions: list[types.FunctionType] = []
        self.lost: set[str] = set()

    def of_model(self, model: nn.Module, depth: int = 0) -> bytes:
        """Return the bytes of every submodule's attributes."""
        return _joined(*(self._of_layer(name, layer, depth) for name, layer in _layers(model)))

    def of(self, value: object, depth: int = 0) -> bytes:
        """Return the bytes of a value and its type."""
        self._need_class(type(value))
        content = _plain(value)
        if content is None and depth < _DEEPEST and id(value) not in self._open:
            self._open.add(id(value))
            for describe in (self._of_code, self._of_many, self._of_object):
                parts = describe(value, depth + 1)
                if parts is not None:
                    content = _joined(*parts)
                    break
            self._open.remove(id(value))
        # Too deep, inside itself, or of a kind that is not read: the type alone.
        return _joined(_class_name(type(value)).encode(), *([] if content is None else [content]))

    def _of_layer(self, name: str, layer: nn.Module, depth: int) -> bytes:
        own = vars(layer)
        parts = [name.encode(), _class_name(type(layer)).encode()]
        parts.append(self._of_named({key: own[key] for key in own if not _is_bookkeeping(key)}, depth))
        unsaved: set[str] = own.get("_non_persistent_buffers_set", set())
        parts.append(self._of_named({key: own["_buffers"].get(key) for key in unsaved}, depth))
        # The keys of hooks count all hooks of the process; their order is the order they run in.
        parts += [self.of(list(own.get(hooks, {}).values()), depth) for hooks in _HOOKS]
        for cls in type(layer).__mro__:
            self.layers[cls] = None
            self._need_class(cls)
            for function in vars(cls).values():
                # A method put into a class from outside has its code elsewhere.
                if isinstance(function, types.FunctionType) and isinstance(function.__globals__.get("__name__"), str):
                    self.modules.add(function.__globals__["__name__"])
            if self._is_own(cls.__module__):
                parts.append(self._of_named(_class_variables(cls), depth))
        if isinstance(layer, torch.jit.ScriptModule) and hasattr(layer, "code"):
            parts.append(self.of(layer.code, depth))
        return _joined(*parts)

    def _of_named(self, values: Mapping[str, object], depth: int) -> bytes:
        return _joined(*(_joined(str(name).encode(), self.of(values[name], depth)) for name in sorted(values, key=str)))

    def _of_code(self, value: Any, depth: int) -> Iterable[bytes] | None:
        if isinstance(value, types.FunctionType):
            return self._of_function(value, depth)
        if isinstance(value, types.MethodType):
            return self.of(value.__func__, depth), self.of(value.__self__, depth)
        if _is(value, functools.partial):
            return [self.of(part, depth) for part in (value.func, value.args, value.keywords)]
        if isinstance(value, types.BuiltinFunctionType | types.MethodWrapperType):
            return value.__qualname__.encode(), self.of(value.__self__, depth)
        if isinstance(value, type | types.ModuleType):
            named = _class_name(value) if isinstance(value, type) else value.__name__
            self.modules.add(value.__module__ if isinstance(value, type) else named)
            return [named.encode()]
        return None

    def _of_function(self, function: types.FunctionType, depth: int) -> Iterable[bytes]:
        self.functions.append(function)
        name = f"{function.__module__}.{function.__qualname__}"
        # A decorator may have copied `__module__` from the function it wraps.
        home: object = function.__globals__.get("__name__")
        if isinstance(home, str) and self._kind(home) != "missing":
            self.modules |= {home, function.__module__ or home}
        else:
            self.lost.add(name)
        # What a library writes on its functions, PyTorch's compiler for one, is often an address.
        own = vars(function) if self._is_own(str(home)) else {}
        code = _bytecode(function.__code__) if self._is_own(str(home)) else b""
        cells = [_cell(cell) for cell in function.__closure__ or ()]
        values = (function.__defaults__, function.__kwdefaults__, cells, own, vars(function).get("__wrapped__"))
        return name.encode(), code, *(self.of(value, depth) for value in values)

    def _of_many(self, value: Any, depth: int) -> Iterable[bytes] | None:
        if isinstance(value, Enum):
            return value.name.encode(), self.of(value.value, depth)
        if _is(value, dict, types.MappingProxyType):
            return [_joined(self.of(key, depth), self.of(one, depth)) for key, one in value.items()]
        if _is(value, list, tuple, deque):
            return [self.of(one, depth) for one in value]
        if _is(value, set, frozenset):
            return sorted(self.of(one, depth) for one in value)
        if _is(value, slice):
            return [self.of(one, depth) for one in (value.start, value.stop, value.step)]
        return None

    def _of_object(self, value: Any, depth: int) -> Iterable[bytes] | None:
        if isinstance(value, nn.Module):
            if id(value) in self._names:
                return [b"submodule", self._names[id(value)].encode()]
            # Kept where PyTorch does not see it, so its weights are in no state dictionary.
            number = len(self._names)
            self._names |= {id(layer): f"unseen {number}: {name}" for name, layer in _layers(value)}
            weights = (dict(value.named_parameters()), dict(value.named_buffers()))
            return self.of_model(value, depth), *(self.of(one, depth) for one in weights)
        if dataclasses.is_dataclass(value):
            fields = {field.name: getattr(value, field.name, None) for field in dataclasses.fields(value)}
            return [self._of_named(fields, depth)]
        own: dict[str, object] = getattr(value, "__dict__", {})
        if isinstance(value, types.SimpleNamespace | argparse.Namespace) or self._is_own(type(value).__module__):
            return [self._of_named(own, depth)]
        if "__wrapped__" in own:
            # functools.cache and its like hide a function.
            return [self.of(own["__wrapped__"], depth)]
        # Functions written in C, such as torch.Tensor.relu and numpy.tanh.
        name: object = getattr(value, "__qualname__", getattr(value, "__name__", None))
        return [name.encode()] if isinstance(name, str) else None

    def _need_class(self, cls: type[Any]) -> None:
        self.modules.add(cls.__module__)

    def _is_own(self, module: str) -> bool:
        return self._kind(module) not in ("standard", "installed")

    def _kind(self, module: str) -> ModuleKind:
        if module not in self._kinds:
            self._kinds[module] = kind_of(module)
        return self._kinds[module]


def _layers(model: nn.Module) -> list[tuple[str, nn.Module]]:
    return list(model.named_modules())  # pyright: ignore[reportUnknownArgumentType]


def _is(value: Any, *kinds: type[Any]) -> bool:
    # Unlike isinstance() alone it tells the type checker nothing, which would know less of the members then.
    return isinstance(value, kinds)


def _joined(*parts: bytes) -> bytes:
    # Lengths first, so that no two different lists of parts look the same.
    return b"".join(b"%d:%b" % (len(part), part) for part in (b"%d" % len(parts), *parts))


def _class_name(cls: type[Any]) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


def _is_bookkeeping(attribute: str) -> bool:
    # PyTorch's compiler writes addresses.
    return attribute in _BOOKKEEPING or attribute.startswith("_torchdynamo_")


def _class_variables(cls: type[Any]) -> dict[str, Any]:
    # Without methods, properties and slots, which are code, and without Python's own entries.
    return {
        name: value
        for name, value in vars(cls).items()
        if not (name.startswith("__") or name == "_abc_impl" or hasattr(value.__class__, "__get__"))
    }


def _plain(value: object) -> bytes | None:
    return next((write(value) for kind, write in _PLAIN if isinstance(value, kind)), None)


def _text(value: object) -> bytes:
    return repr(value).encode()


def _tensor(value: Tensor) -> bytes:
    described = _joined(_text(value.dtype), _text(tuple(value.shape)), _text(value.layout))
    if value.device.type == "meta":
        return described
    plain = value.detach()
    if plain.layout is not torch.strided:
        plain = plain.to_dense()
    plain = (plain.dequantize() if plain.is_quantized else plain).cpu().resolve_conj().resolve_neg()
    content: Any = plain.contiguous().reshape(-1).view(torch.uint8).numpy()
    return described + hashlib.sha256(content).digest()


def _array(value: Any) -> bytes:
    array: Any = np.asarray(value)
    # The bytes of an array of Python objects are addresses.
    content = repr(array.tolist()).encode() if array.dtype.hasobject else array.tobytes()
    return _joined(_text(array.dtype), _text(array.shape), hashlib.sha256(content).digest())


_PLAIN: tuple[tuple[type[Any] | tuple[type[Any], ...], Callable[[Any], bytes]], ...] = (
    (Tensor, _tensor),
    # Before float, which numpy.float64 is as well.
    ((np.ndarray, np.generic), _array),
    (int, lambda value: b"%x" % value),
    (float, lambda value: float.__repr__(value).encode()),
    (complex, lambda value: complex.__repr__(value).encode()),
    (str, lambda value: value.encode("utf-8", "surrogatepass")),
    ((bytes, bytearray), bytes),
    # Where a file lies says nothing about a model.
    (PurePath, lambda value: value.name.encode("utf-8", "surrogatepass")),
    ((type(None), type(...), range, torch.dtype, torch.device, torch.layout, torch.memory_format), _text),
)


def _cell(cell: types.CellType) -> object:
    try:
        return cell.cell_contents
    except ValueError:
        # A variable that has no value yet.
        return None


def _bytecode(code: types.CodeType) -> bytes:
    names = (code.co_name, code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
    counts = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags)
    constants = code.co_consts
    if code.co_flags & inspect.CO_NEWLOCALS and not code.co_name.startswith("<") and constants:
        # A function's first constant is its docstring, or None in its place.
        constants = constants[1:] if isinstance(constants[0], str | None) else constants
    return _joined(
        code.co_code, code.co_exceptiontable, _text(names), _text(counts), *(_constant(one) for one in constants)
    )


def _constant(value: Any) -> bytes:
    if isinstance(value, types.CodeType):
        return b"code" + _bytecode(value)
    if _is(value, frozenset):
        return b"set" + _joined(*sorted(_constant(one) for one in value))
    if _is(value, tuple):
        return b"tuple" + _joined(*(_constant(one) for one in value))
    return b"hex" + b"%x" % value if type(value) is int else b"text" + _text(value)


def _is_readable(cls: type[Any]) -> bool:
    """Return whether the definition of a class is where the class says; a notebook's classes are checked elsewhere."""
    kind = kind_of(cls.__module__)
    if kind == "own":
        source = source_code.read_source(cls.__module__)
        return source is not None and source_code.class_definition(source, cls.__qualname__) is not None
    if kind == "standard":
        # Code run by exec() may say that its classes are from "builtins".
        found: Any = sys.modules.get(cls.__module__)
        for name in cls.__qualname__.split("."):
            found = getattr(found, name, None)
        return found is cls
    return kind == "installed" or (cls.__module__ == _MAIN and _is_notebook())


def _is_notebook() -> bool:
    return source_code.source_path(_MAIN) is None


def _notebook(values: _Values) -> tuple[list[bytes], set[str]]:
    """Return the code of the functions and classes of a notebook, and the layers whose source is not there.

    The global variables that the layers use enter as well, because no file says what they are.
    """
    main = vars(sys.modules[_MAIN])
    defined = {name: _source_of(value) for name, value in main.items() if _is_of_notebook(value)}
    used = {f"layer {cls.__qualname__}": _source_of(cls) for cls in values.layers if _is_of_notebook(cls)}
    lost = {f"{_MAIN}.{name.removeprefix('layer ')}" for name, source in used.items() if source is None}
    called = [_source_of(function) for function in values.functions if _is_of_notebook(function)]
    waiting = [*used.values(), *called]
    seen: set[str] = set()
    variables: dict[str, object] = {}
    while waiting:
        source = waiting.pop() or ""
        values.modules |= source_code.imported_modules(source, _MAIN, is_package=False, everywhere=True)
        for name in (source_code.global_names(source) & set(main)) - seen:
            seen.add(name)
            if name in defined:
                waiting.append(defined[name])
            else:
                variables[name] = main[name]
    written = sorted((name, normalised(source)) for name, source in {**defined, **used}.items() if source is not None)
    state = [_joined(b"variable", name.encode(), values.of(variables[name])) for name in sorted(variables)]
    return [*(_joined(b"defined", name.encode(), source) for name, source in written), *state], lost


def _is_of_notebook(value: object) -> bool:
    return isinstance(value, type | types.FunctionType) and value.__module__ == _MAIN


def _source_of(value: Any) -> str | None:
    try:
        return textwrap.dedent(inspect.getsource(value))
    except (OSError, TypeError, SyntaxError):
        pass
    # Python finds a class by its module's file, and a notebook has none; a method knows its cell.
    methods = (
        [one for one in vars(value).values() if isinstance(one, types.FunctionType)] if isinstance(value, type) else []
    )
    for cell in sorted({one.__code__.co_filename for one in methods}):
        definition = source_code.class_definition("".join(linecache.getlines(cell)), value.__qualname__)
        if definition is not None:
            return unparse(definition)
    return None
