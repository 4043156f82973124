"""Which of a backbone's outputs are its logits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from pcbench.errors import ConfigurationError
from pcbench.network.own_modules import logits_of

Output = int | str | None
"""The index of a tuple, the key of a mapping or the name of an attribute; None where there is one output, or one that
is called `logits`."""


def picked(answer: Any, output: Output) -> Any:
    """Return one of the outputs of a backbone.

    Args:
        answer: What the backbone gives.
        output: Which one.

    Raises:
        ConfigurationError: There is no such output; the message names those that there are.
    """
    if output is None:
        return answer
    if isinstance(answer, Mapping):
        table = cast("Mapping[Any, Any]", answer)
        if output in table:
            return table[output]
        raise _missing(output, f"a mapping with {', '.join(map(repr, table))}")
    if isinstance(output, str):
        if hasattr(answer, output):
            return getattr(answer, output)
        raise _missing(output, f"a {type(answer).__name__}" + _attributes(answer))
    if isinstance(answer, tuple | list):
        entries = cast("Sequence[Any]", answer)
        if -len(entries) <= output < len(entries):
            return entries[output]
        raise _missing(output, f"a {type(entries).__name__} of {len(entries)}")
    raise _missing(output, f"a {type(answer).__name__}")


def picked_logits(answer: Any, output: Output) -> Any:
    """Return the logits in what a backbone gives; see `picked` and `logits_of`."""
    return logits_of(picked(answer, output))


def _missing(output: int | str, given: str) -> ConfigurationError:
    return ConfigurationError(f"output = {output!r}: the backbone gives {given}; name one of its outputs")


def _attributes(answer: object) -> str:
    names = [name for name in getattr(answer, "__dict__", {}) if not name.startswith("_")]
    return f" with {', '.join(names)}" if names else ""
