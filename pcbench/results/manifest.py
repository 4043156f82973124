"""What the manifest of a finished folder has to hold: it may come from a stranger."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError


class _Missing(BaseModel):
    """What could not be computed."""

    model_config = ConfigDict(strict=True, extra="allow", frozen=True, defer_build=True)

    condition: str
    images: str
    reason: str


class _Manifest(BaseModel):
    """The fields that are read, with their types; what else a manifest says is left as it is."""

    model_config = ConfigDict(strict=True, extra="allow", frozen=True, defer_build=True)

    manifest_version: int
    key: Annotated[str, Field(pattern=r"^[0-9a-f]{12}$")]
    spec: dict[str, Any]
    files: dict[str, Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]]
    started: str = ""
    seconds: float | None = None
    waited_for_images: float | None = None
    notes: list[str] = []
    kept: dict[str, int] = {}
    missing: list[_Missing] = []
    machines: dict[str, int] = {}
    options: dict[str, Any] | None = None


def fault(content: object) -> str | None:
    """Return what is wrong with a manifest, in a few words; None where nothing is."""
    try:
        _Manifest.model_validate(content)
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(str(part) for part in problem["loc"]) or "the manifest"
        return f"{where}: {problem['msg']}"
    return None
