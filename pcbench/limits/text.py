"""Text, JSON and TOML, with bounds on their size and depth.

Errors of reading and parsing (`OSError`, `ValueError`) are left to the caller, who knows what the file was to be.
"""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, cast

from pcbench.errors import DataError
from pcbench.limits.bounds import TEXT_GROWTH, check_count, check_size, file_size, memory_limit

MOST_LEVELS = 64
"""How deep lists and tables may be nested in each other."""
_VALUE = 1000
"""The bytes of memory that a value takes with all that is told of it where it is wrong."""
_TOML_SHARE = 64
"""A TOML file, written by hand, has at most this share of what another text may have: its parser is slow."""
_LONG_KEY = re.compile(r"""(?:[\w"'-]+[ \t]*\.[ \t]*){64}""")
"""A key of very many parts, for which the parser takes a time that grows with their square."""


def read_bytes(path: Path, growth: int = TEXT_GROWTH) -> bytes:
    """Read a whole file that a parser will take apart.

    Args:
        path: The file.
        growth: How many bytes of memory a byte of it may take.

    Raises:
        DataError: It is larger than allowed.
        OSError: It is missing, or cannot be read.
    """
    most = memory_limit() // growth
    check_size(path, "is a text of", file_size(path), most)
    with open(path, "rb", opener=_without_waiting) as file:
        content = file.read(most + 1)
    check_size(path, "is a text of at least", len(content), most)
    return content


def _without_waiting(path: str, flags: int) -> int:
    """Open a file; a named pipe that nobody writes to is empty, instead of waited for without end."""
    handle = os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
    if os.name != "nt":
        os.set_blocking(handle, True)  # a shell's <(command) is waited for
    return handle


def read_text(path: Path, growth: int = TEXT_GROWTH) -> str:
    """Read a text file (UTF-8).

    Raises:
        DataError: It is larger than allowed.
        OSError: It is missing, or cannot be read.
        UnicodeDecodeError: It is not text.
    """
    return read_bytes(path, growth).decode("utf-8").replace("\r\n", "\n").replace("\r", "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        DataError: It is larger or deeper than allowed.
        OSError: It is missing, or cannot be read.
        ValueError: It is not JSON.
    """
    return parse_json(read_bytes(path), path)


def json_bytes(path: Path) -> bytes:
    """Read a JSON file that a parser with a schema takes apart; such a parser has a bound on the depth of its own.

    Raises:
        DataError: It is larger than allowed, or has more values.
        OSError: It is missing, or cannot be read.
    """
    content = read_bytes(path)
    _check_values(content.count(b","), path)
    return content


def parse_json(content: bytes | str, place: Path | str) -> Any:
    """Parse JSON that was read before.

    Args:
        content: The text.
        place: The file, for the message.

    Raises:
        DataError: It is deeper than allowed, or has more values.
        ValueError: It is not JSON.
    """
    _check_values(content.count(b",") if isinstance(content, bytes) else content.count(","), place)
    return _shallow(lambda: json.loads(content), place)


def parsed_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises:
        DataError: It is larger or deeper than allowed.
        OSError: It is missing, or cannot be read.
        ValueError: It is not TOML.
    """
    text = read_text(path, TEXT_GROWTH * _TOML_SHARE)
    if _LONG_KEY.search(text):
        raise _too_deep(path)
    return _shallow(lambda: tomllib.loads(text), path)


def _check_values(commas: int, place: Path | str) -> None:
    """Refuse JSON of too many values, of which there are as many as commas: an error may be told of each of them."""
    check_count(place, "commas", commas, memory_limit() // _VALUE)


def _shallow(parse: Callable[[], Any], place: Path | str) -> Any:
    """Return what a parser makes, unless it is nested deeper than allowed."""
    try:
        found = parse()
    except RecursionError:
        raise _too_deep(place) from None
    level: list[Any] = [found]
    for _ in range(MOST_LEVELS):
        level = [inner for outer in level for inner in _inside(outer)]
        if not level:
            return found
    raise _too_deep(place)


def _inside(value: Any) -> Iterable[Any]:
    """Return the lists and tables in a value."""
    if isinstance(value, dict):
        held = list(cast("dict[str, Any]", value).values())
    elif isinstance(value, list):
        held = cast("list[Any]", value)
    else:
        return ()
    return [one for one in held if isinstance(one, (dict, list))]


def _too_deep(place: Path | str) -> DataError:
    return DataError(
        f"{place}: is nested more than {MOST_LEVELS} levels deep, which no file of pcbench is; make it anew"
    )
