"""Options that several verbs have, each declared once."""

from __future__ import annotations

from typing import Annotated

import typer

JSON_HELP = "Print JSON in place of tables; its keys are in docs/reference/json.md."
AsJson = Annotated[bool, typer.Option("--json", help=JSON_HELP)]
ALLOW_CHANGED = "Read a run whose files were changed; what is made of it says so."
AllowChanged = Annotated[bool, typer.Option("--allow-changed", help=ALLOW_CHANGED)]
