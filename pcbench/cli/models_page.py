"""The table of `docs/reference/models.md` that says how a model is named, made from the code."""

from __future__ import annotations

from pcbench.models.naming import MODEL_FORMS

_BEGINNING = "<!-- made by python -m pcbench.cli.models_page -->"


def forms_page() -> str:
    """Return the table, after the line by which it is found."""
    rows = [f"| `{one.form}` | {one.what} | {one.weights} |" for one in MODEL_FORMS]
    return "\n".join([_BEGINNING, "", "| name | what it names | its weights |", "|---|---|---|", *rows, ""])


if __name__ == "__main__":
    print(forms_page(), end="")
