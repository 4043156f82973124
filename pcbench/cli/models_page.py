"""The table of `docs/reference/models.md` that says how a model is named: `python -m pcbench.cli.models_page FILE`."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from pcbench import files
from pcbench.models.naming import MODEL_FORMS

_BEGINNING = "<!-- made by python -m pcbench.cli.models_page -->"


def forms_page() -> str:
    """Return the table, after the line by which it is found."""
    rows = [f"| `{one.form}` | {one.what} | {one.weights} |" for one in MODEL_FORMS]
    return "\n".join([_BEGINNING, "", "| name | what it names | its weights |", "|---|---|---|", *rows, ""])


def with_forms(page: str) -> str:
    """Return the page with the table made anew, from the line by which it is found to the table's end."""
    found = re.compile(re.escape(_BEGINNING) + r"\n\n(?:[|].*\n)+")
    return found.sub(lambda _: forms_page(), page, count=1)


if __name__ == "__main__":
    path = Path(sys.argv[1])
    files.write(path, with_forms(path.read_text(encoding="utf-8")))
