"""The identity of a user's model, attack or corruption as it is: its code and its attributes, without running it.

The parameters and the buffers of the state dictionary are not here; the weights have a hash of their own.
"""

from __future__ import annotations

import dataclasses
import hashlib
import inspect
import linecache
import sys
import textwrap
import types
from ast import unparse
from collections.abc import Iterator, Mapping
from typing import Any

from torch import nn

from pcbench import source_code
from pcbench.distributions import distributions
from pcbench.errors import UsageError
from pcbench.network.identity_values import ModelValues, bytecode, class_name, framed
from pcbench.source_code import kind_of, normalised

_MAIN = "__main__"


@dataclasses.dataclass(frozen=True)
class ModelIdentity:
    """What identifies a user's model, apart from its weights, or an object that is called as a function."""

    code_sha256: str | None
    """Hash over the user's own modules that the model's code imports; None where some of the code cannot be read."""
    attributes_sha256: str
    """Hash over the attributes of every submodule, or of the object."""
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
    values = ModelValues(module)
    attributes = values.of_model(module)
    if function_module is not None:
        values.modules.add(function_module)
    return _identity(values, attributes)


def object_identity(value: object) -> ModelIdentity:
    """Return the identity of a function, or of an object that is called as one."""
    values = ModelValues()
    attributes = values.of(value)
    for cls in type(value).__mro__:
        if _is_users(cls.__module__):
            values.layers[cls] = None  # its methods are what is called, as those of a model's layers
    return _identity(values, attributes)


def called_identity(value: object, what: str) -> dict[str, object]:
    """Return what a run's key says of a function, or of an object that is called as one.

    Args:
        value: The function or object.
        what: What it is called in a message, such as ``"attack mine"``.

    Raises:
        UsageError: Some of its source cannot be read.
    """
    found = object_identity(value)
    if found.unreadable:
        raise UsageError(
            f"{what}: the source of {', '.join(found.unreadable)} cannot be read, so no key can say which code this "
            "is; put it into a .py file"
        )
    cls = value if isinstance(value, types.FunctionType) else type(value)
    return {
        "name": f"{cls.__module__}.{cls.__qualname__}",
        "code_sha256": found.code_sha256,
        "attributes_sha256": found.attributes_sha256,
        "packages": dict(found.packages),
    }


def _identity(values: ModelValues, attributes: bytes) -> ModelIdentity:
    code = _loaded(values)
    unreadable = {class_name(cls) for cls in values.layers if not _is_readable(cls)}
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
            code.append(framed(name.encode(), normalised(source)))
        elif kind in ("own", "unreadable"):
            unreadable.add(name)
    return ModelIdentity(
        code_sha256=None if unreadable else hashlib.sha256(b"".join(code)).hexdigest(),
        attributes_sha256=hashlib.sha256(attributes).hexdigest(),
        unreadable=tuple(sorted(unreadable)),
        packages=distributions(kinds),
    )


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


def _loaded(values: ModelValues) -> list[bytes]:
    """Return the code of a model's methods and functions as it was loaded, and the global variables that it uses.

    The files may have been edited since they were imported, and a variable set from outside or from the environment.
    """
    layers, done, parts = list(values.layers), 0, list[bytes]()
    waiting = [function for cls in layers if _is_users(cls.__module__) for function in _methods(cls)]
    seen: set[int] = set()
    variables: set[tuple[str, str]] = set()
    while waiting or done < len(values.functions):
        if not waiting:
            waiting, done = values.functions[done:], len(values.functions)
        function = waiting.pop()
        home: object = function.__globals__.get("__name__")
        if id(function) in seen or not isinstance(home, str) or not _is_users(home):
            continue
        seen.add(id(function))
        parts.append(framed(function.__qualname__.encode(), bytecode(function.__code__)))
        for module, name, value in _globals_of(function, home):
            if isinstance(value, types.FunctionType):
                waiting.append(value)
            elif isinstance(value, type):
                waiting += _methods(value) if _is_users(value.__module__) else []
            elif (module, name) not in variables:
                variables.add((module, name))
                parts.append(framed(module.encode(), name.encode(), values.of(value)))
    return parts


def _globals_of(function: types.FunctionType, home: str) -> Iterator[tuple[str, str, object]]:
    """Yield module, name and value of the global variables that a function uses, in its own and in named modules."""
    names = sorted(_names(function.__code__))
    for name in names:
        value = function.__globals__.get(name, _NOTHING)
        if isinstance(value, types.ModuleType):
            if _is_users(value.__name__):
                found = ((other, vars(value).get(other, _NOTHING)) for other in names)
                yield from ((value.__name__, other, one) for other, one in found if not _is_skipped(one))
        elif not _is_skipped(value):
            yield home, name, value


_NOTHING = object()


def _is_skipped(value: object) -> bool:
    return value is _NOTHING or isinstance(value, types.ModuleType)


def _names(code: types.CodeType) -> set[str]:
    inner = (constant for constant in code.co_consts if isinstance(constant, types.CodeType))
    return {*code.co_names}.union(*map(_names, inner))


def _methods(cls: type[Any]) -> list[types.FunctionType]:
    """Return the functions of a class, in the order of their names: methods, static and class methods, properties."""
    found: list[types.FunctionType] = []
    for _, value in sorted(vars(cls).items()):
        parts = (value.fget, value.fset) if isinstance(value, property) else (getattr(value, "__func__", value),)
        found += [part for part in parts if isinstance(part, types.FunctionType)]
    return found


def _is_users(module: str) -> bool:
    return kind_of(module) not in ("standard", "installed")


def _is_notebook() -> bool:
    return source_code.source_path(_MAIN) is None


def _notebook(values: ModelValues) -> tuple[list[bytes], set[str]]:
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
    state = [framed(b"variable", name.encode(), values.of(variables[name])) for name in sorted(variables)]
    return [*(framed(b"defined", name.encode(), source) for name, source in written), *state], lost


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
