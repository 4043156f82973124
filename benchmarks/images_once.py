"""What it saves that a block's images are decoded once for all conditions.

    PCBENCH_TEST_DATA=FOLDER uv run python benchmarks/images_once.py [--images 64]

Runs imagenet-c at severity 3 (16 conditions with the clean one) on photographs with a network of next to no cost, by
one worker in this process: with the last block kept, and with every unit decoding anew. Prints the processor's time
of both, and checks first that their tables are equal. Without photographs it says so and ends.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from functools import partial
from pathlib import Path
from unittest import mock

import torch
from timing import in_turns, tell
from torch import nn

from pcbench.harness import context
from pcbench.harness.decoded import DecodedBlock
from pcbench.harness.start import run

TURNS = 2


def main() -> None:
    """Run both in turns, compare, print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=64)
    options = parser.parse_args()
    data = Path(os.environ.get("PCBENCH_TEST_DATA", "missing")) / "imagenette" / "val-500.parquet"
    if not data.is_file():
        print("skipped: it needs photographs, in the folder that PCBENCH_TEST_DATA names")
        return
    files: dict[str, object] = {}

    def measured(name: str, kept: type[DecodedBlock] | partial[DecodedBlock]) -> None:
        files[name] = _tables(data, options.images, kept)

    runs = {
        "anew": partial(measured, "anew", partial(DecodedBlock, 0)),
        "kept": partial(measured, "kept", DecodedBlock),
    }
    found = in_turns(runs, TURNS)
    if files["kept"] != files["anew"]:
        raise SystemExit("the tables differ")
    tell("images decoded once, 16 conditions", found["anew"], found["kept"])


def _tables(data: Path, images: int, kept: type[DecodedBlock] | partial[DecodedBlock]) -> object:
    """Return the hashes of the tables of a run whose worker keeps its last block so."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.AvgPool2d(56), nn.Flatten(), nn.Linear(48, 1000)).eval()
    with mock.patch.object(context, "DecodedBlock", kept), tempfile.TemporaryDirectory() as folder:
        made = run(
            network,
            ["imagenet-c"],
            data=f"parquet:{data}",
            images=images,
            crop=224,
            severities=[3],
            workers=1,
            report=False,
            progress=False,
            out=Path(folder) / "run",
        )
        return {name: digest for name, digest in made.manifest["files"].items() if name.endswith(".parquet")}


if __name__ == "__main__":
    main()
