"""What is known of a model before it is run: enough to plan a run, and to know its key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Self, TypeAlias

from annotated_types import Ge, Le
from typing_extensions import TypedDict

from pcbench.arguments import LARGEST_SEED, MOST_DRAWS, MOST_TIMESTEPS
from pcbench.data.counted_classes import counted_classes
from pcbench.data.imagenet_classes import IMAGENET_CLASSES
from pcbench.data.preprocessing import Preprocessing
from pcbench.errors import DataError, UsageError
from pcbench.options import Option

if TYPE_CHECKING:
    import torch

    Device: TypeAlias = str | torch.device
else:
    Device = str  # a device is read as its name

Described = str | int | float | bool | None

CONFIGURED = "given_configuration"
"""What a description calls the file that stands in place of the model's own configuration."""

NETWORK_CONTROL = "control"
"""What a description calls a change of the network that makes it a control."""

DENOISING = "denoising_predictors"
"""What a description calls predictors that were trained to remove noise, which is not the paper's method."""


class LoadOptions(TypedDict, total=False):
    """What may be stated about a model besides its name."""

    timesteps: Annotated[int | None, Ge(0), Le(MOST_TIMESTEPS), Option("T; by default the model's own.")]
    backbone_weights: Annotated[Path | str | None, Option("Safetensors or a PyTorch checkpoint of the backbone.")]
    configuration: Annotated[
        Path | str | None, Option("A configuration in place of the model's own, as pcbench tune's.")
    ]
    """The backbone, weights, normalisation and classes stay the model's."""
    weights: Annotated[Path | str | None, Option("Safetensors of the predictors.")]
    """Or Predify's checkpoints (see `read_predictor_weights`)."""
    random_predictors: Annotated[
        int | None, Ge(-LARGEST_SEED), Le(LARGEST_SEED), Option("Seed for untrained predictors.")
    ]
    """The null control."""
    ablation: Annotated[str | None, Option("no-feedback (λ=0 everywhere) or no-error (α=0 everywhere).")]
    stochastic: Annotated[
        int | None, Ge(1), Le(MOST_DRAWS), Option("Over how many draws a model that draws random numbers is averaged.")
    ]
    """Their mean probability is the classifier that is measured (see `pcbench.models.stochastic`)."""
    device: Annotated[Device, Option("Where the model computes.", default="cpu")]
    model_version: Annotated[str | None, Option("Your name for a model of unreadable source.")]


def refuse_other_size(name: str, size: Sequence[int], stated: tuple[int, int, int] | None) -> None:
    """Refuse images whose (channels, height, width) is not what the model of this name states, if it states one.

    Raises:
        DataError: The model states another size.
    """
    if stated is None or tuple(size) == stated:
        return
    found, wanted = ("x".join(map(str, sides)) for sides in (size, stated))
    last = tuple(size[2:]) + tuple(size[:2]) == stated
    resized = "resize them"
    if size[0] == stated[0] and stated[1] == stated[2]:
        resized = f"resize them, as resize={stated[1]} with crop={stated[1]} does in a run"
    remedy = "put the channels first" if last else f"{resized}, or take a model of their size"
    raise DataError(f"images are {found}, {name} takes {wanted} (channels, height, width); {remedy}")


@dataclass(frozen=True)
class ModelFacts:
    """What is known of a model, without the network itself."""

    name: str
    """Its name in results."""
    timesteps: int
    """T where the user names none."""
    classes: int
    """The number of classes."""
    class_names: tuple[str, ...] | None
    """Their names in label order, where the model says."""
    preprocessing: Preprocessing
    """What happens to an image before the model sees it; normalisation is inside the model."""
    default_data: str | None
    """The data source that it is measured on where the user names none."""
    description: Mapping[str, Described]
    """Everything about the model that can change a number: hashes of weights, code and configuration, random
    predictors, ablation, normalisation."""
    input_size: tuple[int, int, int] | None
    """Channels, height and width of the images that it takes, where it says so."""
    predictive: bool
    """Whether it is a predictive network, with representations and reconstructions."""
    modules: tuple[str, ...]
    """Modules of this package, or of the user's, that make it; the libraries that they use count too."""

    def choosing_among(self, data: object) -> Self:
        """Return the same of a model that chooses among the classes alone that count on a data source.

        Args:
            data: The source as the user names it, such as ``"imagenet-a:PATH"``, or an object.

        Raises:
            UsageError: Some of ImageNet's classes count, and the model has others.
        """
        counted = counted_classes(data)
        if counted is None:
            return self
        name = str(data).partition(":")[0]
        if self.classes != IMAGENET_CLASSES:
            raise UsageError(
                f"{name} is scored among {len(counted)} of ImageNet's 1,000 classes, and {self.name} has "
                f"{self.classes}; give a network of all of these, or the images as imagefolder:PATH"
            )
        names = None if self.class_names is None else tuple(self.class_names[one] for one in counted)
        description = {**self.description, "choosing_among": name}
        return replace(self, classes=len(counted), class_names=names, description=description)

    def check_size(self, size: Sequence[int]) -> None:
        """Refuse images of another size than the model states.

        Args:
            size: Their channels, height and width.

        Raises:
            DataError: The model states another size.
        """
        refuse_other_size(self.name, size, self.input_size)

    @property
    def own_code(self) -> bool:
        """Whether the user's own code makes it, so that hashes alone do not tell what it answers."""
        return "attributes_sha256" in self.description

    @property
    def states_normalisation(self) -> bool:
        """Whether it is known what it makes of images before all else: not of a network that says nothing of it."""
        return not self.own_code or "mean" in self.description

    @property
    def unreadable(self) -> str | None:
        """What of the user's code could not be read, where no version was stated for it."""
        found = self.description.get("code_unreadable")
        return str(found) if found and not self.description.get("model_version") else None

    @property
    def marked_name(self) -> str:
        """The model's name as every row carries it: with a given configuration, other predictors, ablations."""
        seed, ablation = (self.description.get(key) for key in ("random_predictors", "ablation"))
        configured = self.description.get(CONFIGURED)
        marks = [] if seed is None else [f"random-predictors-{seed}"]
        marks += ["denoising-predictors"] if self.description.get(DENOISING) else []
        control = self.description.get(NETWORK_CONTROL)
        marks += [] if control is None else [str(control)]
        return "+".join(
            [self.name, *map(str, filter(None, [configured])), *marks, *([str(ablation)] if ablation else [])]
        )
