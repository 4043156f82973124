"""The files that a finished training leaves: the weights, and a card that says how they came to be."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, get_args

from torch import Tensor, nn

from pcbench.files import write
from pcbench.models.weights import save_weights
from pcbench.network.network import PredictiveNetwork
from pcbench.results.environment import versions
from pcbench.training.checkpoint import earlier_schedules
from pcbench.training.fitted import Fitted
from pcbench.training.loop import CHECKPOINT
from pcbench.training.options import TrainOptions, folder_of, model_name, weights_of_training
from pcbench.training.request import Start, command_of, network_facts, predicted_by, settings_of, training_images
from pcbench.training.settings import Stage

CARD = "training.json"
Losses = Mapping[str, Sequence[Sequence[float]]]
"""Of each stage: mean losses, one list for each epoch, one number for each term."""


@dataclass(frozen=True)
class TrainingRecord:
    """What is written about a training."""

    options: TrainOptions
    """What was asked for."""
    start: Start | None
    """The predictors that it started from; None for random ones."""

    @cached_property
    def metadata(self) -> dict[str, Any]:
        """What is written with the tensors; it is the same each time the same command is run."""
        found = versions()
        kept = {name: found[name] for name in ("pcbench", "python", "torch", "numpy") if name in found}
        source = training_images(self.options)
        start = self.start
        return {
            "made_by": command_of(self.options),
            "model": model_name(self.options),
            "seed": str(self.options["seed"]),
            **predicted_by(self.options),
            "data": source.name,
            "data_fingerprint": source.fingerprint(),
            **({} if start is None else {"started_from": start.name, "started_from_sha256": start.sha256}),
            "versions": kept,
        }

    def save(
        self,
        losses: Losses,
        backbone: nn.Module | None,
        network: PredictiveNetwork | None,
        fitted: Fitted | None = None,
    ) -> str:
        """Write the weights and the card, each whole or not at all; return the hash of the weights' file.

        Args:
            losses: Of each stage that was done.
            backbone: What goes under ``backbone.…``; None leaves it out.
            network: Its predictors were trained; None for a feedforward model.
            fitted: How well the predictors predict; None for a feedforward model.

        Raises:
            WriteError: A file cannot be written.
        """
        path = weights_of_training(self.options)
        metadata = {**self.metadata, **self._earlier(losses), **({} if fitted is None else fitted.metadata)}
        # One key: safetensors writes several in any order, and the same training is to give the same bytes.
        header = {"training": json.dumps(metadata, sort_keys=True)}
        scales: Mapping[str, Tensor] = {} if self.start is None else self.start.scales
        predictors = [] if network is None else list(network.predictors)
        sha256 = save_weights(path, backbone=backbone, predictors=predictors, metadata=header, more=scales)
        stages: list[Stage] = [stage for stage in get_args(Stage) if stage in losses]
        card = {
            **metadata,
            **({} if network is None else network_facts(network)),
            **({} if fitted is None else fitted.record),
            "versions": versions(),
            "weights_sha256": sha256,
            "settings": {stage: asdict(settings_of(self.options, stage)) for stage in stages},
            "final_losses": {stage: losses[stage][-1] for stage in stages},
        }
        write(folder_of(self.options) / CARD, json.dumps(card, indent=2, ensure_ascii=False) + "\n")
        return sha256

    def _earlier(self, losses: Losses) -> dict[str, Any]:
        """Return what the command alone does not say: the schedules that were finished before the last one."""
        folder = folder_of(self.options)
        found = {stage: earlier_schedules(folder / stage / CHECKPOINT) for stage in losses}
        earlier = {stage: epochs for stage, epochs in found.items() if epochs}
        return {"went_on_after_epochs": earlier} if earlier else {}
