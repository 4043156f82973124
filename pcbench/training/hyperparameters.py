"""β, λ and α: the feasible set, and the configuration file that says how they were chosen."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from pcbench.files import write
from pcbench.network.configuration import HyperparameterTable, NetworkTable
from pcbench.network.update import Hyperparameters

#: α is sought between these, evenly on a logarithmic scale.
ERROR_WEIGHTS = (1e-3, 2.0)
_DIGITS = 4


def from_shares(feedforward: float, share: float, error_weight: float, *, last: bool) -> Hyperparameters:
    """Return feasible hyperparameters from independent numbers.

    Args:
        feedforward: β, 0 to 1.
        share: λ as a share of 1 - β, 0 to 1; the rest is memory.
        error_weight: α, at least 0.
        last: The last PCoder receives no feedback: λ = 0.
    """
    feedback = 0.0 if last else share * (1 - feedforward)
    return Hyperparameters(feedforward, feedback, error_weight)


def default_hyperparameters(count: int) -> tuple[Hyperparameters, ...]:
    """Return Predify's default β, λ, α for each of `count` PCoders."""
    table = HyperparameterTable()
    return tuple(
        Hyperparameters(table.feedforward, table.feedback if index < count - 1 else 0.0, table.pc)
        for index in range(count)
    )


class FreeHyperparameters(nn.Module):
    """Hyperparameters that gradient descent can move freely and that stay feasible.

    Of each PCoder, (β, λ, memory) is a softmax of three numbers, so β, λ ≥ 0 and β + λ ≤ 1; α is the exponential of a
    number. The last PCoder's λ is left out of the softmax.

    Args:
        start: Where the descent starts; zeros are moved inside the feasible set, which a softmax cannot leave.
    """

    def __init__(self, start: Sequence[Hyperparameters]) -> None:
        super().__init__()
        self._count = len(start)
        shares = [
            [float(entry.feedforward), float(entry.feedback), 1 - float(entry.feedforward) - float(entry.feedback)]
            for entry in start
        ]
        self.shares = nn.Parameter(torch.tensor(shares).clamp(min=1e-3).log())
        errors = [max(float(entry.error_weight), ERROR_WEIGHTS[0]) for entry in start]
        self.errors = nn.Parameter(torch.tensor(errors).log())

    def forward(self) -> list[Hyperparameters]:
        """Return β, λ, α of each PCoder as tensors with a graph."""
        entries: list[Hyperparameters] = []
        for index in range(self._count):
            last = index == self._count - 1
            logits = self.shares[index, ::2] if last else self.shares[index]
            shares = logits.softmax(0)
            feedback: float | Tensor = 0.0 if last else shares[1]
            entries.append(Hyperparameters(shares[0], feedback, self.errors[index].exp()))
        return entries


def rounded(entries: Sequence[Hyperparameters]) -> tuple[Hyperparameters, ...]:
    """Return hyperparameters as plain numbers with four decimals, as a file holds them; still feasible."""
    plain: list[Hyperparameters] = []
    for entry in entries:
        feedforward = round(float(entry.feedforward), _DIGITS)
        feedback = round(min(float(entry.feedback), 1 - feedforward), _DIGITS)
        plain.append(Hyperparameters(feedforward, feedback, round(float(entry.error_weight), _DIGITS)))
    return tuple(plain)


def configuration_text(
    table: NetworkTable, hyperparameters: Sequence[Hyperparameters], provenance: Sequence[str]
) -> str:
    """Return a configuration file with new hyperparameters.

    Args:
        table: The configuration; its other entries are kept.
        hyperparameters: β, λ, α of each PCoder.
        provenance: How they were chosen, one line each, written at the top as comments.
    """
    # A JSON string, list of strings or boolean is a TOML one too.
    head: Mapping[str, object] = {
        "name": table.name,
        "input_size": list(table.input_size),
        "imports": list(table.imports),
        "gradient_scaling": table.gradient_scaling,
        "shared_hyperparameters": False,
    }
    lines = [f"# {line}" for text in provenance for line in text.splitlines()]
    lines += [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in head.items()]
    for pcoder, entry in zip(table.pcoders, hyperparameters, strict=True):
        lines += ["", "[[pcoders]]", f"module = {json.dumps(pcoder.module, ensure_ascii=False)}"]
        if pcoder.predictor is not None:
            lines.append(f"predictor = {json.dumps(pcoder.predictor, ensure_ascii=False)}")
        if pcoder.error_window is not None:
            lines.append(f"error_window = {float(pcoder.error_window)!r}")
        values = {"feedforward": entry.feedforward, "feedback": entry.feedback, "pc": entry.error_weight}
        written = ", ".join(f"{key} = {float(value)!r}" for key, value in values.items())
        lines.append(f"hyperparameters = {{{written}}}")
    return "\n".join(lines) + "\n"


def write_configuration(
    path: Path, table: NetworkTable, hyperparameters: Sequence[Hyperparameters], provenance: Sequence[str]
) -> None:
    """Write a configuration file, completely or not at all; see `configuration_text`.

    Raises:
        WriteError: It cannot be written.
    """
    write(path, configuration_text(table, hyperparameters, provenance))
