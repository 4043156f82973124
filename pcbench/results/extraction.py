"""The folder of a finished extraction, and the arrays that are filled while it is under way.

    <folder>/extraction.json       what was run, what each array is, a hash of every file
    <folder>/image_ids.json        the ids of the images, in the order of the arrays' first axis
    <folder>/images.parquet        the same with labels (-1: none) and a hash of each image
    <folder>/arrays/<name>.npy     one array a layer, (images, timesteps, ...)
    <folder>/arrays.h5             in place of these, where HDF5 was asked for
    <folder>/locations.toml        where files were and on which host, not published

While it is under way, the arrays have their full size from the start, and each unit's rows are written where they
belong; its part keeps a hash of them and says that they are on the disk.
"""

from __future__ import annotations

import dataclasses
import io
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pcbench import files
from pcbench.errors import DataError, UnknownNameError, UsageError
from pcbench.extras import require
from pcbench.limits.text import read_json
from pcbench.names import file_name
from pcbench.results.directory import EXTRACTION_MANIFEST, MANIFEST, Run, partial_folder, read_manifest
from pcbench.results.run_spec import ArraySpec, ExtractionSpec, RunSpec

if TYPE_CHECKING:
    import pandas as pd

ARRAYS, HDF5, IDS = "arrays", "arrays.h5", "image_ids.json"


@dataclasses.dataclass(frozen=True, repr=False)
class Extraction(Run):
    """A finished extraction: arrays of (images, timesteps, ...)."""

    @property
    def extraction(self) -> ExtractionSpec:
        """What was written."""
        return written(self.spec)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the arrays: ``logits``, ``representations/1``, ``modules/layer2``, …."""
        return tuple(array.name for array in self.extraction.arrays)

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids of the images, in the order of the arrays' first axis."""
        return tuple(map(str, read_json(self.folder / IDS)))

    def array(self, name: str) -> NDArray[Any]:
        """Return one array, (images, timesteps, ...); of a `.npy` file only what is looked at is read.

        Raises:
            UnknownNameError: There is no such array.
            DataError: Its file is damaged.
        """
        if name not in self.names:
            raise UnknownNameError("array", name, self.names)
        if self.extraction.format == "hdf5":
            with require("h5py").File(self.folder / HDF5, "r") as file:
                return file[name][()]
        path = self.folder / ARRAYS / array_file(name)
        try:
            return np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError) as error:
            raise DataError(f"{path}: damaged ({type(error).__name__}); extract it again with again=True") from error

    @property
    def metrics(self) -> pd.DataFrame:
        """None: an extraction measures nothing.

        Raises:
            UsageError: Always.
        """
        raise UsageError(f"{self.folder} is an extraction, which has no tables; pcbench run measures")

    def __repr__(self) -> str:
        return f"Extraction({', '.join(self.names)} of {len(self.ids)} images, in {str(self.folder)!r})"


def open_extraction(folder: Path | str, *, verify: bool = True) -> Extraction:
    """Open a finished extraction.

    Args:
        folder: Its folder.
        verify: Whether to compare every file with its hash in the manifest.

    Raises:
        UsageError: The folder holds no finished extraction.
        DataError: The manifest or one of the files is damaged or of an unknown version.
    """
    folder = Path(folder)
    if not (folder / EXTRACTION_MANIFEST).is_file():
        state = "is not an extraction"
        if partial_folder(folder).is_dir():
            state = "is an unfinished extraction: start it again to continue"
        elif (folder / MANIFEST).is_file():
            state = "is a run, not an extraction"
        raise UsageError(f"{folder} {state}")
    spec, manifest = read_manifest(folder, EXTRACTION_MANIFEST, verify=verify)
    if spec.extraction is None:
        raise DataError(f"{folder / EXTRACTION_MANIFEST}: damaged (no arrays); extract it again with again=True")
    return Extraction(folder, spec, manifest)


def written(spec: RunSpec) -> ExtractionSpec:
    """Return what an extraction writes.

    Raises:
        UsageError: The description is of a run that measures.
    """
    if spec.extraction is None:
        raise UsageError("this is a run, not an extraction")
    return spec.extraction


def array_shape(spec: RunSpec, array: ArraySpec) -> tuple[int, ...]:
    """Return the shape of an array, (images, timesteps, ...)."""
    return (written(spec).images, spec.settings.timesteps + 1, *array.shape)


def array_bytes(spec: RunSpec, array: ArraySpec) -> int:
    """Return how many bytes an array has."""
    return math.prod(array_shape(spec, array)) * np.dtype(written(spec).dtype).itemsize


def array_file(name: str) -> str:
    """Return the path of an array's file below the folder of arrays."""
    kind, _, which = name.partition("/")
    return f"{kind}/{file_name(which)}.npy" if which else f"{kind}.npy"


class ArrayFiles:
    """The `.npy` files of an extraction that is under way.

    Args:
        folder: Where they lie; they are made when rows are first written.
        spec: What is extracted.
    """

    def __init__(self, folder: Path, spec: RunSpec) -> None:
        self.folder, self._spec, self._images = folder, spec, written(spec).images
        self._arrays = {array.name: array for array in written(spec).arrays}

    def path(self, name: str) -> Path:
        """Return the file of an array."""
        return self.folder / array_file(name)

    def write(self, start: int, rows: Mapping[str, bytes]) -> None:
        """Write the rows of some images, from this one on, into the arrays.

        Raises:
            WriteError: They cannot be written.
        """
        for name, content in rows.items():
            array, path = self._arrays[name], self.path(name)
            header, size = self._header(array), self._row_bytes(array)
            whole = len(header) + self._images * size
            if not path.is_file() or path.stat().st_size != whole:
                files.write(path, lambda unfinished, header=header, whole=whole: _empty(unfinished, header, whole))
            files.write_inside(path, len(header) + start * size, content)

    def holds(self, name: str, start: int, stop: int, sha256: str) -> bool:
        """Return whether rows are those of a hash."""
        array = self._arrays[name]
        size = self._row_bytes(array)
        try:
            found = files.part_sha256(self.path(name), len(self._header(array)) + start * size, (stop - start) * size)
        except OSError:
            return False
        return found == sha256

    def allocated(self) -> int:
        """Return how many bytes of the disk the files take already: what was not written yet takes none."""
        paths = [self.path(name) for name in self._arrays]
        return sum(512 * getattr(path.stat(), "st_blocks", 0) for path in paths if path.is_file())

    def _row_bytes(self, array: ArraySpec) -> int:
        return array_bytes(self._spec, array) // self._images

    def _header(self, array: ArraySpec) -> bytes:
        buffer = io.BytesIO()
        dtype = np.dtype(written(self._spec).dtype)
        described = {"descr": dtype.str, "fortran_order": False, "shape": array_shape(self._spec, array)}
        np.lib.format.write_array_header_1_0(buffer, described)
        return buffer.getvalue()


def _empty(path: Path, header: bytes, size: int) -> None:
    with path.open("wb") as file:
        file.write(header)
        file.truncate(size)


def write_hdf5(arrays: ArrayFiles, path: Path, ids: tuple[str, ...], extraction: ExtractionSpec) -> None:
    """Write all arrays into one HDF5 file: a dataset for each, and the ids of the images as `image_ids`.

    Raises:
        WriteError: It cannot be written.
        MissingExtraError: h5py is not installed.
    """
    h5py = require("h5py")

    def fill(unfinished: Path) -> None:
        with h5py.File(unfinished, "w") as file:
            file["image_ids"] = np.array(ids, dtype=h5py.string_dtype())
            for array in extraction.arrays:
                source = np.load(arrays.path(array.name), mmap_mode="r", allow_pickle=False)
                target = file.create_dataset(array.name, shape=source.shape, dtype=source.dtype)
                target.attrs["module"] = array.module or ""
                for start in range(len(source)):
                    target[start] = source[start]

    files.write(path, fill)
