"""A published study made again by one command, and compared with what was published.

    PCBENCH_TEST_DATA=FOLDER uv run python benchmarks/reproduce_study.py presnet20_cifar10 [--out DIR] [--workers 2]

Does the trainings, tunings and runs of which decisions are published in `results/STUDY`, by the file that lies there,
and compares as `pcbench study check` does. It takes as long as the study did; what was stopped goes on. A study of real
images and weights is left out, in a line that says so, where `PCBENCH_TEST_DATA` names no folder that holds them. The
exit code is 1 where what was made is another study.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from pcbench.errors import PcbenchError
from pcbench.percent import short_percent
from pcbench.studies.decisions import DECISIONS, read_decisions
from pcbench.studies.finished import part_of
from pcbench.studies.options import Given
from pcbench.studies.publishing import TOLERATED, Sameness, compare_study
from pcbench.studies.steps import steps_of
from pcbench.studies.study import do_some, report_study
from pcbench.studies.study_file import read_study

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Places:
    """Where the images and weights of a study lie in the folder that `PCBENCH_TEST_DATA` names."""

    data: str
    training_data: str
    backbone: str
    deeper: str | None = None


_CIFAR = "cifar10/test.parquet", "cifar10/train-20k.parquet"
_RESNET56 = "weights/resnet56.cifar10.safetensors"
PLACES: dict[str, Places | None] = {
    "pdigits": None,
    "presnet20_cifar10": Places(*_CIFAR, "weights/resnet20.cifar10.safetensors", _RESNET56),
    "presnet56_cifar10": Places(*_CIFAR, _RESNET56),
    "ptf_efficientnetv2_b0": Places(
        "imagenette/val-500.parquet",
        "imagenette/train-2500.parquet",
        "weights/tf_efficientnetv2_b0.imagenet.safetensors",
    ),
}
"""By study; None where all comes with pcbench."""


def missing_files(places: Places | None) -> list[str]:
    """Return which files of a study are not in the folder of real images and weights; all where none is named."""
    if places is None:
        return []
    folder = os.environ.get("PCBENCH_TEST_DATA")
    needed = (places.data, places.training_data, places.backbone, *([places.deeper] if places.deeper else []))
    return [one for one in needed if not folder or not (Path(folder) / one).is_file()]


def given_of(places: Places | None, out: Path, workers: int | str) -> Given:
    """Return where the images and weights of a study lie here, once none of them is missing."""
    if places is None:
        return Given(out, workers=workers)
    folder = Path(os.environ["PCBENCH_TEST_DATA"])
    return Given(
        out,
        data=f"parquet:{folder / places.data}",
        training_data=f"parquet:{folder / places.training_data}",
        backbone_weights=folder / places.backbone,
        deeper_weights=folder / places.deeper if places.deeper else None,
        workers=workers,
    )


def made_again(path: Path, given: Given) -> Sameness:
    """Do what is published of a study once more, and compare."""
    part = part_of(read_study(path), list(read_decisions(path.parent / DECISIONS)))
    do_some(path, given, steps_of(part, given))
    report_study(path, given.out, so_far=True)
    return compare_study(path, given.out, path.parent)


def main() -> None:
    """Do what is published of a study, and say whether it is the same."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("study", choices=PLACES)
    parser.add_argument("--out", type=Path, help="default: results/studies/STUDY-again")
    parser.add_argument("--workers", default="auto")
    options = parser.parse_args()
    published = ROOT / "results" / options.study
    missing = missing_files(PLACES[options.study])
    if missing:
        folder = os.environ.get("PCBENCH_TEST_DATA") or "PCBENCH_TEST_DATA, which names no folder"
        print(
            f"skipped: {options.study} needs real images and weights: {', '.join(missing)} "
            f"{'is' if len(missing) == 1 else 'are'} not in {folder}; studies/README.md says where they come from"
        )
        return
    out = options.out or Path("results/studies") / f"{options.study}-again"
    given = given_of(PLACES[options.study], out, options.workers)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    try:
        found = made_again(published / f"{options.study}.toml", given)
    except PcbenchError as error:
        sys.exit(f"reproduce_study: {error}")
    except KeyboardInterrupt:
        print("reproduce_study: stopped; the same command goes on", file=sys.stderr)
        sys.exit(130)  # as shells have it for Ctrl-C
    print(
        f"{found.flipped} of {found.decisions} decisions differ; {len(found.different)} of {found.tables} tables"
        f"{'' if found.same_machine else ', with other versions, code or processor'}: "
        f"{'the same' if found.passed else 'another study'} (at most {short_percent(TOLERATED)} % may differ)"
    )
    sys.exit(0 if found.passed else 1)


if __name__ == "__main__":
    main()
