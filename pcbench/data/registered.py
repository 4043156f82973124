"""Data that other packages register: `NAME` or `NAME:PLACE` as the text of a data source."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pcbench.errors import PcbenchError, named
from pcbench.plugins import find_plugin


def registered_data(text: str, split: str) -> Any | None:
    """Return what another package gives for the text of a data source; None where none registers its first word.

    A package registers, in the group ``pcbench.data``, a function that takes the text behind the colon (empty where
    there is none) and the name of a split, and returns anything that `pcbench.data.objects.open_object` takes.

    Args:
        text: Such as ``"mydata"`` or ``"mydata:~/images"``.
        split: The name of the split.

    Raises:
        UsageError: The plug-in is broken.
    """
    name, _, place = text.partition(":")
    plugin = find_plugin("data", name)
    if plugin is None:
        return None
    function = plugin.load()
    if not callable(function):
        raise plugin.broken("it is not a function (place, split) that returns images and labels")
    try:
        found: Any = function(place, split)
    except PcbenchError:
        raise
    except Exception as error:
        raise plugin.broken(named(error)) from error
    if found is None or isinstance(found, str):
        raise plugin.broken(f"it returns {found!r}, not an object with images and labels")
    return found


def registered_name(text: str, split: str) -> str:
    """Return what results call such data: its name, and the file or folder, or else the split.

    Args:
        text: As for `registered_data`.
        split: The name of the split.
    """
    name, _, place = text.partition(":")
    return f"{name}:{Path(place).name or split}"
