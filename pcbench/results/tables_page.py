"""The tables of columns in docs/tables.md, made from the declarations: `python -m pcbench.results.tables_page FILE`."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
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

SECTIONS: Mapping[str, Mapping[str, Column]] = {
    "`outcomes/<suite>/*.parquet`": OUTCOMES_COLUMNS,
    "`representations/<suite>/*.parquet`": REPRESENTATIONS_COLUMNS,
    "`metrics.csv` and `metrics.parquet`": METRICS_COLUMNS,
    "`checks/<suite>.parquet`": EVIDENCE_COLUMNS,
    "`images.parquet`": IMAGES_COLUMNS,
    "`answers.parquet`": ANSWERS_COLUMNS,
}
"""The headings of the page that a table of columns stands below."""

_TABLE = re.compile(r"^(?:[|].*\n)+", re.MULTILINE)


def filled(page: str) -> str:
    """Return the page with the table below each of these headings made anew.

    Args:
        page: The page as Markdown; below each of these headings the first table is one of columns.
    """
    for heading, columns in SECTIONS.items():
        above, below = page.split(f"\n## {heading}\n")
        before, after = _TABLE.split(below, maxsplit=1)
        page = f"{above}\n## {heading}\n{before}{table_of_columns(columns)}\n{after}"
    return page


if __name__ == "__main__":
    path = Path(sys.argv[1])
    files.write(path, filled(path.read_text(encoding="utf-8")))
