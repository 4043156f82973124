"""Optional libraries, and the two that cannot be installed together."""

from __future__ import annotations

from importlib import import_module, metadata
from typing import Any

from pcbench.errors import MissingExtraError, UsageError

# torchattacks' wheel installs an old copy of robustbench over the real one.
EXCLUSIVE = ("torchattacks", "robustbench")


def is_installed(library: str) -> bool:
    """Return whether a distribution of this name is installed."""
    try:
        metadata.distribution(library)
    except metadata.PackageNotFoundError:
        return False
    return True


def require(library: str) -> Any:
    """Import torchattacks, robustbench or ray, whose extras have their names.

    Raises:
        MissingExtraError: It is not installed.
        UsageError: Both are installed, so that one of them is damaged.
    """
    if library in EXCLUSIVE:
        refuse_both()
    if not is_installed(library):
        raise MissingExtraError(library, library)
    return import_module(library)


def refuse_both() -> None:
    """Refuse an environment in which torchattacks has overwritten robustbench.

    Raises:
        UsageError: Both are installed.
    """
    if all(is_installed(library) for library in EXCLUSIVE):
        raise UsageError(
            "torchattacks and robustbench are both installed, and torchattacks' old copy of robustbench overwrites the "
            "real one; make a fresh environment for each: uv run --isolated --extra torchattacks (or robustbench)"
        )
