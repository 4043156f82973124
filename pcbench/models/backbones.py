"""Backbones by name: torchvision's, timm's, and functions of the user's own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast
from urllib.error import URLError

import torch
from torch import Tensor, nn

from pcbench.data.imagenet_classes import torchvision_names
from pcbench.errors import PcbenchError, UnknownNameError, UsageError, WeightsError, first_line, named
from pcbench.own_code import named_object, working_folder_on_path


def open_backbone(spec: str) -> nn.Module:
    """Build a backbone without trained weights.

    Args:
        spec: ``"torchvision:vgg16"``, ``"timm:efficientnet_b0"`` or ``"module:function"``, where the function takes
            no arguments and returns a `torch.nn.Module`.

    Raises:
        UnknownNameError: The library has no such model.
        UsageError: The text is none of the three, or the function cannot be imported or does not return a module.
    """
    library, _, name = spec.partition(":")
    # Weights are loaded afterwards; PyTorch's random first weights must not change the global generator.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        if library == "torchvision":
            return _open_torchvision(name)
        if library == "timm":
            return _open_timm(name)
        made = call_function(spec)
    if not isinstance(made, nn.Module):
        raise UsageError(f"{spec} returns {type(made).__name__}; a backbone is a torch.nn.Module")
    return made


def call_function(spec: str) -> Any:
    """Import ``"module:function"``, from the working folder as well, and return what the function returns.

    Raises:
        UsageError: The text has no such form, the module or the function is not there, or either fails; what the
            user's own code raised is the error's cause.
    """
    module_name, colon, function_name = spec.partition(":")
    if not (colon and module_name and function_name):
        raise UsageError(f"{spec!r} is not a model; write a zoo name, torchvision:NAME, timm:NAME or module:function")
    function = named_object(spec)
    if not callable(function):
        raise UsageError(f"{spec}: {function_name!r} is not a function")
    with working_folder_on_path():
        try:
            return function()
        except PcbenchError:
            raise
        except Exception as error:
            raise UsageError(f"{spec}: {function_name!r} fails: {named(error)}; correct the function") from error


def _open_torchvision(name: str) -> nn.Module:
    from torchvision.models import get_model, list_models

    if name not in list_models():
        raise UnknownNameError("torchvision model", name, list_models())
    return get_model(name, weights=None, **_quiet(name))


def _quiet(name: str) -> dict[str, Any]:
    # These two warn unless they are given a way to start weights that are replaced anyway.
    return {"init_weights": False} if name in ("googlenet", "inception_v3") else {}


def _open_timm(name: str) -> nn.Module:
    import timm

    if not timm.is_model(name):
        raise UnknownNameError("timm model", name, timm.list_models())
    return timm.create_model(name, pretrained=False)


def published_weights(spec: str, pretrained: str) -> Mapping[str, Tensor]:
    """Return a library's published weights of a backbone, downloaded on first use and kept by that library.

    Files are read without executing anything, and checked against the hash that the library publishes.

    Args:
        spec: ``"torchvision:NAME"`` or ``"timm:NAME"``.
        pretrained: The library's name of the weights, such as ``"IMAGENET1K_V1"`` or ``"ra_in1k"``.

    Raises:
        WeightsError: They cannot be fetched; the message says how to give them.
    """
    library, _, name = spec.partition(":")
    remedy = f"give them with backbone_weights='FILE' ({library}'s weights of {name}, as safetensors or .pth)"
    try:
        return _fetch_torchvision(name, pretrained) if library == "torchvision" else _fetch_timm(name, pretrained)
    except (URLError, OSError, RuntimeError) as error:
        reason = first_line(error)
        raise WeightsError(
            f"{library}'s {pretrained} weights of {name} cannot be fetched ({reason}); {remedy}"
        ) from None


def _fetch_torchvision(name: str, pretrained: str) -> Mapping[str, Tensor]:
    from torchvision import models

    # torchvision leaves a type of its own open.
    group = cast("Callable[[str], Any]", models.get_model_weights)  # pyright: ignore[reportUnknownMemberType]
    weights = group(name)[pretrained]
    return weights.get_state_dict(progress=False, check_hash=True, map_location="cpu", weights_only=True)


def _fetch_timm(name: str, pretrained: str) -> Mapping[str, Tensor]:
    import timm

    return timm.create_model(f"{name}.{pretrained}", pretrained=True).state_dict()


def class_names(of: str) -> tuple[str, ...]:
    """Return the names of ``"imagenet"``'s, ``"cifar10"``'s or ``"digits"``'s classes, in label order."""
    if of == "digits":
        return tuple("0123456789")
    if of == "cifar10":
        return ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
    return torchvision_names()
