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

from pcbench.errors import UnknownNameError, UsageError, WeightsError, first_line
from pcbench.extras import require


def open_robustbench(name: str, folder: Path | str = "models") -> nn.Module:
    """Load a model of RobustBench: images in [0, 1] -> logits; its normalisation is inside.

    Args:
        name: ``"<dataset>/<threat model>/<model>"``, such as ``"cifar10/Linf/Standard"``.
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
        raise UnknownNameError(f"{dataset}/{threat_model} model in RobustBench", model, models)
    try:
        loaded: nn.Module = library.utils.load_model(
            model_name=model, dataset=dataset, threat_model=threat_model, model_dir=str(folder)
        )
    except (OSError, RuntimeError, KeyError, ValueError, pickle.UnpicklingError) as error:
        problem = first_line(error)
        path = Path(folder) / dataset / threat_model / f"{model}.pt"
        raise WeightsError(f"{name}: no usable weights in {path}, and they cannot be downloaded ({problem})") from None
    return loaded.eval()


def _parts(name: str) -> tuple[str, str, str]:
    parts = name.split("/")
    if len(parts) != 3:
        raise UsageError(f"{name!r}: write a RobustBench model as dataset/threat model/model: cifar10/Linf/Standard")
    return parts[0], parts[1], parts[2]


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
