"""Models of RobustBench to compare with (robustbench 1.1.1).

Its import needs help: it says `autoattack` and means pyautoattack. Weights are RobustBench's own; where they are
missing its loader downloads them.
"""

from __future__ import annotations

import pickle
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from torch import nn

from pcbench.data.imagenet_classes import torchvision_names
from pcbench.data.preprocessing import Preprocessing
from pcbench.errors import UnknownNameError, UsageError, WeightsError, first_line
from pcbench.extras import require
from pcbench.models.weights import tensors_alone

CIFAR10_NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
"""The names of CIFAR-10's classes by label."""
_DEFAULTS = ("cifar10", "Linf")


def open_robustbench(name: str, folder: Path | str = "models") -> nn.Module:
    """Load a model of RobustBench: images in [0, 1] -> logits; its normalisation is inside.

    Args:
        name: ``"<dataset>/<threat model>/<model>"``, such as ``"cifar10/Linf/Standard"``; a model alone is looked for
            in cifar10/Linf, as by RobustBench's own `load_model`.
        folder: Where weights lie, and downloads are put, as
            ``<folder>/<dataset>/<threat model>/<model>.pt``.

    Raises:
        MissingExtraError: robustbench is not installed.
        UnknownNameError: RobustBench has no such data set, threat model or model.
        WeightsError: The weights are missing and cannot be downloaded, or are damaged.
        UsageError: The name is not of this form, or torchattacks is installed beside robustbench.
    """
    dataset, threat_model, model = _parts(name)
    library = _import()
    models = _models(dataset, threat_model)
    if model not in models:
        if name == model:
            raise UsageError(_elsewhere(name))
        raise UnknownNameError(f"{dataset}/{threat_model} model in RobustBench", model, models)
    try:
        with tensors_alone():
            loaded: Any = library.utils.load_model(
                model_name=model, dataset=dataset, threat_model=threat_model, model_dir=str(folder)
            )
    except (OSError, RuntimeError, KeyError, ValueError, pickle.UnpicklingError) as error:
        problem = first_line(error)
        path = Path(folder) / dataset / threat_model / f"{model}.pt"
        raise WeightsError(f"{name}: no usable weights in {path}, and they cannot be downloaded ({problem})") from None
    loaded.preprocessing = _preprocessing(dataset, threat_model, model)
    if dataset == "cifar10":
        loaded.class_names = CIFAR10_NAMES
    elif dataset == "imagenet":
        loaded.class_names = torchvision_names()
    return loaded.eval()


def _parts(name: str) -> tuple[str, str, str]:
    parts = name.split("/")
    if len(parts) == 1 and name:
        return (*_DEFAULTS, name)
    if len(parts) != 3:
        raise UsageError(f"{name!r}: write a RobustBench model as dataset/threat model/model: cifar10/Linf/Standard")
    return parts[0], parts[1], parts[2]


def _elsewhere(name: str) -> str:
    """Return what to say of a model that is not among those of which a name alone is one."""
    tables: dict[Any, dict[Any, dict[str, Any]]] = import_module("robustbench.model_zoo.models").model_dicts
    found = [
        f"robustbench:{dataset.value}/{threat.value}/{name}"
        for dataset, threats in tables.items()
        for threat, models in threats.items()
        if name in models
    ]
    if found:
        return f"robustbench:{name} is not in {'/'.join(_DEFAULTS)}: write {' or '.join(found)}"
    known = {model for threats in tables.values() for models in threats.values() for model in models}
    return str(UnknownNameError("model in RobustBench", name, known))


def _preprocessing(dataset: str, threat_model: str, model: str) -> Preprocessing:
    """Return what RobustBench does to an image before the model sees it."""
    enums, data = import_module("robustbench.model_zoo.enums"), import_module("robustbench.data")
    place = (enums.BenchmarkDataset(dataset), enums.ThreatModel(threat_model))
    found: dict[str, Any] = {}
    for step in data.get_preprocessing(*place, model, None).transforms:
        size: Any = getattr(step, "size", None)
        if size is None:
            continue
        sides = [int(size)] if isinstance(size, int) else [int(side) for side in size]
        if type(step).__name__ == "Resize":
            found |= {"resize": sides[0], "interpolation": step.interpolation.value}
        if type(step).__name__ == "CenterCrop" or len(sides) == 2:  # it squeezes images that are not square
            found["crop"] = sides[0]
    return Preprocessing(**found)


def _import() -> Any:
    for alias, real in (("autoattack", "pyautoattack"), ("autoattack.state", "pyautoattack.state")):
        if alias not in sys.modules:
            sys.modules[alias] = import_module(real)
    library = require("robustbench")
    import_module("robustbench.utils")
    return library


def _models(dataset: str, threat_model: str) -> list[str]:
    tables: dict[Any, dict[Any, dict[str, Any]]] = import_module("robustbench.model_zoo.models").model_dicts
    datasets = {key.value: value for key, value in tables.items()}
    if dataset not in datasets:
        raise UnknownNameError("data set in RobustBench", dataset, datasets)
    threats = {key.value: value for key, value in datasets[dataset].items()}
    if threat_model not in threats:
        raise UnknownNameError(f"threat model of {dataset} in RobustBench", threat_model, threats)
    return sorted(threats[threat_model])
