"""One thing that was looked at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "note", "wrong"]


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    topic: str
    """`"versions"`, `"devices"`, `"threads"`, `"folders"` or `"libraries"`."""
    name: str
    """What was looked at."""
    found: str
    """What was found, in words."""
    state: State = "ok"
    """`"note"` is worth knowing; what is `"wrong"` makes runs fail, or numbers differ."""
    remedy: str | None = None
    """What to do about it."""
