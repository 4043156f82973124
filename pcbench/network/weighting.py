"""β, λ, α as users give them in code: checked as in a file, under our names or those of the reference's code."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from numbers import Real
from typing import TypeAlias, cast

import torch
from torch import Tensor

from pcbench.arguments import shown
from pcbench.errors import UnknownNameError, UsageError
from pcbench.network.grid import NAMES
from pcbench.network.update import Hyperparameters

Weights: TypeAlias = Hyperparameters | Mapping[str, float | Tensor]
"""β, λ, α of one PCoder. A mapping may leave some out, and may use the names of `pcbench.network.grid.NAMES`."""
GivenWeights: TypeAlias = Weights | Sequence[Weights]
"""The same for all PCoders, or one for each."""

_ROUNDING = 1e-6
"""By how much a sum of two shares may pass 1 in float32."""


def weights_of(
    given: GivenWeights, own: Sequence[Hyperparameters], feedback: Sequence[int | None]
) -> tuple[Hyperparameters, ...]:
    """Return hyperparameters as the dynamics use them: no λ for a PCoder that no other feeds back to, such as the last.

    Its memory would lose that share and nothing would replace it. Tensors that are being learned may leave the range
    that files have to keep.

    Args:
        given: What a user gives.
        own: The network's, which stand where a mapping says nothing; as many as there are PCoders.
        feedback: For each PCoder, the one that feeds back to it; None: none does.

    Raises:
        UsageError: There are more or fewer than PCoders, one is something else, a number is below 0 or not finite, or
            β and λ are together above 1.
        UnknownNameError: A mapping holds another name.
    """
    entries = _as_list(given, len(own))
    if len(entries) != len(own):
        raise UsageError(f"hyperparameters for {len(entries)} PCoders; the network has {len(own)}")
    read = [_read(entry, base) for entry, base in zip(entries, own, strict=True)]
    used = [
        entry if above is not None else replace(entry, feedback=0.0)
        for entry, above in zip(read, feedback, strict=True)
    ]
    for number, entry in enumerate(used, 1):
        _check(entry, number)
    return tuple(used)


def _as_list(given: object, pcoders: int) -> list[object]:
    if isinstance(given, Hyperparameters | Mapping):
        return [given] * pcoders
    if isinstance(given, Iterable) and not isinstance(given, str | bytes | Tensor):
        return list(cast("Iterable[object]", given))
    raise UsageError(_wrong(given))


def _wrong(given: object) -> str:
    return (
        "hyperparameters are {'feedforward': β, 'feedback': λ, 'error_weight': α}, one for all PCoders or a list with "
        f"one for each (got {shown(given)})"
    )


def _read(entry: object, base: Hyperparameters) -> Hyperparameters:
    if isinstance(entry, Hyperparameters):
        values = {field.name: getattr(entry, field.name) for field in dataclasses.fields(entry)}
    elif isinstance(entry, Mapping):
        values = _by_our_names(cast("Mapping[object, object]", entry))
    else:
        raise UsageError(_wrong(entry))
    return replace(base, **{name: _number(name, value) for name, value in values.items()})


def _by_our_names(entry: Mapping[object, object]) -> dict[str, object]:
    values: dict[str, object] = {}
    for name, value in entry.items():
        if name not in NAMES:
            raise UnknownNameError("hyperparameter", str(name), NAMES)
        if NAMES[str(name)] in values:
            raise UsageError(f"hyperparameters: {NAMES[str(name)]} is given twice, as {', '.join(map(str, entry))}")
        values[NAMES[str(name)]] = value
    return values


def _number(name: str, value: object) -> float | Tensor:
    if isinstance(value, Tensor):
        return value
    if isinstance(value, bool) or not isinstance(value, Real):  # numpy's numbers are such too
        raise UsageError(f"{name} is a number or a tensor (got {shown(value)})")
    return float(value)


def _check(entry: Hyperparameters, number: int) -> None:
    for name, value in vars(entry).items():
        if not _is_learned(value) and not _all(value, lambda numbers: (numbers >= 0) & numbers.isfinite()):
            raise UsageError(f"{name} of PCoder {number} is {shown(value)}; it is a finite number of at least 0")
    total: float | Tensor = entry.feedforward + entry.feedback
    if not _is_learned(total) and not _all(total, lambda numbers: numbers <= 1 + _ROUNDING):
        raise UsageError(
            f"feedforward + feedback of PCoder {number} is {shown(total)}; lower one of them, together they are at "
            "most 1"
        )


def _is_learned(value: float | Tensor) -> bool:
    return isinstance(value, Tensor) and value.requires_grad


def _all(value: float | Tensor, holds: Callable[[Tensor], Tensor]) -> bool:
    return bool(holds(torch.as_tensor(value, dtype=torch.float64)).all())
