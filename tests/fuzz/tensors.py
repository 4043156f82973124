"""Readers of tensors and arrays: references, weights, checkpoints, adversarial images, published arrays."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import torch
from fuzz.trial import Reader
from safetensors.torch import save_file
from small_network import backbone

from pcbench.comparison.reference import read_reference
from pcbench.data.layout import PublishedLayout
from pcbench.data.preprocessing import Preprocessing
from pcbench.data.published import open_published
from pcbench.models.predictor_files import fill_predictors, read_predictor_weights
from pcbench.models.weights import PREDICTORS, fill, part, read_weights
from pcbench.results.saved_suite import open_saved
from pcbench.training.checkpoint import Progress, load_checkpoint, save_checkpoint

FORMER = Path(__file__).resolve().parents[1] / "former"


def _references(folder: Path) -> None:
    folder.mkdir()
    shutil.copy(FORMER / "user.npz", folder)


def _read_references(folder: Path) -> None:
    found = read_reference(folder / "user.npz")
    _ = found.spec.key(), found.spec.name()


def _weights(folder: Path) -> None:
    folder.mkdir()
    state = {f"predictors.0.{name}": value.contiguous() for name, value in backbone().state_dict().items()}
    save_file(state, folder / "weights.safetensors", {"made": "here"})
    torch.save(backbone().state_dict(), folder / "weights.pth")
    torch.save({"state_dict": backbone().state_dict()}, folder / "x_pc1_.pth", _use_new_zipfile_serialization=False)


def _read_weights(folder: Path) -> None:
    fill(backbone(), read_weights(folder / "weights.pth"), str(folder / "weights.pth"))
    read_predictor_weights(folder / "weights.safetensors", 1)
    given = part(read_predictor_weights(folder / "x_pc1_.pth", 1), PREDICTORS)
    fill_predictors(torch.nn.ModuleList([backbone()]), given, "weights")


IDENTITY = {"model": "small", "seed": 0}


def _learner() -> tuple[torch.nn.Module, torch.optim.Optimizer]:
    network = backbone()
    return network, torch.optim.Adam(network.parameters(), lr=0.1)


def _checkpoints(folder: Path) -> None:
    folder.mkdir()
    network, optimizer = _learner()
    network(torch.zeros(2, 3, 16, 16)).sum().backward()
    optimizer.step()
    progress = Progress(0, [], [0.0])
    save_checkpoint(folder / "checkpoint.safetensors", network, optimizer, progress, IDENTITY)


def _read_checkpoints(folder: Path) -> None:
    load_checkpoint(folder / "checkpoint.safetensors", *_learner(), IDENTITY, None)


def _adversarials(folder: Path) -> None:
    shutil.copytree(FORMER / "adversarials", folder / "adversarials")


def _read_adversarials(folder: Path) -> None:
    for suite in open_saved(folder):
        suite.sha256()
        suite.source.digests()
        for condition, _ in suite.attacks:
            suite.images(condition, 0, len(suite.source))


def _arrays(folder: Path) -> None:
    folder.mkdir()
    pixels = np.random.default_rng(0).integers(0, 255, (6, 8, 8, 3), dtype=np.uint8)
    np.save(folder / "fog.npy", pixels)
    np.save(folder / "labels.npy", np.array([0, 1, 2] * 2, dtype=np.uint8))


def _read_arrays(folder: Path) -> None:
    layout = PublishedLayout(files="arrays", images=3, side=8, classes=3)
    opened = open_published("made", layout, folder, corruptions={"fog": (1, 2)}, preprocessing=Preprocessing())
    opened.fingerprint()


READERS = [
    Reader("references (npz)", _references, "*", _read_references, weight=3),
    Reader("weights (safetensors, PyTorch)", _weights, "*", _read_weights, weight=2),
    Reader("checkpoints of a training", _checkpoints, "*", _read_checkpoints, weight=2),
    Reader("adversarial images", _adversarials, "adversarials/*/*", _read_adversarials, weight=2),
    Reader("published arrays (npy)", _arrays, "*", _read_arrays),
]
