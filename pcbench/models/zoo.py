"""The zoo's entries: data in TOML files, one per model.

`zoo/<name>.toml` says what a model is; `configurations/` holds the networks' configurations in Predify's format,
for reading and copying.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from pcbench.catalog import Definition, load_definition, package_folder
from pcbench.models.naming import UnknownModelError, plugin_models

_FOLDER = Path(__file__).resolve().parent
_OWN = "pcbench's"
CONTROL = "_feedforward"
PAPER = "-paper"
"""What the name of a model with the weights of the paper ends in."""


class PreprocessingTable(Definition):
    """How files become images of the model's size; see `pcbench.data.preprocessing.Preprocessing`."""

    resize: int | None = None
    crop: int | None = None
    interpolation: Literal["nearest", "bilinear", "bicubic"] = "bilinear"


class TrainingTable(Definition):
    """What is not the default in a model's training; see `pcbench.training.settings.TrainingSettings`."""

    epochs: int | None = None
    batch_size: int | None = None
    optimizer: Literal["sgd", "rmsprop", "adam"] | None = None
    learning_rate: float | None = None
    weight_decay: float | None = None
    schedule: Literal["constant", "cosine"] | None = None


class ZooEntry(Definition):
    """One model of the zoo."""

    title: str
    """What it is, in one line."""
    source: str
    """Where the architecture, the PCoders and their predictors come from."""
    backbone: str
    """``"torchvision:NAME"``, ``"timm:NAME"`` or ``"module:function"``, built without weights."""
    configuration: str | None = None
    """File name in `configurations/`; none where the model is feedforward only."""
    paper: str | None = None
    """File name in `configurations/` of the same network with the paper's β, λ and α, and scaled errors."""
    timesteps: int = Field(default=0, ge=0)
    """T where the user names none."""
    classes: int = Field(ge=2)
    """How many classes the logits have."""
    class_names: Literal["imagenet", "cifar10", "digits"] | tuple[str, ...] | None
    """Whose names the classes carry, or the names; none where the backbone does not say."""
    mean: tuple[float, ...] | None = None
    """Per channel, subtracted from images in [0,1]."""
    std: tuple[float, ...] | None = None
    """Per channel, what the difference is divided by."""
    preprocessing: PreprocessingTable = PreprocessingTable()
    """What happens to an image before the model sees it."""
    data: str | None = None
    """The data source that the model was made for, where it is always available."""
    pretrained: str | None = None
    """Which of the library's published weights the backbone takes where the user gives none."""
    backbone_weights_from: str | None = None
    """Where the backbone's weights come from, where no library publishes them."""
    backbone_has_weights: bool = False
    """The backbone comes with its weights, from a function of the user's own."""
    weights: str | None = None
    """File name in `weights/` that holds predictors, and the backbone where the project trained that itself."""
    weights_sha256: str | None = None
    """Hash of that file."""
    made_by: str | None = None
    """The command that made that file."""
    r_squared: tuple[float, ...] = ()
    """Of each predictor in that file, on images that were held out of its training."""
    objective: float | None = None
    """What the tuning that chose β, λ and α reached on its own images; the configuration says which these are."""
    trained_on_backbone: str | None = None
    """`values_sha256` of the backbone that the predictors were trained on, where that file does not hold it."""
    training: dict[Literal["backbone", "predictors", "reference"], TrainingTable] = Field(
        default_factory=dict[Literal["backbone", "predictors", "reference"], TrainingTable]
    )
    """How its stages are trained, where it is not the default; `reference` is the recipe of the paper's scripts."""

    @property
    def configuration_path(self) -> Path | None:
        """The configuration's file."""
        return None if self.configuration is None else _FOLDER / "configurations" / self.configuration

    @property
    def weights_path(self) -> Path | None:
        """The file of the weights that come with pcbench."""
        return None if self.weights is None else _FOLDER / "weights" / self.weights


def zoo_names() -> list[str]:
    """Return the names of all models of the zoo, feedforward controls and variants of the paper included, sorted."""
    names: list[str] = []
    for path in (package_folder() / "models" / "zoo").glob("*.toml"):
        names.append(path.stem)
        if _read(path.stem).configuration is not None:
            names.append(path.stem + CONTROL)
        if _read(path.stem).paper is not None:
            names.append(path.stem + PAPER)
    return sorted(names)


def zoo_entry(name: str) -> ZooEntry:
    """Return the entry of a model; a feedforward control's entry is that of its model, without configuration.

    A variant of the paper is the same backbone and predictors with β = 0.8, λ = 0.1 and α = 0.01 (Choksi et al. 2021,
    arXiv 2106.02749).

    Raises:
        UnknownNameError: The zoo has no such model.
    """
    if name not in zoo_names():
        raise UnknownModelError(name, [*zoo_names(), *plugin_models()])
    entry = _read(name.removesuffix(CONTROL).removesuffix(PAPER))
    if name.endswith(PAPER):
        title = f"{entry.title}; β, λ, α of the paper"
        return entry.model_copy(update={"configuration": entry.paper, "title": title})
    if name.endswith(CONTROL):
        return entry.model_copy(update={"configuration": None, "timesteps": 0})
    return entry


def named_elsewhere(model: str) -> bool:
    """Return whether a text names a model that is not of the zoo: by a prefix, a file, or another package's name."""
    return ":" in model or model.endswith(".toml") or (model not in zoo_names() and model in plugin_models())


def weights_needed(name: str) -> str:
    """Return in words where the weights of a model of the zoo come from; `WEIGHTS_GIVEN` says how they are given."""
    entry = zoo_entry(name)
    if entry.weights is not None and entry.trained_on_backbone is None:
        return _OWN
    library = entry.backbone.partition(":")[0]
    backbone = f"backbone {library}'s" if entry.pretrained else f"backbone from a file: {entry.backbone_weights_from}"
    if entry.configuration is None:
        return backbone
    return f"{backbone}; predictors {'yours' if entry.weights is None else _OWN}"


WEIGHTS_GIVEN = (
    "pcbench's weights come with it",
    "torchvision's and timm's are downloaded when they are first used; or give them: --backbone-weights FILE",
    "a backbone from a file: --backbone-weights FILE (.safetensors, or a checkpoint that holds tensors alone)",
    "predictors of yours: --weights FILE, from pcbench train --model NAME --data imagenet:PATH; or Predify's own files",
    "no predictors: --random-predictors SEED for untrained ones; NAME_feedforward needs none",
)
"""How weights come, and how they are given, a line each."""


def zoo_listing() -> Iterator[tuple[str, str, str, str]]:
    """Give name, data, needed weights and title of every model of the zoo."""
    for name in zoo_names():
        entry = zoo_entry(name)
        needed = f"as {name.removesuffix(PAPER)}" if name.endswith(PAPER) else weights_needed(name)
        control = f"feedforward control (T = 0) of {name.removesuffix(CONTROL)}"
        yield (
            name,
            entry.data or str(entry.class_names or ""),
            needed,
            control if name.endswith(CONTROL) else entry.title,
        )


def default_data(model: Any) -> str | None:
    """Return the data source that a model is measured on where the user names none, if it is always available."""
    return zoo_entry(model).data if isinstance(model, str) and model in zoo_names() else None


@functools.cache  # pcbench's own files, which each plan asks for many times
def _read(name: str) -> ZooEntry:
    return load_definition(ZooEntry, _FOLDER / "zoo" / f"{name}.toml")
