"""From a definition to the adapter that runs it."""

from __future__ import annotations

from importlib import import_module

from pcbench.attacks import libraries
from pcbench.attacks.adapters.base import Adapter
from pcbench.attacks.adapters.minimal_norm import MinimalNorm
from pcbench.attacks.definitions import AttackDefinition
from pcbench.attacks.descent import GradientDescent
from pcbench.errors import UsageError
from pcbench.norms import NORMS

# foolbox's attacks that pcbench.attacks.descent computes bit for bit.
_DESCENT = {
    f"{norm.library_name}{method}Attack"
    for norm in NORMS.values()
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
    if definition.over_timesteps is not None:
        raise UsageError(f"{definition.name} attacks all timesteps at once; it needs them all, not one classifier")
    adapter: Adapter = import_module(adapter_module(definition)).make(definition)
    if definition.search == "minimal_norm":
        return MinimalNorm(adapter)
    return adapter if library_only or not is_descent(definition) else GradientDescent(definition)


def adapter_module(definition: AttackDefinition) -> str:
    """Return the module whose `make` turns a definition into its adapter."""
    return f"{libraries.__name__}.{definition.library}"


def is_descent(definition: AttackDefinition) -> bool:
    """Return whether the attack is one of FGSM, BIM and PGD as `GradientDescent` runs them."""
    known = definition.library == "foolbox" and definition.attack in _DESCENT and not definition.parameters
    return known and definition.steps is not None and definition.relative_step_size is not None
