"""Options that several verbs have, each declared once."""

from __future__ import annotations

from typing import Annotated

import typer

ALLOW_CHANGED = "Read a run whose files were changed; what is made of it says so."
AllowChanged = Annotated[bool, typer.Option("--allow-changed", help=ALLOW_CHANGED)]
