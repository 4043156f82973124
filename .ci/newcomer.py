"""What a newcomer once stumbled over, tried with the installed wheel from an empty folder that holds one run.

python .ci/newcomer.py RUN: in the working folder, which receives a few files. RUN is a finished run of pdigits.
Oracles: the names that each page of the docs promises, exit codes, and the words that tell the remedy.
"""

from __future__ import annotations

import contextlib
import io
import json
import shlex
import sys
import time
from pathlib import Path
from typing import Any

START = time.process_time()
import pcbench  # noqa: E402 - what it costs is measured

IMPORT = time.process_time() - START

NAMES = {"run", "attack", "corrupt", "predify", "train", "tune", "load"}
NAMES |= {"open_run", "compare", "check", "report", "figure"}
OWN = """
import torch
from torch import nn


def network():
    torch.manual_seed(0)
    layers = [nn.Conv2d(1, 4, 3, stride=2, padding=1), nn.ReLU(), nn.Conv2d(4, 8, 3, stride=2, padding=1), nn.ReLU()]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(8 * 8 * 8, 10))
"""


def call(words: str, *wanted: str, code: int = 0) -> str:
    """Run a command in this process, and return its standard output.

    Its exit code must be the given one, and what it prints hold what is wanted.
    """
    from pcbench.cli.main import main

    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main(shlex.split(words))
            found: Any = 0
        except SystemExit as ended:
            found = ended.code or 0
    printed = out.getvalue() + err.getvalue()
    assert found == code, f"pcbench {words}: exit code {found}, not {code}\n{printed}"
    for one in wanted:
        assert one in printed, f"pcbench {words}: {one!r} is not in\n{printed}"
    print(f"  pcbench {words}")
    return out.getvalue()


def names() -> None:
    """`dir(pcbench)`, and what importing costs."""
    assert set(dir(pcbench)) >= NAMES, dir(pcbench)
    assert IMPORT < 0.1, f"import pcbench took {IMPORT:.2f} s of processor time"


def objects() -> None:
    """Attack objects of foolbox, by `pcbench.attack` and in a run."""
    import foolbox
    import torch

    images, labels = torch.rand(2, 3, 32, 32), torch.tensor([0, 1])
    pcbench.attack("pdigits", images, labels, foolbox.attacks.LinfPGD(), epsilons=["8/255"])
    few: dict[str, Any] = {"images": 4, "timesteps": 0, "epsilons": ["8/255"], "checks": False, "report": False}
    run = pcbench.run("pdigits", attacks=foolbox.attacks.FGSM(), progress=False, out="objects", **few)
    assert "robust_accuracy" in set(run.metrics["metric"])


def models() -> None:
    """Names of libraries, and an own CNN from its configuration to the command that `predify` ends with."""
    call("predify --backbone torchvision:resnet18", "layer4")
    call("plan --model resnet50 --suite linf --data digits", "torchvision:resnet50", code=2)
    call("plan --model torchhub:a/b --suite linf --data digits", "mymodels:FUNCTION", code=2)
    Path("mine.py").write_text(OWN)
    Path("mine.toml").write_text(call("predify --backbone mine:network"))
    lines = call("predify mine.toml").splitlines()
    train = next(line for line in lines if line.startswith("pcbench train "))
    trained = call(f"{train.removeprefix('pcbench ')} --images 60 --out trained --allow-poor").splitlines()
    for command in (lines[-1], trained[-1]):
        words = command.strip().removeprefix("pcbench run ")
        words += ("" if "--images" in words else " --images 4") + ("" if "--suite" in words else " --suite digits-c")
        call(f"plan {words}")
    wrong = Path("mine.toml").read_text().replace("feedback =", "feedbck =", 1)
    Path("wrong.toml").write_text(wrong)
    call("predify wrong.toml", "did you mean 'feedback'", code=2)


def verbs(run: str) -> None:
    """What verbs tell of a run: tables as JSON, the page, and what the gate could have found."""
    for verb in (f"show {run}", f"compare {run}", "runs .", f"status {run}", "list suites", "predify --model pdigits"):
        assert json.loads(call(f"{verb} --json")), verb
        call(f"{verb.split()[0]} -h", "Examples")
    assert call(f"compare {run} -q") == ""
    assert len(call(f"compare {run} --all")) > len(call(f"compare {run}"))
    call(f"open {run}", "index.html")
    call(f"freeze {run} --out reference.npz")
    call(f"check {run} --against reference.npz", "images would show")
    call(f"export {run} --format robustbench-like --out exported", "exported")


if __name__ == "__main__":
    sys.path.insert(0, "")
    names()
    objects()
    models()
    verbs(sys.argv[1])
