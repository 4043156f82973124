"""What a request names is looked for before PyTorch is loaded, so that a typo is told within a second."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pcbench.arguments import a_word
from pcbench.attacks.given import refuse_unknown_attack
from pcbench.catalog import is_absent, refuse_missing, suite_folder
from pcbench.corruptions.given import refuse_unknown_corruption
from pcbench.data.names import refuse_missing_data
from pcbench.errors import UsageError
from pcbench.harness.request import one_or_several
from pcbench.models.known_words import ABLATIONS, PRECISIONS, refuse_unknown_device
from pcbench.models.naming import no_such_weights, refuse_unknown_model

_NAMES: Mapping[str, Callable[[str], object]] = {
    "model": refuse_unknown_model,
    "suites": suite_folder,
    "corruptions": refuse_unknown_corruption,
    "attacks": refuse_unknown_attack,
    "data": refuse_missing_data,
    "device": refuse_unknown_device,
}
_WORDS = {"precision": PRECISIONS, "ablation": ABLATIONS}
_FOLDERS = {
    "corrupted": "there is no such folder of published corrupted images",
    "adversarials": "there is no such folder; give that of a run with `save_adversarials`",
}


def refuse_unknown_names(request: Mapping[str, Any]) -> None:
    """Refuse a name that nothing has, or a file that is not there; what they hold is looked at when they are opened.

    Args:
        request: Options with their values, of any verb; objects of Python are no names.

    Raises:
        UnknownNameError: No model, suite, corruption, attack, data source, precision or ablation has the name.
        UsageError: A file or folder is not there, or a name is written otherwise.
    """
    if request.get("spec") is not None:
        return  # a saved plan has its own names
    for option, refuse_unknown in _NAMES.items():
        for name in one_or_several(request.get(option)):
            if isinstance(name, str):
                refuse_unknown(name)
    for option, known in _WORDS.items():
        if request.get(option) is not None:
            a_word(option, request[option], known)
    _refuse_missing_files(request)


def _refuse_missing_files(request: Mapping[str, Any]) -> None:
    if is_absent(request.get("backbone_weights")):
        raise no_such_weights(Path(request["backbone_weights"]))
    weights = request.get("weights")
    folder, _, epoch = str(weights).rpartition("@")  # FOLDER@EPOCH
    if is_absent(weights) and not (epoch.isdigit() and not is_absent(folder)):
        raise no_such_weights(Path(str(weights)))
    for option in ("configuration", "baseline"):
        refuse_missing(request.get(option))
    for option, why in _FOLDERS.items():
        if is_absent(request.get(option)):
            raise UsageError(f"{request[option]}: {why}")
