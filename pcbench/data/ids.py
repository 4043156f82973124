"""Ids of images: text, however they are written."""

from __future__ import annotations

from collections.abc import Iterable, Set
from typing import Any, cast

import numpy as np
import torch

from pcbench.arguments import asked, shown
from pcbench.errors import UsageError, named


def as_ids(ids: Any) -> tuple[str, ...]:
    """Return ids as texts: 0, ``"0"``, ``np.int64(0)``, ``b"0"`` and ``torch.tensor(0)`` are one id, ``"0"``.

    Raises:
        UsageError: These are not several ids, or an object of the user's own raised an exception, which is the cause.
    """
    return asked("ids", lambda: _as_texts(ids))


def _as_texts(ids: Any) -> tuple[str, ...]:
    if isinstance(ids, Set):
        raise UsageError("ids are a list of names in the order of the images; a set has no order")
    if not isinstance(ids, Iterable) or getattr(cast("Any", ids), "ndim", 1) == 0:
        raise UsageError(f"ids are a list of names, one for each image, not {shown(cast('object', ids))}")
    return tuple(_as_text(entry) for entry in cast("Iterable[Any]", ids))


def _as_text(entry: Any) -> str:
    if isinstance(entry, str):
        return str(entry)
    try:
        if isinstance(entry, torch.Tensor):
            entry = cast("object", entry.detach().cpu().tolist())
        # An array of one element and no axis is that element.
        plain: object = np.asarray(entry).item() if np.ndim(entry) == 0 else entry
        return plain.decode(errors="replace") if isinstance(plain, bytes) else str(plain)
    except Exception as error:
        raise UsageError(f"an id is a name or a number, not a {type(entry).__name__} ({named(error)})") from error
