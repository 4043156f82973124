"""What is wrong with a command line, in words of our own: the option parser's would name its own types and rules."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from typing import Any

import typer

from pcbench.errors import UnknownNameError, UsageError

# BadParameter > UsageError > ClickException: the base of what the option parser raises, whichever click typer contains.
ParserError: type[Exception] = typer.BadParameter.__mro__[2]
_TOO_MANY = re.compile(r"unexpected extra argument(?:s|\(s\))? \((?P<words>.*)\)")
_LIKE_AN_OPTION = re.compile("--[a-z]")


def refuse_forgotten_values(parameters: Sequence[Any], words: Sequence[str]) -> None:
    """Refuse an option that another one follows where its value should stand: a parser takes the other for the value.

    Args:
        parameters: The options and arguments of a command.
        words: What follows the command on the command line.

    Raises:
        UsageError: The value of an option is missing.
    """
    options = {flag: one for one in parameters for flag in (*one.opts, *one.secondary_opts) if flag.startswith("-")}
    is_value = False
    for word, following in itertools.pairwise(words):
        one = None if is_value else options.get(word)
        is_value = one is not None and not one.is_flag
        if word == "--" and not is_value:
            return
        if is_value and (following in options or _LIKE_AN_OPTION.match(following)):
            meant = f"; where it is meant, write it right after {word}=" if following not in options else ""
            raise UsageError(f"{word} needs a value after it, but {following} follows{meant}")


def parser_message(error: Any) -> str:
    """Return what an error of the option parser means, and the remedy.

    Args:
        error: A `ParserError`.
    """
    said = str(error.format_message()).rstrip(".")
    context = getattr(error, "ctx", None)
    if type(error).__name__ == "BadOptionUsage":
        needs = "does not take a value; give it alone" if "not take" in said else "needs a value after it"
        return f"{error.option_name} {needs}"
    if context is None:
        return said
    verb, parameters = context.command_path, context.command.params
    match type(error).__name__:
        case "NoSuchOption":
            shown = [one for one in parameters if not getattr(one, "hidden", False)]
            known = {flag for one in shown for flag in (*one.opts, *one.secondary_opts) if flag.startswith("-")}
            return str(UnknownNameError("option", error.option_name, known))
        case "MissingParameter":
            usage = " ".join(context.command.collect_usage_pieces(context))
            return f"{_name(error.param)} is missing; give: {verb} {usage}"
        case _:
            more = _TOO_MANY.search(said)
            said = said if more is None else f"{more['words']} is more than {verb} takes"
            return f"{said}; see {verb} --help"


def _name(parameter: Any) -> str:
    flags = [flag for flag in parameter.opts if flag.startswith("--")]
    return flags[0] if flags else str(parameter.metavar or parameter.name)
