"""A reference: the small frozen file that `pcbench check` holds a run against.

It is a NumPy archive (`.npz`, read without pickle) with the entry `header`, JSON as bytes, and one entry `suite_<n>`
for each suite: one bit per answer, each condition packed along its images, each row exclusive-or'ed with the row
before (the answers of timesteps are similar, so this compresses well). Equal runs give equal bytes.
"""

from __future__ import annotations

import dataclasses
import io
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pcbench.catalog import Definition, PathName
from pcbench.comparison.scores import SuiteScores, read_scores
from pcbench.errors import DataError, UsageError, damage_refused
from pcbench.files import is_file, try_folder, write
from pcbench.limits.arrays import read_arrays
from pcbench.limits.bounds import allowed, check_size, file_size
from pcbench.limits.text import parse_json
from pcbench.metrics.cells import Cell
from pcbench.results.conditions import Condition
from pcbench.results.directory import Run
from pcbench.results.run_spec import RunSpec, read_spec

REFERENCE_VERSION = 2
READ_REFERENCES = (1, REFERENCE_VERSION)


class FrozenSuite(Definition):
    """What the packed answers of a suite are of."""

    suite: PathName
    images: int
    ids_sha256: str
    cells: tuple[tuple[Condition, int], ...]
    """Each condition at a timestep."""

    @classmethod
    def of(cls, scores: SuiteScores) -> FrozenSuite:
        """Return what answers are of."""
        cells = tuple((cell.condition, cell.timestep) for cell in scores.cells)
        return cls(suite=scores.suite, images=scores.images, ids_sha256=scores.ids_sha256, cells=cells)

    def scores(self, packed: NDArray[Any]) -> SuiteScores:
        """Return the answers that `packed_answers` packed.

        Raises:
            ValueError: They have another shape than the suite's.
        """
        cells = tuple(Cell(condition, timestep) for condition, timestep in self.cells)
        if packed.dtype != np.uint8 or packed.shape != (len(cells), -(-self.images // 8)):
            raise ValueError("the answers have another shape than the header says")
        correct = np.unpackbits(np.bitwise_xor.accumulate(packed, axis=0), axis=1, count=self.images).astype(bool)
        return SuiteScores(self.suite, self.images, self.ids_sha256, cells, correct)


class _Header(Definition):
    pcbench_reference: int
    key: str
    spec: dict[str, Any]
    suites: tuple[FrozenSuite, ...]


@dataclasses.dataclass(frozen=True)
class Reference:
    """What a run is checked against."""

    key: str
    """Key of the run that was frozen."""
    spec: RunSpec
    """Its whole description."""
    suites: tuple[SuiteScores, ...]
    """Its answers."""


def freeze(run: Run) -> Reference:
    """Take from a run what a later run is checked against.

    Raises:
        DataError: The run's outcomes are damaged.
    """
    scores, _ = read_scores(run)
    return Reference(run.key, run.spec, tuple(scores))


def write_reference(reference: Reference, path: Path) -> None:
    """Write a reference; the file has its name only once it is whole.

    Raises:
        UsageError: Files cannot be written there.
        WriteError: The file could not be written after all.
    """
    header = _Header(
        pcbench_reference=REFERENCE_VERSION,
        key=reference.key,
        spec=reference.spec.model_dump(mode="json"),
        suites=tuple(map(FrozenSuite.of, reference.suites)),
    )
    entries = {f"suite_{index}": packed_answers(suite.correct) for index, suite in enumerate(reference.suites)}
    entries["header"] = np.frombuffer(header.model_dump_json().encode(), dtype=np.uint8)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **entries)
    try_folder(path.parent, "give another with `out`")
    write(path, buffer.getvalue())


def read_reference(path: Path) -> Reference:
    """Read a reference.

    Raises:
        UsageError: The file does not exist.
        DataError: The file is damaged, is not a reference, or is of a version that this pcbench does not know.
    """
    if not is_file(path):
        raise UsageError(f"{path}: the file does not exist; make a reference with pcbench freeze RUN --out {path}")
    what, remedy = "is not a reference, or is damaged", "freeze a run again"
    with damage_refused(path, what, remedy, zipfile.BadZipFile, zlib.error):
        arrays = read_arrays(path)
        text = arrays["header"].tobytes()
        _check_version(path, text)
        header = _Header.model_validate_json(text)
        spec = read_spec(header.spec)
        packed = [arrays[f"suite_{index}"] for index in range(len(header.suites))]
        # Each byte holds eight answers, and each answer takes a byte.
        check_size(path, "its answers would take", 8 * sum(one.nbytes for one in packed), allowed(file_size(path)))
        suites = map(FrozenSuite.scores, header.suites, packed)
        suites = tuple(dataclasses.replace(one, severities=spec.settings.severities) for one in suites)
        return Reference(header.key, spec, suites)


def _check_version(path: Path, text: bytes) -> None:
    version = parse_json(text, path)["pcbench_reference"]
    if version not in READ_REFERENCES:
        raise DataError(
            f"{path}: a reference of version {version}, this pcbench reads {REFERENCE_VERSION}; freeze a run again"
        )


def packed_answers(correct: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Return answers, (conditions, images), as bits, each row exclusive-or'ed with the row before."""
    packed = np.packbits(correct, axis=1)
    packed[1:] ^= packed[:-1].copy()
    return packed
