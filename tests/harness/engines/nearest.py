"""A model to which a file says what befalls its workers: the nearest class mean in the pixels.

It knows an image by its product with fixed random numbers. The tests copy it, with their folder in it.
"""

from __future__ import annotations

import json
import os
import pathlib
import signal
import time
from typing import Any

import torch
from torch import Tensor, nn

from pcbench.data.preprocessing import Preprocessing
from pcbench.data.sources import open_source

FOLDER = pathlib.Path("the folder")


class Nearest(nn.Module):
    input_size = (3, 32, 32)
    mean, std = (0.0,) * 3, (1.0,) * 3  # else a line says what is assumed

    def __init__(self) -> None:
        super().__init__()
        source = open_source("digits", preprocessing=Preprocessing(), split="train")
        images = source.load(range(400)).flatten(1) / 255
        labels = torch.from_numpy(source.labels[:400].copy())
        means = torch.stack([images[labels == label].mean(0) for label in range(10)])
        self.layer = nn.Linear(3072, 10)
        self.layer.weight.data.copy_(means)
        self.layer.bias.data.copy_(-means.square().sum(1) / 2)
        self.probe: Tensor
        self.register_buffer("probe", torch.randn(3072, generator=torch.Generator().manual_seed(0)))

    def forward(self, images: Tensor) -> Tensor:
        pixels = images.flatten(1)
        befall(pixels.detach() @ self.probe)
        logits = self.layer(pixels)
        return torch.stack([logits, logits / 2])


def befall(numbers: Tensor) -> None:
    """Do to this process what the file says of the images with these numbers."""
    what: dict[str, Any] = json.loads((FOLDER / "what.json").read_text())

    def holds(name: str) -> bool:
        return name in what and bool(((numbers - what[name]).abs() < 1e-3).any())

    if "places" in what:
        note(pathlib.Path(what["places"]))
    if holds("once"):
        marker = pathlib.Path(what["marker"])
        if not marker.exists():
            marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
    if holds("always"):
        with pathlib.Path(what["deaths"]).open("a") as stream:
            stream.write(f"{os.getpid()}\n")
        os.kill(os.getpid(), signal.SIGKILL)
    if holds("raises"):
        raise ValueError("no answer to this")
    time.sleep(what.get("seconds", 0))


def note(folder: pathlib.Path) -> None:
    """Leave a file that names Ray's node, this process and its number of threads."""
    import ray

    if ray.is_initialized():
        node = ray.get_runtime_context().get_node_id()
        (folder / f"{node} {os.getpid()} {torch.get_num_threads()}").touch()


def make() -> nn.Module:
    return Nearest()
