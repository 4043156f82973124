"""Backbones by name: torchvision's, timm's, and functions of the user's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from pcbench.data.imagenet_classes import torchvision_names
from pcbench.errors import PcbenchError, UsageError, named
from pcbench.models.libraries import open_hub, open_timm, open_torchvision
from pcbench.models.naming import ROBUSTBENCH, known_prefixes, refuse_prefix
from pcbench.models.robustbench_models import CIFAR10_NAMES, open_robustbench
from pcbench.own_code import named_object, working_folder_on_path
from pcbench.plugins import Plugin, find_plugin

_WAYS = ", ".join(["a name of the zoo", *(f"{prefix}:{rest}" for prefix, rest in known_prefixes().items())])


def open_backbone(spec: str) -> nn.Module:
    """Build a backbone: without trained weights where a library makes it, else with those that it comes with.

    Args:
        spec: ``"torchvision:vgg16"``, ``"timm:efficientnet_b0"``, ``"hf:OWNER/REPO"``,
            ``"robustbench:cifar10/Linf/Standard"``, the name of a model that another package registers, or
            ``"module:function"``, where the function takes no arguments and returns a `torch.nn.Module`.

    Raises:
        UnknownNameError: The library has no such model.
        UsageError: The text is none of these, or the function cannot be imported or does not return a module.
    """
    library, _, name = spec.partition(":")
    openers: dict[str, Callable[[str], nn.Module]] = {
        "torchvision": open_torchvision,
        "timm": open_timm,
        "hf": open_hub,
        ROBUSTBENCH: open_robustbench,
    }
    # Weights are loaded afterwards; PyTorch's random first weights must not change the global generator.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made = openers[library](name) if library in openers else call_function(spec)
    if not isinstance(made, nn.Module):
        raise UsageError(f"{spec} returns {type(made).__name__}; a backbone is a torch.nn.Module")
    return made


def registered_network(plugin: Plugin) -> Any:
    """Return what a model of another package is: what its function returns, or the object itself.

    Raises:
        UsageError: The plug-in is broken.
    """
    found = plugin.load()
    if isinstance(found, nn.Module):
        return found
    if not callable(found):
        raise plugin.broken("it is neither a function that returns a torch.nn.Module nor one itself")
    try:
        return found()
    except PcbenchError:
        raise
    except (Exception, SystemExit) as error:
        raise plugin.broken(named(error)) from error


def call_function(spec: str) -> Any:
    """Import ``"module:function"``, from the working folder as well, and return what the function returns.

    A name without a colon is that of a model which another package registers.

    Raises:
        UsageError: The text has no such form, the module or the function is not there, or either fails; what the
            user's own code raised is the error's cause.
    """
    if (plugin := find_plugin("models", spec)) is not None:
        return registered_network(plugin)
    module_name, colon, function_name = spec.partition(":")
    if not (colon and module_name and function_name):
        raise UsageError(f"{spec!r} is not a model; write {_WAYS} or MODULE:FUNCTION")
    refuse_prefix(spec)
    function = _named_function(spec)
    if isinstance(function, nn.Module):
        raise UsageError(
            f"{spec}: {function_name!r} is a network itself; name a function that returns it, such as "
            f"`def network(): return {function_name}`"
        )
    if not callable(function):
        raise UsageError(f"{spec}: {function_name!r} is not a function")
    with working_folder_on_path():
        try:
            return function()
        except PcbenchError:
            raise
        except (Exception, SystemExit) as error:
            raise UsageError(f"{spec}: {function_name!r} fails: {named(error)}; correct the function") from error


def _named_function(spec: str) -> Any:
    """Import what ``"module:function"`` names; where there is no such module, a prefix may have been meant."""
    try:
        return named_object(spec)
    except UsageError as error:
        if not isinstance(error.__cause__, ModuleNotFoundError):
            raise
        own = ", ".join(f"{prefix}:" for prefix in known_prefixes())
        raise UsageError(f"{error}; prefixes of libraries are {own}") from error.__cause__


def class_names(of: str) -> tuple[str, ...]:
    """Return the names of ``"imagenet"``'s, ``"cifar10"``'s or ``"digits"``'s classes, in label order."""
    if of == "digits":
        return tuple("0123456789")
    if of == "cifar10":
        return CIFAR10_NAMES
    return torchvision_names()
