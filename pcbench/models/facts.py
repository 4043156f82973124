"""What is known of a model before it is run: enough to plan a run, and to know its key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

import torch

from pcbench.data.preprocessing import Preprocessing

Described = str | int | float | bool | None


class LoadOptions(TypedDict, total=False):
    """What may be stated about a model besides its name."""

    timesteps: int | None
    """T; None means the model's own."""
    backbone_weights: Path | str | None
    """File of the backbone's weights, safetensors or a PyTorch checkpoint of tensors."""
    weights: Path | str | None
    """File of the predictors' weights, or Predify's checkpoints (see `read_predictor_weights`)."""
    random_predictors: int | None
    """Seed of untrained predictors: the null control."""
    ablation: str | None
    """``"no-feedback"`` (λ = 0 everywhere) or ``"no-error"`` (α = 0 everywhere)."""
    device: str | torch.device
    """Where the model computes."""
    model_version: str | None
    """What the user calls this state of a model whose source cannot be read."""


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
    predictive: bool
    """Whether it is a predictive network, with representations and reconstructions."""
    modules: tuple[str, ...]
    """Modules of this package, or of the user's, that make it; the libraries that they use count too."""

    @property
    def own_code(self) -> bool:
        """Whether the user's own code makes it, so that hashes alone do not tell what it answers."""
        return "attributes_sha256" in self.description

    @property
    def unreadable(self) -> str | None:
        """What of the user's code could not be read, where no version was stated for it."""
        found = self.description.get("code_unreadable")
        return str(found) if found and not self.description.get("model_version") else None

    @property
    def marked_name(self) -> str:
        """The model's name as every row carries it: with untrained predictors and ablations marked."""
        seed, ablation = (self.description.get(key) for key in ("random_predictors", "ablation"))
        marks = [] if seed is None else [f"random-predictors-{seed}"]
        return "+".join([self.name, *marks, *([str(ablation)] if ablation else [])])
