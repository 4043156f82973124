"""Whether two runs can be compared: the fields that must agree, and those whose difference is told."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

from pcbench.errors import UsageError
from pcbench.results.run_spec import RunSpec

# Settings that make other images of the same files, and so another benchmark.
_IMAGE_SETTINGS = ("jpeg_quality",)


@dataclass(frozen=True)
class Difference:
    """A field of two descriptions that differs.

    Attributes:
        field: Its path, such as ``settings.seed``.
        first: Its value in the first run (or the reference).
        second: Its value in the second.
    """

    field: str
    first: Any
    second: Any

    def __str__(self) -> str:
        return f"{self.field}: {_short(self.first)} -> {_short(self.second)}"


def require_same_images(first: RunSpec, second: RunSpec, suites: Sequence[str], names: tuple[str, str]) -> None:
    """Refuse two runs whose images are not the same ones, prepared alike.

    Args:
        first: The first run's description.
        second: The second's.
        suites: The suites that are to be compared.
        names: What the two are called in the message.

    Raises:
        UsageError: They cannot be compared; the message names every field that differs.
    """
    differing = [difference for difference in _fatal(first, second, suites) if difference.first != difference.second]
    if differing:
        raise UsageError(
            f"{names[0]} and {names[1]} cannot be compared: {'; '.join(map(str, differing))}; "
            "compare runs on the same images, prepared alike, of the same suite versions"
        )


def other_differences(first: RunSpec, second: RunSpec) -> list[Difference]:
    """Return every field that differs between two descriptions, field by field, but for the suites."""
    return list(_walk("", *(spec.model_dump(mode="json", exclude={"suites"}) for spec in (first, second))))


def _fatal(first: RunSpec, second: RunSpec, suites: Sequence[str]) -> Iterator[Difference]:
    yield Difference("data.preprocessing", first.data.preprocessing, second.data.preprocessing)
    if first.data.preprocessing == second.data.preprocessing:
        yield Difference("data.fingerprint", first.data.fingerprint, second.data.fingerprint)
    yield Difference("data.corrupted", first.data.corrupted, second.data.corrupted)
    for name in _IMAGE_SETTINGS:
        yield Difference(f"settings.{name}", getattr(first.settings, name), getattr(second.settings, name))
    specs = [{suite.name: suite for suite in spec.suites} for spec in (first, second)]
    for name in suites:
        one, other = (spec.get(name) for spec in specs)
        if one is None or other is None:
            yield Difference(f"suite {name}", *("run" if suite else "not run" for suite in (one, other)))
            continue
        for field in ("kind", "version", "sha256", "images"):
            yield Difference(f"suite {name} {field}", getattr(one, field), getattr(other, field))


def _walk(path: str, first: Any, second: Any) -> Iterator[Difference]:
    if first == second:
        return
    if isinstance(first, dict) and isinstance(second, dict):
        one, other = cast("dict[str, Any]", first), cast("dict[str, Any]", second)
        for key in dict.fromkeys([*one, *other]):
            yield from _walk(f"{path}.{key}" if path else key, one.get(key), other.get(key))
    else:
        yield Difference(path, first, second)


def _short(value: Any) -> str:
    text = "nothing" if value is None else str(value)
    # A hash is recognised by its first digits.
    return text[:12] if len(text) == 64 and " " not in text else text
