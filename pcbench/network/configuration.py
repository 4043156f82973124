"""The configuration of a predictive network: Predify's TOML, read and checked.

Source: the keys are those of Predify's configuration files (Choksi et al., NeurIPS 2021, arXiv 2106.02749), and six
more: `error_window`, `predicts`, `output`, `backbone`, `control` and `tuned_on`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from pcbench.arguments import asked, path_text, plain_tables, shown
from pcbench.catalog import Definition, parse_definition, read_toml
from pcbench.errors import ConfigurationError, UsageError
from pcbench.network.controls import Control
from pcbench.network.update import Hyperparameters

_Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]
_ROUNDING = 1e-9
INPUT = "input"
"""What `predicts` calls the input of the PCoder's own module."""
_WHAT = "a configuration is a TOML file or a table with the same keys"


class HyperparameterTable(Definition):
    """One PCoder's hyperparameters under the names of Predify: β, λ and α (`pc`), each at least 0."""

    feedforward: _Weight = 0.3
    """β, the share of the new feedforward drive; β + λ is at most 1."""
    feedback: _Weight = 0.3
    """λ, the share of the prediction from above; of the last PCoder it is not used."""
    pc: _Weight = 0.01
    """α, the weight of the error's gradient (`error_weight` elsewhere in pcbench)."""


class PCoderTable(Definition):
    """One PCoder, from the first to the last: the module that it sits on, and how it predicts the layer below."""

    module: str = Field(min_length=1)
    """The backbone's module whose output is the representation, as PyTorch names it: `features.3` or `features[3]`."""
    predictor: str | None = None
    """Its decoder as an expression of Python, `ConvTranspose2d(64, 3, 3, padding=1)`; one that fits where it is not
    given."""
    hyperparameters: HyperparameterTable | None = None
    """β, λ and α."""
    error_window: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    """C of the gradient scale: how many prediction cells one cell of the representation reaches. Where it is absent it
    is counted. A float is accepted, because it may be the square of a published root."""
    predicts: Annotated[str, Field(min_length=1)] | None = None
    """What it predicts instead of the layer below: ``"input"``, what goes into its module, or the name of a module
    that runs before, whose output it is."""

    @property
    def path(self) -> str:
        """The module's name as PyTorch writes it: ``"features[3]"`` is ``"features.3"``."""
        return _path(self.module)

    @property
    def predicted_path(self) -> str | None:
        """The name of the module whose output is predicted; None where `predicts` names none."""
        # A module that is itself called "input" is written "['input']".
        return None if self.predicts is None or self.predicts.strip() == INPUT else _path(self.predicts)

    @model_serializer(mode="wrap")
    def _as_before(self, serialise: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return _without_unused(serialise(self), "predicts")


def _path(module: str) -> str:
    return re.sub(r"\[\s*['\"]?(\w+)['\"]?\s*\]", r".\1", module.strip()).removeprefix(".")


def _without_unused(table: dict[str, Any], key: str) -> dict[str, Any]:
    """Leave out a key that is newer than others and not used: the identity of a network is made of its table."""
    return {name: value for name, value in table.items() if name != key or value is not None}


class NetworkTable(Definition):
    """A network: its images, its PCoders, and what is said of the backbone."""

    name: str = Field(default="network", min_length=1)
    """What the network is called."""
    input_size: tuple[int, int, int]
    """(channels, height, width) of an image."""
    gradient_scaling: bool = False
    """Whether the error's gradient is scaled by K/√C, K cells of one image's prediction and C the `error_window`."""
    shared_hyperparameters: bool = False
    """Whether all PCoders have the values of the first."""
    imports: tuple[str, ...] = ()
    """Lines of Python that import what the predictors name; names of `torch.nn` alone."""
    output: int | str | None = None
    """Which of a backbone's outputs are the logits: the index of a tuple, the key of a mapping, or the name of an
    attribute. What that output does not need is not computed."""
    backbone: str | None = None
    """What the configuration is put on where the file alone is named; another one may be given."""
    tuned_on: tuple[str, ...] = ()
    """A hash of each image that the hyperparameters were tuned on, as `pcbench tune` writes it; it changes no
    network."""
    control: Control | None = None
    """What makes the network one to compare with."""
    pcoders: tuple[PCoderTable, ...] = Field(min_length=1)
    """The PCoders, from the first to the last."""

    @model_serializer(mode="wrap")
    def _as_before(self, serialise: SerializerFunctionWrapHandler) -> dict[str, Any]:
        table = _without_unused(_without_unused(serialise(self), "output"), "control")
        # Neither is a part of the network's identity: the backbone has its own.
        for key in ("tuned_on", "backbone"):
            table.pop(key, None)
        return table


@dataclass(frozen=True)
class NetworkConfiguration:
    """A checked configuration, with the hyperparameters that each PCoder really uses."""

    table: NetworkTable
    """What was written."""
    hyperparameters: tuple[Hyperparameters, ...]
    """β, λ, α of each PCoder, from the first to the last; the last one's λ is 0."""
    source: str
    """The file's name, or its name in errors."""

    @property
    def unused(self) -> str | None:
        """What was written and is not used, in one line; None where all is used."""
        pcoders = self.table.pcoders
        found: list[str] = []
        if self.table.shared_hyperparameters:
            first = pcoders[0].hyperparameters or HyperparameterTable()
            others = [n for n, one in enumerate(pcoders, 1) if one.hyperparameters not in (None, first)]
            if others:
                numbers = ", ".join(map(str, others))
                found.append(f"the values of PCoder {numbers} (shared_hyperparameters takes those of PCoder 1)")
        elif (
            (last := pcoders[-1].hyperparameters) is not None and "feedback" in last.model_fields_set and last.feedback
        ):
            found.append(f"feedback = {last.feedback:g} of PCoder {len(pcoders)} (no PCoder is above it)")
        return f"{self.source}: not used: {'; '.join(found)}" if found else None

    def problem(self, pcoder: int, problem: str) -> ConfigurationError:
        """Return the error that names a PCoder (counted from 0 here, from 1 in the message) and its problem."""
        module = self.table.pcoders[pcoder].module
        return ConfigurationError(f"{self.source}: PCoder {pcoder + 1} ({module}): {problem}")


def read_configuration(config: str | Path | Mapping[str, Any]) -> NetworkConfiguration:
    """Read a configuration from a TOML file or from a mapping with the same keys.

    Raises:
        DefinitionError: The file is missing, is not TOML, or holds an unknown key or a value of the wrong type.
        UsageError: It is neither.
        ConfigurationError: Values that do not make a network: negative weights, β + λ > 1, a size of 0.
    """
    if isinstance(config, Mapping):
        source = "the configuration"
        raw = asked(source, lambda: {str(key): plain_tables(value) for key, value in config.items()})
    elif isinstance(config, str | PathLike):  # pyright: ignore[reportUnnecessaryIsInstance]  # users give anything
        source = config if isinstance(config, str) else path_text(config)
        if "\n" in source or not source:
            raise UsageError(f"{_WHAT}; for the text of a file give tomllib.loads(text) (got {shown(config)})")
        raw = read_toml(Path(source))
    else:
        raise UsageError(f"{_WHAT} (got {shown(config)})")
    table = parse_definition(NetworkTable, raw, source)
    if min(table.input_size) < 1:
        raise ConfigurationError(f"{source}: input_size is (channels, height, width), each at least 1")
    configuration = NetworkConfiguration(table, _hyperparameters(table), source)
    _check_hyperparameters(configuration)
    return configuration


def _hyperparameters(table: NetworkTable) -> tuple[Hyperparameters, ...]:
    tables = [pcoder.hyperparameters or HyperparameterTable() for pcoder in table.pcoders]
    if table.shared_hyperparameters:
        tables = [tables[0]] * len(tables)
    last = len(tables) - 1
    return tuple(
        Hyperparameters(entry.feedforward, entry.feedback if index < last else 0.0, entry.pc)
        for index, entry in enumerate(tables)
    )


def _check_hyperparameters(configuration: NetworkConfiguration) -> None:
    for index, values in enumerate(configuration.hyperparameters):
        total = float(values.feedforward) + float(values.feedback)
        if total > 1 + _ROUNDING:
            raise configuration.problem(
                index, f"feedforward + feedback is {total:g}; lower one of them, together they are at most 1"
            )
