"""The page docs/reference/options.md, made from the declarations of options."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal, get_args, get_origin

from pcbench.cli.agreement import AgreementOptions
from pcbench.cli.check import CheckOptions
from pcbench.cli.pages.markdown import MADE, field_docstrings, shown_value, with_code
from pcbench.harness.extraction.options import ExtractOptions
from pcbench.harness.forecast import PlanOptions
from pcbench.harness.request import RunOptions
from pcbench.options import Declared, declared
from pcbench.training.options import TrainOptions, TuneOptions

_WORDS: dict[type, str] = {bool: "true or false", int: "whole number", float: "number"}
VERBS: dict[str, type] = {
    "run": RunOptions,
    "plan": PlanOptions,
    "extract": ExtractOptions,
    "train": TrainOptions,
    "tune": TuneOptions,
    "check": CheckOptions,
    "agreement": AgreementOptions,
}

_HEAD = """# Options

{made}

Each option has one name: `batch_size` in Python and in configuration files, `--batch-size` on the command line. {other}
`pcbench run --config run.toml` reads options from a file, one `name = value` a line; an option on the command line wins
over the file, and `--no-…` turns off what the file turns on. `--save-config run.toml` writes the options that were
given. `--json` prints JSON in place of tables ([json.md](json.md)), `-q` errors and warnings alone, and `-h` the help.
`pcbench show RUN --config` prints the file that repeats a finished run. A path in a file is relative to the
folder in which the command is started.

In Python: `pcbench.run(model="pdigits", images=100)`, and with a file, `pcbench.run(**tomllib.load(stream))`.
"""


def options_page() -> str:
    """Return the page as Markdown: a table for each verb and heading."""
    return "\n".join(
        [
            _HEAD.format(made=MADE, other=_other_names()),
            *(line for verb, found in VERBS.items() for line in _section(verb, found)),
        ]
    )


def _other_names() -> str:
    """Return a sentence on the options whose name on the command line is another one."""
    known = [one for declaration in VERBS.values() for one in declared(declaration).values()]
    other = {one.name: one.flag for one in known if one.flag != f"--{one.name.replace('_', '-')}"}
    return f"Other names on the command line: {', '.join(f'`{flag}` for `{name}`' for name, flag in other.items())}."


def _section(verb: str, declaration: type) -> Iterator[str]:
    yield f"## `pcbench {verb}`\n"
    more = field_docstrings(declaration)
    groups: dict[str, list[Declared]] = {}
    above = _extended(verb, declaration)
    if above is not None:
        without = [name for name in declared(VERBS[above]) if name not in declared(declaration)]
        but = f" but {', '.join(f'`{name}`' for name in without)}" if without else ""
        yield f"All options of `pcbench {above}`{but}, and these:\n"
    for one in own_options(verb).values():
        groups.setdefault(one.option.group, []).append(one)
    for group, options in groups.items():
        if group:
            yield f"### {group}\n"
        yield "| name | on the command line | values | default | meaning |\n|---|---|---|---|---|"
        for one in options:
            flags = ", ".join(f"`{flag}`" for flag in one.flags) if one.option.in_shell else "(Python only)"
            default = "" if one.option.default in (None, ()) else f"`{shown_value(one.option.default)}`"
            meaning = with_code(" ".join([one.option.help, *more.get(one.name, "").split()]))
            yield f"| `{one.name}` | {flags} | {_values(one)} | {default} | {meaning} |"
        yield ""


def own_options(verb: str) -> Mapping[str, Declared]:
    """Return the options that the page lists for a verb: without those of a verb whose declaration it extends."""
    declaration = VERBS[verb]
    above = _extended(verb, declaration)
    known = set[str]() if above is None else set(declared(VERBS[above]))
    return {name: one for name, one in declared(declaration).items() if name not in known}


def _extended(verb: str, declaration: type) -> str | None:
    """Return the verb whose options another one has as well."""
    bases = getattr(declaration, "__orig_bases__", ())
    return next((other for other, found in VERBS.items() if other != verb and found in bases), None)


def _values(one: Declared) -> str:
    """Return what an option's value may be, in words."""
    if Path in one.kinds:
        return "path"
    if one.listed:
        whole = "list of whole numbers" if one.entries == (int,) else "list of numbers or fractions"
        texts = "list of texts; in Python of objects too" if one.entries == (object,) else "list of texts"
        return whole if one.joined else texts
    for kind in one.kinds:
        if get_origin(kind) is Literal:
            words = [f"`{word}`" for word in get_args(kind)]
            return ", ".join([*words, *([_number(one)] if int in one.kinds else [])])
    return _number(one) if one.is_switch or bool not in one.kinds else f"`false`, {_number(one)}"


def _number(one: Declared) -> str:
    kinds = [kind for kind in one.kinds if kind is not bool or one.is_switch]
    word = next((word for kind, word in _WORDS.items() if kind in kinds), "text")
    limits = {name: getattr(limit, name) for limit in one.limits for name in ("ge", "le") if hasattr(limit, name)}
    if len(limits) == 2:
        return f"{word}, {limits['ge']} to {limits['le']}"
    words = {"ge": "or more", "le": "or less"}
    return ", ".join([word, *(f"{limit} {words[name]}" for name, limit in limits.items())])
