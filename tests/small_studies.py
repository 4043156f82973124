"""Files of small studies, for tests.

As a program it runs the study of docs/how_to/studies.md and a small form of that of ResNet-20, and writes what is
published of them to tests/studies/published and published_resnet:

    PCBENCH_TEST_DATA=FOLDER uv run python tests/small_studies.py
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import tomllib
from pathlib import Path
from typing import Any

import tomli_w

from pcbench.studies.options import Given
from pcbench.studies.publishing import publish_study
from pcbench.studies.study import run_study

ROOT = Path(__file__).resolve().parents[1]
PUBLISHED = ROOT / "tests" / "studies" / "published"
PUBLISHED_RESNET = ROOT / "tests" / "studies" / "published_resnet"
STUDIES_PAGE = (ROOT / "docs" / "how_to" / "studies.md").read_text(encoding="utf-8")
EXAMPLE: dict[str, Any] = tomllib.loads(re.findall(r"```toml\n(.*?)```", STUDIES_PAGE, re.DOTALL)[0])
"""The study of the documentation."""
RESNET: dict[str, Any] = {
    "study_version": 2,
    "title": "ResNet-20 on CIFAR-10, in small",
    "model": "presnet20_cifar10",
    "data": "parquet:test.parquet",
    "timesteps": 2,
    "training_seeds": [0, 1],
    "seen_before": "Everything: this is a test of the program.",
    "arms": ["network", "feedforward", "no-feedback", "random-predictors", "input-blur"],
    "training": {"images": 48, "epochs": 1},
    "tuning": {"images": 24, "rounds": 1, "noise": [0.25]},
    "arm": {
        "no-feedback": {"training_seeds": [0]},
        "random-predictors": {"training_seeds": [0]},
        "input-blur": {"training_seeds": [0], "widths": [0.5]},
    },
    "suites": [
        {"name": "gaussian-noise", "images": 32, "severities": [1, 2]},
        {"name": "manifold", "images": 8, "severities": [1], "control_seeds": [0]},
        {"name": "linf", "images": 2, "epsilons": ["1/255"], "attacked_timesteps": [0, 2], "training_seeds": [0]}
        | {"arms": ["network"]},
    ],
    "questions": [
        {"name": "noise", "question": "?", "hypothesis": "!", "suite": "gaussian-noise", "primary": True},
        {"name": "representations", "question": "?", "hypothesis": "!", "suite": "manifold", "measure": "distance"},
        {"name": "attack", "question": "?", "hypothesis": "!", "suite": "linf", "measure": "standing"},
    ],
}
"""Two seeds of the network, one of the controls, on real images and weights: the form of the published studies."""


def resnet_given(data: Path, out: Path) -> Given:
    """Return where the small study of ResNet-20 finds its images and weights."""
    return Given(
        out,
        data=f"parquet:{data / 'cifar10/test.parquet'}",
        training_data=f"parquet:{data / 'cifar10/train-20k.parquet'}",
        backbone_weights=data / "weights/resnet20.cifar10.safetensors",
        workers=1,
    )


def small(**more: Any) -> dict[str, Any]:
    return {
        "study_version": 2,
        "title": "A title",
        "model": "pdigits",
        "data": "digits",
        "timesteps": 2,
        "training_seeds": [0, 1],
        "seen_before": "Nothing.",
        "arms": ["network", "feedforward", "no-feedback", "input-blur"],
        "suites": [{"name": "gaussian-noise"}],
        "questions": [{"name": "noise", "question": "?", "hypothesis": "!", "suite": "gaussian-noise"}],
        **more,
    }


def written(folder: Path, table: dict[str, Any]) -> Path:
    path = folder / "study.toml"
    path.write_text(tomli_w.dumps(table), encoding="utf-8")
    return path


def main() -> None:
    """Run both studies and publish them among the tests."""
    data = Path(os.environ["PCBENCH_TEST_DATA"])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _publish(EXAMPLE, Given(folder / "out", workers=1), folder, PUBLISHED)
        _publish(RESNET, resnet_given(data, folder / "resnet"), folder, PUBLISHED_RESNET)


def _publish(table: dict[str, Any], given: Given, folder: Path, where: Path) -> None:
    path = written(folder, table)
    run_study(path, given)
    made = publish_study(path, given.out, folder)
    shutil.rmtree(where, ignore_errors=True)
    shutil.move(made.results, where)
    print(f"wrote {where}")


if __name__ == "__main__":
    main()
