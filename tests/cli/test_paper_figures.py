"""docs/how_to/paper_figures.md: its commands, as they stand there, on stand-ins for ImageNet and the published weights.

Oracle: the page itself, passes counted by hand among it; the names that `pcbench list` knows.
"""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pcbench.catalog import suite_folder
from pcbench.cli.main import main
from pcbench.corruptions.definitions import load_corruption_suite
from pcbench.models.zoo import zoo_names
from pcbench.network.predictors import inferred_predictor

PAGE = (Path(__file__).parents[2] / "docs" / "how_to" / "paper_figures.md").read_text(encoding="utf-8")
COMMANDS = [line.removeprefix("$ ") for line in PAGE.splitlines() if line.startswith("$ pcbench run")]
COSTS = re.findall(r"^\| ([^|]+) \| ([\d,]+) \| ([\d,]+) \| [\d,]+.*? \|", PAGE, re.MULTILINE)
CLASSES = ("n01440764", "n01443537")
NETWORK = """
import torch
from torch import nn

def small():
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 4, 9, stride=28), nn.ReLU(), nn.Conv2d(4, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(4)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(16, 1000))
"""
CONFIGURATION = """
input_size = [3, 224, 224]

[[pcoders]]
module = "[1]"

[[pcoders]]
module = "[3]"
"""


@pytest.fixture
def stand_ins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with ImageNet and ImageNet-C of two images, a small network, and its weights, one file a PCoder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "paper_figures_network.py").write_text(NETWORK)
    (tmp_path / "small.toml").write_text(CONFIGURATION)
    picture = tmp_path / "picture.JPEG"
    Image.fromarray(np.full((224, 224, 3), 128, np.uint8)).save(picture)
    suites = [load_corruption_suite(suite_folder(name)[1]) for name in ("imagenet-c", "imagenet-c-extra")]
    names = [corruption.name for suite in suites for corruption in suite.corruptions]
    for folder in ("ImageNet/val", *(f"ImageNet-C/{name}/{severity}" for name in names for severity in range(1, 6))):
        for number, wnid in enumerate(CLASSES):
            path = tmp_path / folder / wnid / f"ILSVRC2012_val_0000000{number}.JPEG"
            path.parent.mkdir(parents=True)
            path.write_bytes(picture.read_bytes())
    weights = tmp_path / "weights" / "pvgg16"
    weights.mkdir(parents=True)
    for number, below in enumerate(((3, 224, 224), (4, 8, 8)), 1):
        state = inferred_predictor((4, 8, 8), below).state_dict()
        torch.save(state, weights / f"pvgg16_imagenet_pretrained_pc{number}_pmodule.pth")
    return tmp_path


def test_there_is_a_command_for_each_figure_and_network() -> None:
    given = [shlex.split(command) for command in COMMANDS]
    models = {arguments[arguments.index("--model") + 1] for arguments in given}
    assert models == {"pvgg16", "pefficientnet_b0_timm"} <= set(zoo_names())
    others = [command.replace("pvgg16", "peffb0") for command in COMMANDS[::2]]
    assert others == [command.replace("pefficientnet_b0_timm", "peffb0") for command in COMMANDS[1::2]]
    assert len(COMMANDS) == 8 == 2 * len(COSTS)


@pytest.mark.parametrize(
    ("command", "cost"), list(zip(COMMANDS[::2], COSTS, strict=True)), ids=[cost[0] for cost in COSTS]
)
def test_the_commands_run_as_they_are_written_and_cost_what_the_page_says(
    command: str, cost: tuple[str, str, str], stand_ins: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = command.replace("--model pvgg16", "--model small.toml@paper_figures_network:small")
    given = given.replace("imagenet:ImageNet", "imagenet-subset:ImageNet")
    given = re.sub(r"--images \d+", "--images 2", given)
    with pytest.raises(SystemExit) as ended:
        main([*shlex.split(given)[1:], "--dry-run", "--json"])
    printed = capsys.readouterr()
    assert ended.value.code == 0, printed.err
    planned = json.loads(printed.out)
    assert planned["images"] == 2
    measured = [one["passes"] for one in planned["work"] if one["name"] not in ("growth", "pictures", "checks")]
    forward, gradients = (sum(one[kind] for one in measured) / 2 for kind in ("forward", "gradients"))
    assert [forward + gradients, gradients] == [float(number.replace(",", "")) for number in cost[1:]]
    assert not (stand_ins / "results").exists()
