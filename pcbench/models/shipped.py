"""Predictors that come with pcbench for a backbone that does not: their file, and which backbone they are for."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import cache

from torch import Tensor

from pcbench.errors import WeightsError
from pcbench.files import file_sha256
from pcbench.models.load_options import CheckedOptions
from pcbench.models.weights import StateDict, read_weights, values_sha256
from pcbench.models.zoo import ZooEntry

OTHER_BACKBONE = "predictors_of_other_backbone"
"""What a description calls predictors of pcbench's own on a backbone with other weights than they were trained on."""

logger = logging.getLogger("pcbench")


def shipped_weights(entry: ZooEntry) -> StateDict:
    """Return the tensors that come with pcbench for a model; none where there is no such file.

    Raises:
        WeightsError: The file is missing, or is not the one that was published.
    """
    path = entry.weights_path
    if path is None:
        return {}
    if not path.is_file() or file_sha256(path) != entry.weights_sha256:
        raise WeightsError(f"{path}: is missing or changed since it was published; install pcbench again")
    return read_weights(path)


def is_of_other_backbone(entry: ZooEntry, backbone: Mapping[str, Tensor], options: CheckedOptions) -> bool:
    """Return whether predictors of pcbench's own count that were trained on a backbone with other weights."""
    if entry.trained_on_backbone is None or options.weights is not None or options.random_predictors is not None:
        return False
    return values_sha256(backbone) != entry.trained_on_backbone


@cache
def _tell(line: str) -> None:
    logger.warning(line)


def tell_other_backbone(name: str, entry: ZooEntry) -> None:
    """Say, once in a process, that predictors of pcbench's own do not belong to a backbone."""
    _tell(
        f"{name}: its predictors, which come with pcbench, were trained on another backbone than this one "
        f"({entry.backbone_weights_from}), as the hashes of the weights say: train some for this one "
        "(pcbench train), and give them with `weights`"
    )
