"""What the pages that are made from code have in common: tables, anchors, and the types of values in words."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import itertools
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, cast, get_args, get_origin

import tomli_w
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from typing_extensions import is_typeddict

MADE = "Made from the code (`python -m pcbench.cli.pages`); do not edit it."
"""What the second paragraph of every such page says."""

_OPTION = re.compile(r"`[^`]*`|(?<![\w-])(--[a-z][\w-]*)")
_WORDS: dict[Any, str] = {str: "text", int: "whole number", float: "number", bool: "true or false", Any: "any"}
_READ_BY = {
    "_read_version": "whole number, 1 or more",
    "parse_epsilon": 'number, or a fraction as text, `"8/255"`',
}
"""What users write where a function makes something else of it, by the function's name."""
_LIMITS = {
    "ge": ", {} or more",
    "gt": ", above {}",
    "le": ", at most {}",
    "lt": ", below {}",
    "min_length": ", not empty",
    "max_length": ", at most {} letters",
}


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table of Markdown; each cell is put on one line."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(map(cell, row))} |" for row in lines) + "\n"


def cell(text: str) -> str:
    """Return a text as it can stand in a table: on one line, its code and its options in single backticks."""
    return with_code(" ".join(text.split()).replace("``", "`").replace("|", "\\|"))


def with_code(text: str) -> str:
    """Return a text in which options are code: a site would make one dash of the two of ``--json``."""
    return _OPTION.sub(lambda found: f"`{found[1]}`" if found[1] else found[0], text)


def first_paragraph(text: str | None) -> str:
    """Return the first paragraph of a text, on one line."""
    return cell((text or "").split("\n\n")[0])


def prose(documented: object) -> str:
    """Return a whole docstring as Markdown, its code in single backticks."""
    return (inspect.getdoc(documented) or "").replace("``", "`")


def anchor(heading: str) -> str:
    """Return a heading's anchor, as GitHub makes it."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def field_docstrings(declaration: type) -> dict[str, str]:
    """Return the docstrings that stand under the fields of a declaration or a class, by name; inherited ones too."""
    (tree,) = ast.parse(inspect.getsource(declaration)).body
    named = getattr(declaration, "__orig_bases__", ()) if is_typeddict(declaration) else declaration.__bases__
    found = {name: text for base in named if _has_fields(base) for name, text in field_docstrings(base).items()}
    body = tree.body if isinstance(tree, ast.ClassDef) else []
    for field, after in itertools.pairwise(body):
        match field, after:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                found[name] = text
            case _:
                pass
    return found


def _has_fields(base: Any) -> bool:
    if is_typeddict(base) or dataclasses.is_dataclass(base):
        return True
    return isinstance(base, type) and issubclass(base, BaseModel) and base is not BaseModel


def keys_table(
    cls: type[BaseModel],
    sections: Mapping[type[BaseModel], str],
    without: Collection[str] = (),
    more: Iterable[Sequence[str]] = (),
) -> str:
    """Return the table of the keys that a TOML file of a definition may have.

    Args:
        cls: The definition.
        sections: The heading that a table inside it is described below, by its definition.
        without: Fields that no file states.
        more: Rows of keys that the reader takes besides.

    Raises:
        ValueError: A field has no docstring, so that the page could not say what it means.
    """
    docs = field_docstrings(cls)
    rows: list[Sequence[str]] = []
    for name, field in cls.model_fields.items():
        if name in without:
            continue
        if name not in docs:
            raise ValueError(f"{cls.__name__}.{name} has no docstring below it, which says what the key means")
        rows.append((f"`{name}`", _field_words(field, sections), _default(field), docs[name]))
    return table(("key", "value", "default", "meaning"), [*rows, *more])


def definition_section(
    cls: type[BaseModel],
    sections: Mapping[type[BaseModel], str],
    without: Collection[str] = (),
    more: Iterable[Sequence[str]] = (),
) -> str:
    """Return the section of a definition: its heading, what it is, and the table of its keys; see `keys_table`."""
    return "\n\n".join([f"## {sections[cls]}", prose(cls), keys_table(cls, sections, without, more)])


def example_section(name: str, text: str) -> str:
    """Return a file of TOML as an example."""
    return f"For example `{name}`:\n\n```toml\n{text.rstrip()}\n```\n"


def kind_in_words(hint: Any, sections: Mapping[type[BaseModel], str], limits: Iterable[Any] = ()) -> str:
    """Return what a value may be, in words.

    Args:
        hint: Its type.
        sections: The headings below which tables are described, by their definition.
        limits: Its limits, from `annotated_types` and pydantic.
    """
    limits = tuple(_plain(limits))
    read_by = next((name for one in limits if (name := _name_of_reader(one)) is not None), None)
    if read_by is not None:
        return _READ_BY[read_by]
    if get_origin(hint) is Annotated:
        return kind_in_words(hint.__origin__, sections, hint.__metadata__)
    if get_origin(hint) is not None:
        return _composed(hint, sections, limits)
    if isinstance(hint, type) and issubclass(hint, BaseModel):
        return f"[table](#{anchor(sections[hint])})"
    return f"{_WORDS[hint]}{_limits_in_words(limits)}"


def _composed(hint: Any, sections: Mapping[type[BaseModel], str], limits: tuple[Any, ...]) -> str:
    """Return what a value may be whose type is made of others: one of several, a list, a table."""
    if get_origin(hint) is Literal:
        # Python may give the words of another annotation that has the same ones in another order.
        return ", ".join(sorted(f"`{shown_value(word)}`" for word in get_args(hint)))
    if get_origin(hint) in (Union, UnionType):
        kinds = [one for one in get_args(hint) if one is not NoneType]
        return " or ".join(kind_in_words(one, sections, limits) for one in kinds)
    if get_origin(hint) is tuple:
        return _list_in_words(get_args(hint), sections)
    return f"table of {kind_in_words(get_args(hint)[1], sections)}"


def _list_in_words(entries: tuple[Any, ...], sections: Mapping[type[BaseModel], str]) -> str:
    count = "" if entries[-1] is Ellipsis else f"{len(entries)}: "
    return f"list of {count}{kind_in_words(entries[0], sections)}"


def _plain(limits: Iterable[Any]) -> Iterator[Any]:
    for one in limits:
        yield from one.metadata if isinstance(one, FieldInfo) else (one,)


def _name_of_reader(limit: Any) -> str | None:
    """Return the name of the function that reads a value in a way of its own; a check of what was read is none."""
    return limit.func.__name__ if type(limit).__name__ == "BeforeValidator" else None


def _limits_in_words(limits: Iterable[Any]) -> str:
    return "".join(
        words.format(value)
        for name, words in _LIMITS.items()
        for one in limits
        if (value := getattr(one, name, None)) is not None
    )


def _field_words(field: FieldInfo, sections: Mapping[type[BaseModel], str]) -> str:
    return kind_in_words(field.annotation, sections, field.metadata)


def _default(field: FieldInfo) -> str:
    """Return the value of a key that is left out, as a file would write it; "needed" where it cannot be left out."""
    if field.is_required():
        return "needed"
    value: object = field.default
    if value is PydanticUndefined or value is None or isinstance(value, BaseModel) or value == ():
        return ""
    return f"`{shown_value(value)}`"


def shown_value(value: object) -> str:
    """Return a value as a TOML file holds it, in one line."""
    if isinstance(value, tuple):
        return f"[{', '.join(map(shown_value, cast('tuple[object, ...]', value)))}]"
    return tomli_w.dumps({"is": value}).removeprefix("is = ").rstrip("\n")
