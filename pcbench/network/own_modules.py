"""Networks of the user's own: what is inside a wrapper, a private copy, the type they compute in, their logits."""

from __future__ import annotations

import copy
import inspect
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Mapping, Set
from contextlib import contextmanager
from functools import partial
from types import FunctionType, MethodType, ModuleType
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from pcbench.arguments import shown
from pcbench.errors import PcbenchError, RunError, UsageError, named

_STATED = ("input_size", "preprocessing", "class_names", "timesteps", "mean", "std")
_WHAT = "a model is a name or a torch.nn.Module"


def check_network(model: object) -> None:
    """Refuse what is neither a name nor a network.

    Raises:
        UsageError: It is something else, or a network without weights to measure.
    """
    if isinstance(model, nn.Module):
        _check_weights(model)
    elif inspect.isclass(model) and issubclass(model, nn.Module):
        raise UsageError(f"{model.__name__} is a class; give an instance of it: {model.__name__}()")
    elif callable(model):
        raise UsageError(f"{_WHAT}, not a {type(model).__name__}; call it in the forward method of one")
    elif isinstance(model, Mapping):
        raise UsageError(f"{_WHAT}, not a table; load weights into a network first")
    elif not isinstance(model, str):
        raise UsageError(f"{_WHAT}, not {shown(model)}")


def _check_weights(module: nn.Module) -> None:
    name = type(module).__name__
    for path, parameter in module.named_parameters():
        if nn.parameter.is_lazy(parameter):
            raise UsageError(f"{name}: the lazy layer of {path} is not made yet; run the network once on its images")
        if parameter.is_meta:
            raise UsageError(f"{name}: {path} lies on the device 'meta', where weights have no values; load them first")


def unwrapped(module: nn.Module) -> nn.Module:
    """Return the network inside `torch.compile`'s and the parallel wrappers; it gives the same logits."""
    while True:
        inner: object = getattr(module, "_orig_mod", None)  # of torch.compile
        if isinstance(module, nn.DataParallel | DistributedDataParallel):
            inner = cast("nn.DataParallel[nn.Module]", module).module
        if not isinstance(inner, nn.Module):
            return cast("nn.Module", module)
        for name in _STATED:
            if name in vars(module) and name not in vars(inner):
                inner = _stating(inner, name, vars(module)[name])
        module = inner


def _stating(module: nn.Module, name: str, value: object) -> nn.Module:
    """Return a network that states one thing more, and shares everything with another, which is left as it is."""
    stating = copy.copy(module)
    vars(stating)[name] = value
    return stating


def refuse_scripted(module: nn.Module) -> None:
    """Refuse a network that cannot be taken apart.

    Raises:
        ConfigurationError, UsageError: It is TorchScript.
    """
    if isinstance(module, torch.jit.ScriptModule):
        raise UsageError("TorchScript can't be predified; give the torch.nn.Module that it was made from")


def private_copy(module: nn.Module) -> nn.Module:
    """Return a copy of a network, in evaluation mode; the original is left as it is.

    Layers without weights that are in training mode inside a network in evaluation mode stay in it: so dropout is kept
    on. Activations that a network keeps, and weights that it computes from others, such as those of `weight_norm`,
    belong to a graph, which PyTorch does not copy: their values are copied.

    Raises:
        UsageError: Something in it cannot be copied; the message names it.
    """
    values = {id(tensor): tensor.detach().clone() for tensor in _of_graphs(module)}
    try:
        with torch.no_grad():  # the copy of a weight of TorchScript would belong to a graph
            copied = copy.deepcopy(module, cast("dict[int, Any]", values)).eval()
    except Exception as error:
        held = _not_copied(module)
        what = f"its attribute {held!r} can't be copied" if held else "it can't be copied"
        raise UsageError(
            f"{type(module).__name__}: {what} ({named(error)}); pcbench measures a copy of the network, so take "
            "out of it what is not part of it"
        ) from error
    for path in _kept_on(module):
        _stay_in_training(copied.get_submodule(path))
    return copied


def _kept_on(module: nn.Module) -> list[str]:
    if module.training:
        return []
    inside = cast("Iterable[tuple[str, nn.Module]]", module.named_modules())
    return [path for path, inner in inside if inner.training and not inner.state_dict()]


def _stay_in_training(layer: nn.Module) -> None:
    """Keep a layer in training mode, whatever mode the network around it is put in."""

    def train(mode: bool = True) -> nn.Module:
        del mode
        return layer

    layer.training = True
    vars(layer)["train"] = train


def _of_graphs(module: nn.Module) -> Iterator[Tensor]:
    """Yield the tensors anywhere in a network that belong to a graph."""
    seen: set[int] = set()
    waiting = deque[object]([module])
    while waiting:
        value = waiting.popleft()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, Tensor):
            if not value.is_leaf:
                yield value
            elif value.grad is not None:
                waiting.append(value.grad)
        else:
            waiting.extend(_inside(value))


def _inside(value: object) -> Iterable[object]:
    if isinstance(value, str | bytes | int | float | type | ModuleType | FunctionType | torch.jit.ScriptModule):
        return ()
    if isinstance(value, Mapping):
        return cast("Mapping[object, object]", value).values()
    if isinstance(value, list | tuple | Set | deque):
        return cast("Iterable[object]", value)
    if isinstance(value, MethodType):
        return (value.__self__,)
    if isinstance(value, partial):
        return (value.func, *value.args, *value.keywords.values())
    return cast("dict[str, object]", getattr(value, "__dict__", {})).values()


def _not_copied(module: nn.Module) -> str | None:
    """Return the name of the first attribute that cannot be copied."""
    for path, inner in cast("Iterable[tuple[str, nn.Module]]", module.named_modules()):
        for name, value in vars(inner).items():
            if name in ("_parameters", "_buffers", "_modules"):
                continue
            try:
                copy.deepcopy(value, {id(tensor): tensor for tensor in _of_graphs(module)})
            except Exception:  # noqa: BLE001 - the user's own objects may raise anything
                return f"{path}.{name}" if path else name
    return None


def computed_in(module: nn.Module) -> torch.dtype:
    """Return the type in which a network takes images: that of its first floating-point weights.

    Raises:
        UsageError: It is float16, whose gradients vanish.
    """
    for tensor in (*module.parameters(), *module.buffers()):
        if tensor.is_floating_point():
            if tensor.dtype is torch.float16:
                raise UsageError(
                    f"{type(module).__name__} computes in float16, and images are float32: gradients in float16 round "
                    "to 0, so that a network looks robust; give model.float(), model.bfloat16() or model.double()"
                )
            return tensor.dtype
    return torch.float32


def logits_of(answer: Any) -> Any:
    """Return the logits in what a network gives: itself, its attribute or its entry `logits`; never in 16 bits."""
    held: Any = cast("Mapping[Any, Any]", answer).get("logits") if isinstance(answer, Mapping) else None
    found = getattr(cast("Any", answer), "logits", held)
    if isinstance(answer, Tensor):
        found = answer
    if not isinstance(found, Tensor):
        return cast("Any", answer)
    return found.float() if found.dtype in (torch.float16, torch.bfloat16) else found


@contextmanager
def own_code(what: str) -> Generator[None]:
    """Turn an exception of the user's own code into one of pcbench's, with the user's as its cause.

    Args:
        what: What fails then, in words.

    Raises:
        RunError: The user's code failed.
    """
    try:
        yield
    except PcbenchError:
        raise
    except torch.OutOfMemoryError as error:
        raise RunError(f"{what}: the device's memory is too small; give a smaller batch_size") from error
    except Exception as error:
        raise RunError(f"{what}: {named(error)}") from error
