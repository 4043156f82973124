"""From the text that names a model to what is known of it: the zoo, libraries, and configurations on a backbone."""

from __future__ import annotations

from pathlib import Path

from pcbench.errors import ConfigurationError
from pcbench.models.conversions import converted_entry
from pcbench.models.given_configuration import with_configuration
from pcbench.models.hub import hub_model
from pcbench.models.libraries import STATING
from pcbench.models.naming import CONVERTED, MODEL_LIBRARIES, refuse_prefix
from pcbench.models.zoo import ZooEntry, named_elsewhere, zoo_entry
from pcbench.network.configuration import read_configuration


def full_name(model: str) -> str:
    """Return a model's name with the backbone that its configuration states, where the name is that of a file alone.

    Raises:
        ConfigurationError: The file states no backbone.
    """
    if not model.endswith(".toml") or CONVERTED in model:
        return model
    backbone = read_configuration(model).table.backbone
    if backbone is None:
        raise ConfigurationError(
            f"{model}: is a configuration without a backbone; write {model}@torchvision:NAME (or @timm:NAME, "
            '@module:function, …), or let the file state one: backbone = "timm:NAME"'
        )
    return f"{model}@{backbone}"


def described_entry(
    model: str, configuration: Path | None = None, *, shipped_predictors: bool = False
) -> ZooEntry | None:
    """Return what is known of a model without running it; None where only its own code says it.

    Args:
        model: As for `pcbench.models.load`.
        configuration: A file of the user's in place of the model's own, or for a backbone that has none.
        shipped_predictors: As for `with_configuration`.

    Raises:
        UnknownNameError: There is no such model.
        UsageError, WeightsError: It is not written as it should be, or cannot be reached.
    """
    refuse_prefix(model)
    model = full_name(model)
    prefix, colon, name = model.partition(":")
    if CONVERTED in model:
        own = converted_entry(model)
    elif colon and prefix in MODEL_LIBRARIES:
        if configuration is not None:
            return converted_entry(f"{configuration}@{model}")
        backbone = hub_model(name).pinned if prefix == "hf" else model
        return ZooEntry(title=model, source=prefix, backbone=backbone, **STATING[prefix](name, None))
    elif named_elsewhere(model):
        return None
    else:
        own = zoo_entry(model)
    return with_configuration(model, own, configuration, shipped_predictors=shipped_predictors)
