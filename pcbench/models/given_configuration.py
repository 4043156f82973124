"""A configuration that the user gives for a model: its own backbone, weights and normalisation, the file's dynamics."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn

from pcbench.errors import ConfigurationError, UsageError
from pcbench.models.zoo import CONTROL, ZooEntry
from pcbench.network.configuration import NetworkConfiguration, read_configuration
from pcbench.network.conversion import predify
from pcbench.network.network import PredictiveNetwork
from pcbench.network.normalisation import normalisation_of, tell_unstated
from pcbench.network.own_modules import unwrapped

_TIMESTEPS = 8
_STATED = ("preprocessing", "class_names", "timesteps")


def with_configuration(name: str, entry: ZooEntry, path: Path | None, *, shipped_predictors: bool = False) -> ZooEntry:
    """Return an entry of the zoo whose configuration is a file of the user's.

    Args:
        name: The model's name.
        entry: Its entry.
        path: The file; None changes nothing.
        shipped_predictors: Whether the predictors that come with pcbench count, for which the file must be.

    Raises:
        DefinitionError: The file is missing or broken.
        ConfigurationError: It is of another network.
        UsageError: The model is a control without time.
    """
    if path is None:
        return entry
    if name.endswith(CONTROL):
        raise UsageError(
            f"{name} answers at t = 0 only: give model={name.removesuffix(CONTROL)!r} with `configuration`"
        )
    given = read_configuration(path)
    if entry.configuration_path is not None:
        own = read_configuration(entry.configuration_path)
        if given.table.input_size != own.table.input_size:
            raise another_network(path, name, _sizes(given), _sizes(own))
        if entry.weights is not None and (shipped_predictors or entry.trained_on_backbone is None):
            _refuse_other_pcoders(path, name, given, own)
    timesteps = entry.timesteps or _TIMESTEPS
    return entry.model_copy(update={"configuration": str(path.absolute()), "timesteps": timesteps})


def configured_module(module: nn.Module, name: str, path: Path) -> PredictiveNetwork:
    """Return a network of the user's own with the dynamics of a configuration.

    Args:
        module: A predictive network, whose predictors stay, or a classifier, which becomes one.
        name: Its name, for messages.
        path: The file.

    Raises:
        DefinitionError: The file is missing or broken.
        ConfigurationError: It is of another network.
    """
    given, inside = read_configuration(path), unwrapped(module)
    if isinstance(inside, PredictiveNetwork):
        _refuse_other_pcoders(path, name, given, inside.configuration)
        if given.table.input_size != inside.configuration.table.input_size:
            raise another_network(path, name, _sizes(given), _sizes(inside.configuration))
        inside.hyperparameters = given.hyperparameters
        inside.configuration = given
        return inside
    inside = inside.eval()
    stated = normalisation_of(inside, name, given.table.input_size, given.table.output) or (None, None)
    tell_unstated(inside, name)
    network = predify(inside, path, mean=stated[0], std=stated[1])
    for attribute in _STATED:
        value: Any = getattr(inside, attribute, None)
        if value is not None and not isinstance(value, nn.Module):
            setattr(network, attribute, value)
    return network


def another_network(path: Path, name: str, given: str, own: str) -> ConfigurationError:
    """Return the error about a configuration that is not the model's."""
    return ConfigurationError(
        f"{path.name}: is the configuration of another network than {name}: {given} instead of {own}; give one that "
        f"was made for {name}, as `pcbench tune` writes it"
    )


def _refuse_other_pcoders(path: Path, name: str, given: NetworkConfiguration, own: NetworkConfiguration) -> None:
    """Refuse a file whose PCoders are not those that a model's predictors were made for."""
    texts = [[(one.path, one.predictor) for one in table.pcoders] for table in (given.table, own.table)]
    if texts[0] == texts[1]:
        return
    modules = [", ".join(path for path, _ in pcoders) for pcoders in texts]
    if modules[0] != modules[1]:
        raise another_network(path, name, f"its PCoders are on {modules[0]}", modules[1])
    number = next(n for n, pair in enumerate(zip(*texts, strict=True)) if pair[0] != pair[1])
    raise another_network(path, name, f"predictor {number + 1} is {texts[0][number][1]}", str(texts[1][number][1]))


def _sizes(configuration: NetworkConfiguration) -> str:
    return f"images of {'x'.join(map(str, configuration.table.input_size))}"
