"""torchvision's and timm's classifiers: what their libraries state of them, the networks, and the published weights."""

from __future__ import annotations

import dataclasses
import logging
import math
import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, cast
from urllib.error import URLError

from torch import Tensor, nn

from pcbench.errors import UnknownNameError, UsageError, WeightsError, first_line, named
from pcbench.models.hub import HUB_WEIGHTS, download, hub_model, hub_weights
from pcbench.models.naming import library_models, unknown_of_library
from pcbench.models.weights import StateDict
from pcbench.models.zoo import PreprocessingTable

_IMAGENET = 1000
_FEWEST = 10_000
"""timm's other sets of classes are larger than this; smaller numbers are those of features."""
_OF_BENCHMARKS = 224
"""The side of the images that ImageNet-C and its likes are defined for."""
# torchvision's densenets were published under older names of their layers, which their own loader changes.
_DENSE = re.compile(r"(denselayer\d+\.(?:norm|relu|conv))\.(?=[12]\.)")

_PLACES = {"url", "file", "state_dict", "hf_hub_id", "hf_hub_filename", "source", "custom_load"}
"""Keys of timm's that say where weights are."""

logger = logging.getLogger("pcbench")


@cache
def _say(line: str) -> None:
    """Log a line once in a process: a plan, a run and its workers ask for one model often."""
    logger.info(line)


def open_torchvision(name: str) -> nn.Module:
    """Return a classifier of torchvision with untrained weights.

    Args:
        name: ``"resnet18"`` or ``"resnet18@IMAGENET1K_V1"``.

    Raises:
        UnknownNameError: torchvision has no such classifier.
    """
    from torchvision.models import get_model

    name = _torchvision_name(name)
    # These two warn unless they are given a way to start weights that are replaced anyway.
    quiet: dict[str, Any] = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
    return get_model(name, weights=None, **quiet)


def open_timm(name: str, **more: Any) -> nn.Module:
    """Return a network of timm with untrained weights.

    Args:
        name: ``"resnet18"`` or ``"resnet18.a1_in1k"``.
        **more: As for `timm.create_model`.

    Raises:
        UnknownNameError: timm has no such network, or knows no such weights of it.
    """
    import timm

    if not more:
        _timm_facts(name)
    return timm.create_model(name, pretrained=False, **more)


def torchvision_facts(name: str, side: int | None) -> dict[str, Any]:
    """Return what torchvision states of a classifier, as the fields of a `ZooEntry`.

    Args:
        name: As for `open_torchvision`.
        side: Of the images that a configuration states; None for what torchvision states.
    """
    weights = _torchvision_weights(name)
    transforms = weights.transforms()
    crop = transforms.crop_size[0] if side is None else side
    return {
        "classes": len(weights.meta["categories"]),
        "class_names": "imagenet",
        "mean": tuple(transforms.mean),
        "std": tuple(transforms.std),
        "preprocessing": PreprocessingTable(
            resize=max(transforms.resize_size[0], crop), crop=crop, interpolation=transforms.interpolation.value
        ),
        "pretrained": weights.name,
    }


def _torchvision_name(name: str) -> str:
    name = name.partition("@")[0]
    known = library_models("torchvision")
    if name not in known:
        from torchvision.models import list_models

        if name in list_models():
            raise UsageError(f"torchvision:{name} is no classifier of images, and pcbench measures these alone")
        raise unknown_of_library("torchvision", name)
    return name


def _torchvision_weights(name: str) -> Any:
    from torchvision import models

    name, _, tag = (_torchvision_name(name), *name.partition("@")[1:])
    # torchvision leaves a type of its own open.
    group = cast("Callable[[str], Any]", models.get_model_weights)(name)  # pyright: ignore[reportUnknownMemberType]
    tag = tag.rpartition(".")[2]  # some write ResNet50_Weights.IMAGENET1K_V2
    others = [one.name for one in group]
    if tag in ("", "DEFAULT"):
        if len(others) > 1 and not tag:
            _say(f"torchvision:{name}: of {' and '.join(others)}, {group.DEFAULT.name} is torchvision's default")
        return group.DEFAULT
    if tag not in others:
        raise UnknownNameError(f"weights of torchvision's {name}", tag, others)
    return group[tag]


def timm_facts(name: str, side: int | None) -> dict[str, Any]:
    """Return what timm states of a network, as the fields of a `ZooEntry`; as for `torchvision_facts`."""
    stated = _timm_facts(name)
    if stated.num_classes != _IMAGENET and stated.num_classes < _FEWEST:
        raise UsageError(
            f"timm:{name} gives features and no classes, and cannot be measured as a classifier; of its weights those "
            "whose names end in _in1k are of classifiers"
        )
    keys: dict[str, Any] = {**vars(stated)}
    published = stated.tag if stated.url or stated.hf_hub_id else None
    return {**facts_of_timm(f"timm:{name}", keys, side), "pretrained": published}


def _timm_facts(name: str) -> Any:
    import timm

    base, _, tag = name.partition(".")
    if base not in library_models("timm"):
        raise unknown_of_library("timm", name)
    known = [one.partition(".")[2] for one in timm.list_models(f"{base}.*", pretrained=True)]
    if tag and tag not in known:
        raise UnknownNameError(f"weights of timm's {base}", tag, known)
    return timm.get_pretrained_cfg(name, allow_unregistered=True) or timm.models.PretrainedCfg()


def hub_facts(name: str, side: int | None) -> dict[str, Any]:
    """Return what a repository of the hub states, as the fields of a `ZooEntry`; as for `torchvision_facts`."""
    model = hub_model(name)
    facts = facts_of_timm(f"hf:{name}", model.stated, side)
    return {**facts, "class_names": model.class_names or facts["class_names"], "pretrained": model.commit}


def open_hub(name: str) -> nn.Module:
    """Return the network that a repository of the hub names, with untrained weights.

    Args:
        name: ``"OWNER/REPO"`` or ``"OWNER/REPO@REVISION"``.

    Raises:
        UsageError: timm cannot make it as the repository says.
        WeightsError: The repository cannot be reached.
    """
    from timm.models import PretrainedCfg

    model = hub_model(name)
    known = {one.name for one in dataclasses.fields(PretrainedCfg)} - _PLACES
    stated = {key: value for key, value in model.stated.items() if key in known}
    classes = stated.get("num_classes", 1000)
    try:
        return open_timm(model.architecture, pretrained_cfg=stated, num_classes=classes, **model.arguments)
    except (TypeError, ValueError, RuntimeError, AssertionError, KeyError) as error:
        what = f"timm cannot make {model.architecture} as config.json says"
        raise UsageError(f"hf:{name}: {what}: {named(error)}") from error


def facts_of_timm(model: str, stated: Mapping[str, Any], side: int | None) -> dict[str, Any]:
    """Return what a configuration of timm states, as the fields of a `ZooEntry`.

    Args:
        model: The model's name, for messages.
        stated: The keys of timm's `PretrainedCfg`.
        side: As for `torchvision_facts`. Where it is None, it is 224 where timm states this for training or for
            testing, as the corruptions of ImageNet-C are made for it, and else what timm states for testing.

    Raises:
        UsageError: It is no classifier.
    """
    classes = stated.get("num_classes", _IMAGENET)
    if not classes or classes < 2:
        raise UsageError(f"{model} gives features and no classes, and cannot be measured as a classifier")
    trained: tuple[int, ...] = tuple(stated.get("input_size") or (3, _OF_BENCHMARKS, _OF_BENCHMARKS))
    tested: tuple[int, ...] = tuple(stated.get("test_input_size") or trained)
    kept: float = stated.get("crop_pct") or 0.875
    crop, share = tested[-1], stated.get("test_crop_pct") or kept
    if trained[-1] == _OF_BENCHMARKS != crop:
        crop, share = trained[-1], kept
    crop = side or crop
    if stated.get("crop_mode", "center") != "center":
        _say(f"{model}: timm squeezes images that are not square; here their short side is resized and the middle cut")
    return {
        "classes": int(classes),
        "class_names": "imagenet" if classes == _IMAGENET else None,
        "mean": tuple(stated.get("mean") or (0.485, 0.456, 0.406)),
        "std": tuple(stated.get("std") or (0.229, 0.224, 0.225)),
        "preprocessing": PreprocessingTable(
            resize=math.floor(crop / share), crop=crop, interpolation=stated.get("interpolation") or "bicubic"
        ),
    }


def published_weights(spec: str, pretrained: str) -> Mapping[str, Tensor]:
    """Return a library's published weights of a backbone, downloaded on first use and kept by that library.

    Files are read without executing anything, and checked against the hash that the library publishes.

    Args:
        spec: ``"torchvision:NAME"``, ``"timm:NAME"`` or ``"hf:OWNER/REPO@COMMIT"``.
        pretrained: The library's name of the weights, such as ``"IMAGENET1K_V1"`` or ``"ra_in1k"``.

    Raises:
        WeightsError: They cannot be fetched; the message says how to give them.
    """
    library, _, name = spec.partition(":")
    if library == "hf":
        return hub_weights(name)
    name = name.partition("@" if library == "torchvision" else ".")[0]
    place = _place(library, name, pretrained)
    remedy = f"give them with backbone_weights='FILE' ({library}'s weights of {name}, as safetensors or .pth: {place})"
    try:
        return _fetch_torchvision(name, pretrained) if library == "torchvision" else _fetch_timm(name, pretrained)
    except (URLError, OSError, RuntimeError, WeightsError) as error:
        reason = first_line(error)
        raise WeightsError(
            f"{library}'s {pretrained} weights of {name} cannot be fetched ({reason}); {remedy}"
        ) from None


def _place(library: str, name: str, pretrained: str) -> str:
    """Return where a library's weights are, for those who fetch them on another machine."""
    if library == "torchvision":
        return str(_torchvision_weights(f"{name}@{pretrained}").url)
    stated = _timm_facts(f"{name}.{pretrained}")
    return f"https://huggingface.co/{stated.hf_hub_id}" if stated.hf_hub_id else str(stated.url)


def _fetch_torchvision(name: str, pretrained: str) -> Mapping[str, Tensor]:
    weights = _torchvision_weights(f"{name}@{pretrained}")
    return weights.get_state_dict(progress=False, check_hash=True, map_location="cpu", weights_only=True)


def _fetch_timm(name: str, pretrained: str) -> Mapping[str, Tensor]:
    import timm

    stated = _timm_facts(f"{name}.{pretrained}")
    overlay: dict[str, Any] = {}
    if stated.hf_hub_id and not stated.custom_load and not stated.hf_hub_filename:
        # timm asks the hub for several minutes where there is no network, and asks again for what it has.
        overlay = {"file": str(download(stated.hf_hub_id, None, HUB_WEIGHTS))}
    return timm.create_model(f"{name}.{pretrained}", pretrained=True, pretrained_cfg_overlay=overlay).state_dict()


def in_present_names(backbone: str, state: StateDict) -> StateDict:
    """Return weights under the names that a library's network has today."""
    if not backbone.startswith("torchvision:densenet"):
        return state
    return {_DENSE.sub(r"\1", name): tensor for name, tensor in state.items()}


STATING: dict[str, Callable[[str, int | None], dict[str, Any]]] = {
    "torchvision": torchvision_facts,
    "timm": timm_facts,
    "hf": hub_facts,
}
"""What each library states of a model: its name and the side of a configuration's images -> fields of a `ZooEntry`."""
