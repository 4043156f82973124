"""The size of the images that a model takes, where it says so: asked before anything of it is loaded."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import nn

from pcbench.arguments import listed, shown, whole
from pcbench.data.preprocessing import Preprocessing
from pcbench.errors import ConfigurationError
from pcbench.models.facts import refuse_other_size
from pcbench.models.naming import CONVERTED
from pcbench.models.zoo import ZooEntry, named_elsewhere, zoo_entry
from pcbench.network.configuration import NetworkConfiguration, read_configuration
from pcbench.network.own_modules import unwrapped

Size = tuple[int, int, int]


def check_stated_size(model: str | nn.Module, size: Sequence[int]) -> None:
    """Refuse images of another size than a model states.

    Args:
        model: As for `pcbench.models.load`; nothing is loaded.
        size: The images' channels, height and width.

    Raises:
        UnknownNameError: The zoo has no such model.
        DataError: The model states another size.
    """
    name = model if isinstance(model, str) else type(unwrapped(model)).__name__
    refuse_other_size(name, size, _of_name(model) if isinstance(model, str) else stated_size(unwrapped(model), name))


def stated_size(module: nn.Module, name: str) -> Size | None:
    """Return the (channels, height, width) of the images that a network says it takes; None where it says nothing.

    Raises:
        ConfigurationError: What it states is not a size.
    """
    configuration: Any = getattr(module, "configuration", None)
    if isinstance(configuration, NetworkConfiguration):
        return configuration.table.input_size
    stated: Any = getattr(module, "input_size", None)
    if stated is None:
        return None
    sides = [side for entry in listed(stated) or () if isinstance(side := whole(entry), int) and side > 0]
    if len(sides) != 3:
        raise ConfigurationError(
            f"{name}: its input_size is {shown(stated)}; write input_size = (channels, height, width)"
        )
    return sides[0], sides[1], sides[2]


def entry_preprocessing(entry: ZooEntry) -> Preprocessing:
    """Return what happens to an image before a model of the zoo sees it; its configuration states the channels."""
    path = entry.configuration_path
    channels = 3 if path is None else read_configuration(path).table.input_size[0]
    return Preprocessing(**entry.preprocessing.model_dump(), channels=channels)


def _of_name(name: str) -> Size | None:
    if CONVERTED in name or name.endswith(".toml"):
        return read_configuration(Path(f"{name.removesuffix('.toml').partition(CONVERTED)[0]}.toml")).table.input_size
    path = None if named_elsewhere(name) else zoo_entry(name).configuration_path
    return None if path is None else read_configuration(path).table.input_size
