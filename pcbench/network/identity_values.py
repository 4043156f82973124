"""How a model's objects are set, as bytes: equal for equal values only, without running anything."""

from __future__ import annotations

import argparse
import dataclasses
import functools
import hashlib
import inspect
import re
import types
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from datetime import date, time, timedelta
from enum import Enum
from numbers import Number
from pathlib import PurePath
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pcbench.network.backbone import HOOKS
from pcbench.source_code import ModuleKind, kind_of

_DEEPEST = 60
# A module's own bookkeeping. What hooks compute counts, though, so these four are read.
_BOOKKEEPING = {*vars(nn.Module()), "_compiled_call_impl"}
_HOOKS = ("_forward_pre_hooks", "_forward_hooks", "_backward_pre_hooks", "_backward_hooks")
# What PyTorch keeps for itself, such as graphs and compiled code, holds addresses and counters.
_INTERNAL = ("torch._", "torch.fx", "torch.jit", "torch.utils", "torch.autograd")


class ModelValues:
    """Turns values into bytes that are equal for equal values only, and notes whose code they need."""

    def __init__(self, model: nn.Module | None = None) -> None:
        self._names = {} if model is None else {id(layer): name for name, layer in _layers(model)}
        # What has been described already, kept alive so that no other object gets its address.
        self._met: dict[int, tuple[int, object]] = {}
        self._kinds: dict[str, ModuleKind] = {}
        self.modules: set[str] = set()
        """The names of the modules that define the classes and functions met."""
        self.layers: dict[type[Any], None] = {}
        """The classes of the `torch.nn.Module` objects met, and the classes that these inherit from."""
        self.functions: list[types.FunctionType] = []
        """The functions met."""
        self.lost: set[str] = set()
        """Functions whose module is missing, and objects that could not be read to their end."""

    def of_model(self, model: nn.Module, depth: int = 0) -> bytes:
        """Return the bytes of every submodule's attributes."""
        return framed(*(self._of_layer(name, layer, depth) for name, layer in _layers(model)))

    def of(self, value: object, depth: int = 0) -> bytes:
        """Return the bytes of a value and its type."""
        self._need_class(type(value))
        named = class_name(type(value)).encode()
        content = _plain(value)
        if content is not None:
            return framed(named, content)
        if id(value) in self._met:
            # An object that is held in two places, or that holds itself.
            return framed(named, b"met", b"%d" % self._met[id(value)][0])
        if depth >= _DEEPEST:
            self.lost.add(f"{class_name(type(value))} (more than {_DEEPEST} objects inside one another)")
            return framed(named)
        if not isinstance(value, tuple):
            self._met[id(value)] = len(self._met), value
        parts: Iterable[bytes] | None = None
        for describe in (self._of_code, self._of_many, self._of_object):
            parts = describe(value, depth + 1)
            if parts is not None:
                break
        # Of a kind that is not read: the type alone.
        return framed(named, *([] if parts is None else [framed(*parts)]))

    def _of_layer(self, name: str, layer: nn.Module, depth: int) -> bytes:
        own = vars(layer)
        parts = [name.encode(), class_name(type(layer)).encode()]
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
        return framed(*parts)

    def _of_named(self, values: Mapping[str, object], depth: int) -> bytes:
        return framed(*(framed(str(name).encode(), self.of(values[name], depth)) for name in sorted(values, key=str)))

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
            named = class_name(value) if isinstance(value, type) else value.__name__
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
        # What a library, such as PyTorch's compiler, writes on its functions is often an address.
        own = vars(function) if self._is_own(str(home)) else {}
        code = bytecode(function.__code__) if self._is_own(str(home)) else b""
        cells = [_cell(cell) for cell in function.__closure__ or ()]
        values = (function.__defaults__, function.__kwdefaults__, cells, own, vars(function).get("__wrapped__"))
        return name.encode(), code, *(self.of(value, depth) for value in values)

    def _of_many(self, value: Any, depth: int) -> Iterable[bytes] | None:
        if isinstance(value, Enum):
            return value.name.encode(), self.of(value.value, depth)
        if _is(value, slice):
            return [self.of(one, depth) for one in (value.start, value.stop, value.step)]
        if _is(value, dict, types.MappingProxyType):
            parts = [framed(self.of(key, depth), self.of(one, depth)) for key, one in value.items()]
        elif _is(value, list, tuple, deque):
            parts = [self.of(one, depth) for one in value]
        elif _is(value, set, frozenset):
            parts = self._of_set(value, depth)
        else:
            return None
        return [*parts, self._of_named(_set_on(value), depth)]

    def _of_set(self, value: Iterable[object], depth: int) -> list[bytes]:
        # The order of a set differs from process to process: what one element has met must not show in the next.
        before, parts = dict(self._met), list[bytes]()
        for one in value:
            self._met = dict(before)
            parts.append(self.of(one, depth))
        return sorted(parts)

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
        own, module = _set_on(value), type(value).__module__
        if "__wrapped__" in own:
            # functools.cache and its like hide a function.
            return [self.of(own["__wrapped__"], depth)]
        plain = isinstance(value, types.SimpleNamespace | argparse.Namespace)
        if plain or self._is_own(module) or (own and self._kind(module) == "installed" and not _is_internal(module)):
            return [self._of_named(own, depth)]
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


def _set_on(value: object) -> dict[str, object]:
    """Return the attributes that are set on an object itself, those of `__slots__` among them."""
    found: dict[str, object] = {}
    for cls in type(value).__mro__:
        slots: Any = vars(cls).get("__slots__", ())
        names: list[str] = [slots] if isinstance(slots, str) else list(slots)
        for name in names:
            hidden = name.startswith("__") and not name.endswith("__")
            member = f"_{cls.__name__.lstrip('_')}{name}" if hidden else name
            if name not in ("__dict__", "__weakref__") and hasattr(value, member):
                found[name] = getattr(value, member)
    own: dict[str, object] = getattr(value, "__dict__", {})
    return {**found, **own}


def _is_internal(module: str) -> bool:
    return module.startswith(_INTERNAL)


def _layers(model: nn.Module) -> list[tuple[str, nn.Module]]:
    return list(model.named_modules())  # pyright: ignore[reportUnknownArgumentType]


def _is(value: Any, *kinds: type[Any]) -> bool:
    # Unlike isinstance() alone it tells the type checker nothing, which would know less of the members then.
    return isinstance(value, kinds)


def framed(*parts: bytes) -> bytes:
    """Return parts as one, so that no two different lists of parts give the same bytes."""
    # Lengths first.
    return b"".join(b"%d:%b" % (len(part), part) for part in (b"%d" % len(parts), *parts))


def class_name(cls: type[Any]) -> str:
    """Return a class's full name."""
    return f"{cls.__module__}.{cls.__qualname__}"


def _is_bookkeeping(attribute: str) -> bool:
    # PyTorch's compiler writes addresses.
    return attribute in _BOOKKEEPING or attribute in HOOKS or attribute.startswith("_torchdynamo_")


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
    described = framed(_text(value.dtype), _text(tuple(value.shape)), _text(value.layout))
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
    return framed(_text(array.dtype), _text(array.shape), hashlib.sha256(content).digest())


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
    (re.Pattern, lambda value: _text((value.pattern, value.flags))),
    # Fractions and decimal numbers; dates.
    ((Number, date, time, timedelta), _text),
    (PurePath, lambda value: value.name.encode("utf-8", "surrogatepass")),
    ((type(None), type(...), range, torch.dtype, torch.device, torch.layout, torch.memory_format), _text),
)


def _cell(cell: types.CellType) -> object:
    try:
        return cell.cell_contents
    except ValueError:
        # A variable that has no value yet.
        return None


def bytecode(code: types.CodeType) -> bytes:
    """Return what a function computes, without where it is written and what its docstring says."""
    names = (code.co_name, code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
    counts = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags)
    constants = code.co_consts
    if code.co_flags & inspect.CO_NEWLOCALS and not code.co_name.startswith("<") and constants:
        # A function's first constant is its docstring, or None in its place.
        constants = constants[1:] if isinstance(constants[0], str | None) else constants
    return framed(
        code.co_code, code.co_exceptiontable, _text(names), _text(counts), *(_constant(one) for one in constants)
    )


def _constant(value: Any) -> bytes:
    if isinstance(value, types.CodeType):
        return b"code" + bytecode(value)
    if _is(value, frozenset):
        return b"set" + framed(*sorted(_constant(one) for one in value))
    if _is(value, tuple):
        return b"tuple" + framed(*(_constant(one) for one in value))
    return b"hex" + b"%x" % value if type(value) is int else b"text" + _text(value)
