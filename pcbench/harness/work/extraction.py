"""The values inside a network at every timestep: rows of the arrays that an extraction writes."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from typing import cast

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor

from pcbench.data.prefetch import LookAhead
from pcbench.errors import RunError
from pcbench.harness.blocks import Unit
from pcbench.harness.context import Context, Inputs, Made
from pcbench.harness.scoring import check_shape, page_locked, to_unit_range
from pcbench.models.inner_values import PCODER_VALUES, show_values
from pcbench.network.watching import MODULES
from pcbench.results.run_spec import ArraySpec, ExtractionSpec, RunSpec

LOGITS = "logits"
"""The name of the array that is always written, neither pooled nor projected."""

Project = Callable[[NDArray[np.float32]], NDArray[np.float32]]


def compute(unit: Unit, inputs: Inputs, context: Context) -> Made:
    """Return the rows of a block's images: bytes for each array, and a table of their hashes.

    The table has one row an array: `array`, `sha256` of its bytes, and `not_finite`, how many of its values are.
    """
    del inputs
    spec, model = context.spec, context.model
    extraction, timesteps = _of(spec), spec.settings.timesteps
    rows = _Rows(spec, len(unit.block))
    keep, first = wanted(extraction), 0
    ahead = LookAhead((batch, page_locked(batch.images, model.device)) for batch in context.batches(unit))
    for batch, images in ahead:
        rows.start(first, len(batch.ids))
        pixels = to_unit_range(images, model.device)
        logits = show_values(model, pixels, timesteps, keep, rows.take)
        check_shape(logits, (timesteps + 1, len(batch.ids), model.classes))
        for timestep, answers in enumerate(logits):
            rows.take(LOGITS, timestep, answers)
        first += len(batch.ids)
        context.meter.step(len(batch.ids) * unit.passes.work, len(batch.ids))
    context.meter.wait(ahead.waited_seconds, ahead.elapsed_seconds)
    return rows.made()


def wanted(extraction: ExtractionSpec) -> list[str]:
    """Return what the network is asked to keep: kinds of values, and modules."""
    names = [array.name for array in extraction.arrays if array.name != LOGITS]
    kinds = [kind for kind in PCODER_VALUES if any(name.startswith(f"{kind}/") for name in names)]
    return [*kinds, *(name.removeprefix(MODULES) for name in names if name.startswith(MODULES))]


def pooled(value: Tensor, pool: str | None) -> Tensor:
    """Pool values (batch, channels, height, width) over height and width; others are returned as they are."""
    if pool is None or value.dim() != 4:
        return value
    if pool == "max":
        return value.amax((2, 3))
    return (value.square() if pool == "mean_square" else value).mean((2, 3))


def projection(numbers: int, left: int, seed: int) -> Project:
    """Return a sparse random projection, which keeps squared distances on average.

    Each entry is nonzero with probability 1/√numbers, and then √(√numbers / left) with a random sign (P. Li, T. Hastie
    and K. Church, "Very sparse random projections", KDD 2006).

    Args:
        numbers: How many numbers it takes: equal numbers and seeds give the same matrix.
        left: How many it leaves.
        seed: Of the matrix.

    Returns:
        A function from (batch, numbers) to (batch, left). What it gives for one image does not depend on the others.
    """
    from scipy import sparse  # a run that projects nothing does without it

    drawn = hashlib.sha256(f"projection {seed} {numbers} {left}".encode()).digest()
    generator, share = np.random.default_rng(int.from_bytes(drawn, "big")), numbers**-0.5
    counts = generator.binomial(numbers, share, left).tolist()
    places = np.arange(numbers)
    columns = [np.sort(generator.choice(places, each, replace=False, shuffle=False)) for each in counts]
    entries = generator.choice(np.array([-1.0, 1.0]), sum(counts)) / np.sqrt(share * left)
    rows = np.cumsum([0, *counts])
    shape = (left, numbers)
    matrix = sparse.csr_matrix((entries.astype(np.float32), np.concatenate(columns), rows), shape=shape)
    return lambda values: np.ascontiguousarray((matrix @ values.T).T)


class _Rows:
    """The rows of one block, filled value by value.

    Args:
        spec: What is extracted.
        images: How many images the block has.
    """

    def __init__(self, spec: RunSpec, images: int) -> None:
        extraction, times = _of(spec), spec.settings.timesteps + 1
        self._extraction = extraction
        self._arrays = {array.name: array for array in extraction.arrays}
        dtype = np.dtype(extraction.dtype)
        shapes = {array.name: (images, times, *array.shape) for array in extraction.arrays}
        self._bytes = {name: bytearray(dtype.itemsize * math.prod(shape)) for name, shape in shapes.items()}
        self._rows = {name: np.frombuffer(self._bytes[name], dtype).reshape(shape) for name, shape in shapes.items()}
        self._not_finite = dict.fromkeys(self._arrays, 0)
        self._projections: dict[int, Project] = {}
        self._seed = spec.settings.seed
        self._batch = slice(0)

    def start(self, first: int, count: int) -> None:
        """Say which images of the block the next values are of."""
        self._batch = slice(first, first + count)

    def take(self, name: str, timestep: int, value: Tensor) -> None:
        """Take a value of the network."""
        array = self._arrays.get(name)
        if array is None:
            return
        if tuple(value.shape[1:]) != array.computed:
            raise RunError(f"{name} has the shape {tuple(value.shape[1:])} where {array.computed} was planned")
        found = value.float() if name == LOGITS else pooled(value.float(), self._extraction.pool)
        if array.projected:
            found = self._projected(found, array)
        if not math.isfinite(float(found.sum())):  # one number tells of all of them, much faster than a look at each
            self._not_finite[name] += int((~found.isfinite()).sum())
        self._rows[name][self._batch, timestep] = self._stored(name, found).cpu().numpy()

    def _projected(self, value: Tensor, array: ArraySpec) -> Tensor:
        flat = value.flatten(1).cpu().numpy()
        (left,) = array.shape
        if flat.shape[1] not in self._projections:
            self._projections[flat.shape[1]] = projection(flat.shape[1], left, self._seed)
        return torch.from_numpy(self._projections[flat.shape[1]](flat))

    def _stored(self, name: str, value: Tensor) -> Tensor:
        if self._extraction.dtype == "float32":
            return value
        half = value.half()
        if bool((half.isinf() & value.isfinite()).any()):
            largest = float(value[value.isfinite()].abs().max())
            raise RunError(f"{name} reaches {largest:.3g}, more than float16 holds (65504); give dtype='float32'")
        return half

    def made(self) -> Made:
        """Return the rows as bytes, without a copy of them."""
        columns = {
            "array": list(self._bytes),
            "sha256": [hashlib.sha256(content).hexdigest() for content in self._bytes.values()],
            "not_finite": list(self._not_finite.values()),
        }
        # They are written, and sent to another process, as bytes are.
        return Made(pa.table(columns), cast("dict[str, bytes]", self._bytes))


def shape_of(value: tuple[int, ...], extraction_pool: str | None, left: int | None) -> tuple[tuple[int, ...], bool]:
    """Return the shape that is written of one image's value, and whether it is projected.

    Args:
        value: Its shape in the network.
        extraction_pool: How it is pooled.
        left: How many numbers a projection leaves.
    """
    shape = value[:1] if extraction_pool is not None and len(value) == 3 else value
    if left is not None and math.prod(shape) > left:
        return (left,), True
    return shape, False


def _of(spec: RunSpec) -> ExtractionSpec:
    if spec.extraction is None:
        raise RunError("nothing is extracted in this run")
    return spec.extraction
