"""What differs between two versions of a study's file, in words."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast


def changes_in_words(former: str, present: str) -> str:
    """Return what differs between two versions of a file, such as ``"arms (smoothed added); title"``.

    Comments and the order of keys do not count.

    Args:
        former: The earlier text, TOML.
        present: The later one.

    Returns:
        Nothing where one of them cannot be read.
    """
    try:
        tables = tomllib.loads(former), tomllib.loads(present)
    except tomllib.TOMLDecodeError:
        return ""
    return "; ".join(_changes(*tables)) or "nothing but comments and order"


def _changes(former: Mapping[str, Any], present: Mapping[str, Any]) -> Iterator[str]:
    for key in dict.fromkeys((*former, *present)):
        before, after = former.get(key), present.get(key)
        if before == after:
            continue
        if isinstance(before, list) and isinstance(after, list):
            old, new = cast("list[Any]", before), cast("list[Any]", after)
            yield f"{key} ({', '.join(_of_lists(old, new)) or 'their order'})"
        else:
            yield key


def _of_lists(before: Sequence[Any], after: Sequence[Any]) -> Iterator[str]:
    old, new = _by_name(before), _by_name(after)
    for name in dict.fromkeys((*old, *new)):
        if name not in old or name not in new:
            yield f"{name} {'added' if name in new else 'removed'}"
        elif old[name] != new[name]:
            yield f"{name} changed"


def _by_name(values: Sequence[Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for one in values:
        table: dict[str, Any] = cast("dict[str, Any]", one) if isinstance(one, dict) else {}
        found[str(table.get("name", cast("Any", one)))] = one
    return found
