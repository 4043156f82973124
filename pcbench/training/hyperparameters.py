"""β, λ and α: the feasible set, and the configuration file that says how they were chosen."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pcbench.arguments import a_word
from pcbench.errors import UsageError
from pcbench.files import write
from pcbench.network.configuration import NetworkTable
from pcbench.network.targets import Targets
from pcbench.network.update import Hyperparameters

#: α is sought between these, evenly on a logarithmic scale.
ERROR_WEIGHTS = (1e-3, 2.0)
LEARNED = ("feedforward", "feedback", "error_weight")
"""β, λ and α, as the options of `pcbench tune` call them."""
_DIGITS = 4
_HASHES_A_LINE = 5


def from_shares(feedforward: float, share: float, error_weight: float, *, fed: bool) -> Hyperparameters:
    """Return feasible hyperparameters from independent numbers.

    Args:
        feedforward: β, 0 to 1.
        share: λ as a share of 1 - β, 0 to 1; the rest is memory.
        error_weight: α, at least 0.
        fed: Whether the PCoder receives feedback; the last one does not: λ = 0.
    """
    feedback = share * (1 - feedforward) if fed else 0.0
    return Hyperparameters(feedforward, feedback, error_weight)


def check_learned(learned: Collection[str]) -> None:
    """Refuse what are no hyperparameters, or none at all.

    Raises:
        UnknownNameError: A name is not one of `LEARNED`; the nearest is suggested.
        UsageError: There are none.
    """
    if not learned:
        raise UsageError(f"nothing to learn: `learn` is one or several of {', '.join(LEARNED)}")
    for name in learned:
        a_word("learn", name, LEARNED)


class FreeHyperparameters(nn.Module):
    """Hyperparameters that gradient descent can move freely and that stay feasible.

    Of each PCoder, (β, λ, memory) is a softmax of three numbers, so β, λ ≥ 0 and β + λ ≤ 1; α is the exponential of a
    number. The λ of a PCoder without feedback, such as the last, is left out of the softmax, and so is what stays as it
    is: the others share the rest.

    Args:
        start: Where the descent starts; zeros are moved inside the feasible set, which a softmax cannot leave.
        learned: Which of ``"feedforward"`` (β), ``"feedback"`` (λ) and ``"error_weight"`` (α) move.
        feedback: For each PCoder, the one that feeds back to it, or None; by default the one above.
        memory: Whether a representation's own past has a weight; without it β and λ share all of 1.
    """

    def __init__(
        self,
        start: Sequence[Hyperparameters],
        learned: Collection[str] = LEARNED,
        feedback: Sequence[int | None] | None = None,
        *,
        memory: bool = True,
    ) -> None:
        super().__init__()
        check_learned(learned)
        self._start, self._learned, self._memory = tuple(start), frozenset(learned), memory
        self._feedback = Targets.below(len(start)).feedback if feedback is None else tuple(feedback)
        if set(learned) == {"feedback"} and all(above is None for above in self._feedback):
            raise UsageError("nothing to learn: no PCoder of this network receives feedback, so none has a λ")
        shares = [
            [float(entry.feedforward), float(entry.feedback), 1 - float(entry.feedforward) - float(entry.feedback)]
            for entry in start
        ]
        self.shares = nn.Parameter(torch.tensor(shares).clamp(min=1e-3).log())
        errors = [float(entry.error_weight) or ERROR_WEIGHTS[0] for entry in start]
        self.errors = nn.Parameter(torch.tensor(errors).log())

    def forward(self) -> list[Hyperparameters]:
        """Return β, λ, α of each PCoder as tensors with a graph; those that are not learned as plain numbers."""
        entries: list[Hyperparameters] = []
        for index, (own, above) in enumerate(zip(self._start, self._feedback, strict=True)):
            feedback = 0.0 if above is None else own.feedback
            shares: dict[str, float | Tensor] = {"feedforward": own.feedforward, "feedback": feedback}
            free = [name for name in shares if name in self._learned]
            if above is None:
                free = [name for name in free if name != "feedback"]
            if free:
                rest = 1 - sum(float(shares[name]) for name in shares if name not in free)
                columns = [LEARNED.index(name) for name in free]
                moved = self.shares[index, [*columns, *([2] if self._memory else [])]].softmax(0) * rest
                shares |= {name: moved[column] for column, name in enumerate(free)}
            error = self.errors[index].exp() if "error_weight" in self._learned else own.error_weight
            entries.append(Hyperparameters(shares["feedforward"], shares["feedback"], error))
        return entries


def rounded(entries: Sequence[Hyperparameters]) -> tuple[Hyperparameters, ...]:
    """Return hyperparameters as plain numbers with four decimals, as a file holds them; still feasible.

    An α below 0.001 keeps four significant digits: where the error is a mean over one image, it may be as small.
    """
    plain: list[Hyperparameters] = []
    for entry in entries:
        feedforward = round(_number(entry.feedforward), _DIGITS)
        feedback = round(min(_number(entry.feedback), 1 - feedforward), _DIGITS)
        error = _number(entry.error_weight)
        error = float(f"{error:.{_DIGITS}g}") if error < ERROR_WEIGHTS[0] else round(error, _DIGITS)
        plain.append(Hyperparameters(feedforward, feedback, error))
    return tuple(plain)


def _number(value: float | Tensor) -> float:
    return float(value.detach()) if isinstance(value, Tensor) else float(value)


def configuration_text(
    table: NetworkTable,
    hyperparameters: Sequence[Hyperparameters],
    provenance: Sequence[str],
    tuned_on: Sequence[str] = (),
) -> str:
    """Return a configuration file with new hyperparameters.

    Args:
        table: The configuration; its other entries are kept.
        hyperparameters: β, λ, α of each PCoder.
        provenance: How they were chosen, one line each, written at the top as comments.
        tuned_on: A hash of each image that decided.
    """
    lines = [f"# {line}" for text in provenance for line in text.splitlines()]
    head = ("name", "input_size", "imports", "gradient_scaling", "shared_hyperparameters")
    entries: dict[str, Any] = {**table.model_dump(mode="json"), "shared_hyperparameters": False}
    control = entries.pop("control", None)
    lines += _lines(entries, head, without="pcoders")
    if control is not None:
        lines.append(f"control = {{{', '.join(_lines(control, (), without=''))}}}")
    if tuned_on:
        lines += ["tuned_on = [", *(f"    {', '.join(map(json.dumps, row))}," for row in _rows(tuned_on)), "]"]
    for pcoder, entry in zip(table.pcoders, hyperparameters, strict=True):
        lines += ["", "[[pcoders]]"]
        lines += _lines(pcoder.model_dump(mode="json"), ("module", "predictor"), without="hyperparameters")
        values = {"feedforward": entry.feedforward, "feedback": entry.feedback, "pc": entry.error_weight}
        written = ", ".join(f"{key} = {float(value)!r}" for key, value in values.items())
        lines.append(f"hyperparameters = {{{written}}}")
    return "\n".join(lines) + "\n"


def _rows(hashes: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(hashes), _HASHES_A_LINE):
        yield hashes[start : start + _HASHES_A_LINE]


def _lines(table: Mapping[str, object], first: Sequence[str], *, without: str) -> list[str]:
    """Return the entries of a table as TOML, the `first` ones before the others; None is what is not set."""
    names = [*first, *(name for name in table if name not in first and name != without)]
    # A JSON text, number, boolean or list of these is a TOML one too.
    return [f"{name} = {json.dumps(table[name], ensure_ascii=False)}" for name in names if table[name] is not None]


def write_configuration(
    path: Path,
    table: NetworkTable,
    hyperparameters: Sequence[Hyperparameters],
    provenance: Sequence[str],
    tuned_on: Sequence[str] = (),
) -> None:
    """Write a configuration file, completely or not at all; see `configuration_text`.

    Raises:
        WriteError: It cannot be written.
    """
    write(path, configuration_text(table, hyperparameters, provenance, tuned_on))
