"""From a definition to the adapter that runs it."""

from __future__ import annotations

from importlib import import_module

from pcbench.attacks.adapters.base import Adapter
from pcbench.attacks.definitions import AttackDefinition, Library
from pcbench.attacks.descent import GradientDescent

# Each module's `make` turns a definition into an adapter; a module is imported, with its library, when it is needed.
_HOMES: dict[Library, str] = {
    "foolbox": "pcbench.attacks.adapters.foolbox_library",
}

# foolbox's attacks that pcbench.attacks.descent computes bit for bit.
_DESCENT = {
    f"{norm}{method}Attack"
    for norm in ("Linf", "L2")
    for method in ("FastGradient", "BasicIterative", "ProjectedGradientDescent")
}


def select(definition: AttackDefinition, *, library_only: bool = False) -> Adapter:
    """Make the adapter of one attack.

    Args:
        definition: The attack.
        library_only: Run the library's own code even where pcbench has an equal, faster loop.

    Raises:
        UsageError: The library does not have the attack, or not with these parameters.
        MissingExtraError: The library is not installed.
    """
    adapter: Adapter = import_module(_HOMES[definition.library]).make(definition)
    equal = definition.library == "foolbox" and definition.attack in _DESCENT and not definition.parameters
    if library_only or not equal or definition.relative_step_size is None:
        return adapter
    return GradientDescent(definition)
