"""The ways in which error terms are differentiated, declared once; importing this loads no other library."""

from __future__ import annotations

from typing import Literal

Gradient = Literal["exact", "stop_error"]
"""`exact` differentiates through the error terms, `stop_error` takes them as constants."""
