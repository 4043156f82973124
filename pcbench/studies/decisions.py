"""The decisions of a study, image by image, in one small file, by which the same study made elsewhere is compared.

It is a NumPy archive (`.npz`, read without pickle) with the entry `header`, JSON as bytes, and one entry `run_<n>` for
each run: its answers at t = 0 and at its last t, packed as in a reference (`pcbench.comparison.reference`).
"""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np

from pcbench.catalog import Definition
from pcbench.comparison.reference import FrozenSuite, packed_answers
from pcbench.comparison.scores import SuiteScores, read_scores
from pcbench.errors import damage_refused
from pcbench.files import write
from pcbench.limits.arrays import read_arrays
from pcbench.limits.bounds import allowed, check_size, file_size
from pcbench.results.directory import open_run
from pcbench.studies.options import Given
from pcbench.studies.steps import RUNS, steps_of
from pcbench.studies.study_file import StudyFile

DECISIONS = "decisions.npz"
DecisionsVersion = Literal[1]


class _Header(Definition):
    study_decisions: DecisionsVersion
    suites: tuple[FrozenSuite, ...]
    """Each only once: the runs of a suite are mostly of the same conditions."""
    runs: tuple[tuple[str, int], ...]
    """The name of each run in the study's folder, and which of the suites it is of."""


def run_decisions(study: StudyFile, out: Path) -> Iterator[tuple[str, SuiteScores]]:
    """Yield the name of each run in the folder of a study, and its answers at t = 0 and at its last t.

    Raises:
        DataError: A run is missing or damaged.
    """
    for step in steps_of(study, Given(out)):
        if step.kind == "run":
            (scores,) = read_scores(open_run(out / step.name, verify=False))[0]
            yield step.name.removeprefix(f"{RUNS}/"), _first_and_last(scores)


def write_decisions(study: StudyFile, out: Path, path: Path) -> None:
    """Write the decisions of a finished study.

    Raises:
        DataError: A run is missing or damaged.
        WriteError: The file cannot be written.
    """
    suites: list[FrozenSuite] = []
    runs: list[tuple[str, int]] = []
    entries: dict[str, np.ndarray[tuple[int, ...], np.dtype[np.uint8]]] = {}
    for name, scores in run_decisions(study, out):
        frozen = FrozenSuite.of(scores)
        if frozen not in suites:
            suites.append(frozen)
        entries[f"run_{len(runs)}"] = packed_answers(scores.correct)
        runs.append((name, suites.index(frozen)))
    header = _Header(study_decisions=1, suites=tuple(suites), runs=tuple(runs))
    entries["header"] = np.frombuffer(header.model_dump_json().encode(), dtype=np.uint8)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **entries)
    write(path, buffer.getvalue())


def read_decisions(path: Path) -> Mapping[str, SuiteScores]:
    """Return the published decisions of each run, by its name.

    Raises:
        DataError: The file is missing or damaged.
    """
    with damage_refused(path, "holds no decisions of a study", "publish it again", zipfile.BadZipFile, zlib.error):
        arrays = read_arrays(path)
        header = _Header.model_validate_json(arrays["header"].tobytes())
        packed = [arrays[f"run_{number}"] for number in range(len(header.runs))]
        # Each byte holds eight answers, and each answer takes a byte.
        check_size(path, "its answers would take", 8 * sum(one.nbytes for one in packed), allowed(file_size(path)))
        named = zip(header.runs, packed, strict=True)
        return {name: header.suites[number].scores(bits) for (name, number), bits in named}


def _first_and_last(scores: SuiteScores) -> SuiteScores:
    last = max(cell.timestep for cell in scores.cells)
    kept = [number for number, cell in enumerate(scores.cells) if cell.timestep in (0, last)]
    return replace(scores, cells=tuple(scores.cells[number] for number in kept), correct=scores.correct[kept])
