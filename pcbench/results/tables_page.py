"""The tables of columns in docs/reference/tables.md, from the code: `python -m pcbench.results.tables_page FILE`."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from pcbench import files
from pcbench.results.columns import (
    ANSWERS_COLUMNS,
    EVIDENCE_COLUMNS,
    IMAGES_COLUMNS,
    METRICS_COLUMNS,
    OUTCOMES_COLUMNS,
    REPRESENTATIONS_COLUMNS,
    Column,
    table_of_columns,
)
from pcbench.results.metrics_table import metrics_type

SECTIONS: Mapping[str, Mapping[str, Column]] = {
    "`outcomes/<suite>/*.parquet`": OUTCOMES_COLUMNS,
    "`representations/<suite>/*.parquet`": REPRESENTATIONS_COLUMNS,
    "`metrics.csv` and `metrics.parquet`": METRICS_COLUMNS,
    "`checks/<suite>.parquet`": EVIDENCE_COLUMNS,
    "`images.parquet`": IMAGES_COLUMNS,
    "`answers.parquet`": ANSWERS_COLUMNS,
}
"""The headings of the page that a table of columns stands below."""


def outcomes_type(column: Column) -> str:
    """Return what pandas calls the type of a column of `Run.outcomes()`: of some it depends on whether any is empty."""
    stored = {"string": "category", "float": "float32", "double": "float64"}.get(str(column.type), str(column.type))
    if not column.may_be_empty or stored in ("category", "float32", "float64"):
        return stored
    return f"{stored}; with empty ones {'object' if stored == 'bool' else 'float64'}"


IN_PANDAS: Mapping[str, Callable[[Column], str]] = {
    "`outcomes/<suite>/*.parquet`": outcomes_type,
    "`metrics.csv` and `metrics.parquet`": metrics_type,
}
"""Of the sections whose tables are DataFrames in Python, `Run.outcomes()` and `Run.metrics`, what types are called."""

_TABLE = re.compile(r"^(?:[|].*\n)+", re.MULTILINE)


def filled(page: str) -> str:
    """Return the page with the table below each of these headings made anew.

    Args:
        page: The page as Markdown; below each of these headings the first table is one of columns.
    """
    for heading, columns in SECTIONS.items():
        above, below = page.split(f"\n## {heading}\n")
        before, after = _TABLE.split(below, maxsplit=1)
        table = table_of_columns(columns, IN_PANDAS.get(heading))
        page = f"{above}\n## {heading}\n{before}{table}\n{after}"
    return page


if __name__ == "__main__":
    path = Path(sys.argv[1])
    files.write(path, filled(path.read_text(encoding="utf-8")))
