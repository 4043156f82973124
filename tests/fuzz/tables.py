"""Readers of tables: Parquet and CSV."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from fuzz.trial import Reader
from PIL import Image
from simulated_runs import simulated_tables

from pcbench.data.preprocessing import Preprocessing
from pcbench.data.sources import open_source
from pcbench.results.metrics_table import read_metrics
from pcbench.results.schema import TABLES, made_table, read_table, write_outcomes, write_table

FORMER = Path(__file__).resolve().parents[1] / "former" / "run"
ROWS = 6


def _outcomes(folder: Path) -> None:
    folder.mkdir()
    for number, table in enumerate(simulated_tables(images=8)[::40]):
        write_outcomes(table, folder / f"made-{number}.parquet")
    shutil.copy(FORMER / "outcomes" / "small" / "pgd-t1.parquet", folder / "former.parquet")


def _read_outcomes(folder: Path) -> None:
    tables = [read_table(path, "outcomes") for path in sorted(folder.glob("*.parquet"))]
    pa.concat_tables(tables).unify_dictionaries().to_pandas()


def _others(folder: Path) -> None:
    folder.mkdir()
    for name, schema in TABLES.items():
        if name != "outcomes":
            values = {field.name: _values(field.type) for field in schema}
            write_table(made_table(name, values), folder / f"{name}.parquet", name)


def _values(kind: pa.DataType) -> list[object]:
    plain = kind.value_type if pa.types.is_dictionary(kind) else kind
    if pa.types.is_string(plain):
        return [f"a{number}" for number in range(ROWS)]
    if pa.types.is_binary(plain):
        return [bytes([number]) for number in range(ROWS)]
    if pa.types.is_boolean(plain):
        return [number % 2 == 0 for number in range(ROWS)]
    if pa.types.is_list(plain):
        return [[number] for number in range(ROWS)]
    return list(range(ROWS))


def _read_others(folder: Path) -> None:
    for path in sorted(folder.glob("*.parquet")):
        read_table(path, path.stem).to_pandas()


def _metrics(folder: Path) -> None:
    folder.mkdir()
    for name in ("metrics.parquet", "metrics.csv"):
        shutil.copy(FORMER / name, folder)


def _read_metrics(folder: Path) -> None:
    for path in sorted(folder.iterdir()):
        read_metrics(path)


def _images(folder: Path) -> None:
    folder.mkdir()
    pixels = np.random.default_rng(0).integers(0, 255, (ROWS, 8, 8, 3), dtype=np.uint8)
    cells = []
    for number, image in enumerate(pixels):
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, "PNG")
        cells.append({"bytes": buffer.getvalue(), "path": f"{number}.png"})
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    table = pa.table({"image": pa.array(cells, kind), "label": pa.array([0, 1, 2, 0, 1, 2], pa.int64())})
    table = table.replace_schema_metadata({"class_names": '["a", "b", "c"]'})
    pq.write_table(table, folder / "test-00000-of-00001.parquet", row_group_size=4)


def _read_images(folder: Path) -> None:
    source = open_source(f"parquet:{folder}", preprocessing=Preprocessing(crop=8))
    source.digests()
    source.load(range(len(source)))


READERS = [
    Reader("outcomes (Parquet)", _outcomes, "*.parquet", _read_outcomes, weight=2),
    Reader("other tables (Parquet)", _others, "*.parquet", _read_others, weight=2),
    Reader("metrics (Parquet, CSV)", _metrics, "*", _read_metrics, weight=3),
    Reader("images in Parquet", _images, "*.parquet", _read_images, weight=1),
]
