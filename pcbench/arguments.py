"""How arguments are read: numbers in their natural spellings, lists of one, and calls with a word that is not known.

A number is taken in any type, and as text as the command line writes it: a whole number in digits ("5"), any other
number also as a decimal or a fraction ("0.03", "8/255"). True and False are no numbers.

Nothing heavy is imported here: numbers of NumPy and PyTorch are known by what they can do.
"""

from __future__ import annotations

import functools
import inspect
import math
import operator
import os
import re
import sys
from collections.abc import Callable, Collection, Generator, Iterable, Mapping
from contextlib import ExitStack, contextmanager
from decimal import Decimal
from fractions import Fraction
from numbers import Rational
from os import PathLike
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, cast

from pcbench.errors import DataError, PcbenchError, UnknownNameError, UsageError, named

_P = ParamSpec("_P")
_R = TypeVar("_R")

MOST_TIMESTEPS = 1000
"""The largest T. The logits of all timesteps are held at once: 0.5 GB for 128 images, 1,000 classes and this T."""

MOST_DRAWS = 10_000
"""The largest number of draws that a random network is averaged over."""

LARGEST_SEED = 2**63 - 1
"""Random generators take seeds of 64 bits."""

MOST_PIXELS = 10_000
"""The largest side that images are resized or cut to."""

MOST_PROCESSES = 1024
"""The largest number of processes, or of threads of one: more would only exhaust the machine."""

_SHOWN = 80
_DIGITS = re.compile(r"[+-]?[0-9]{1,40}")  # Python's own int() also takes 1_000 and figures of other scripts


def asked(where: str, question: Callable[[], _R]) -> _R:
    """Ask the user's own code for something.

    Args:
        where: What is asked for, as the message of an error begins.
        question: Runs the user's code.

    Raises:
        DataError: It raised an exception, which is the cause.
    """
    try:
        return question()
    except PcbenchError:
        raise
    except Exception as error:
        raise DataError(f"{where}: your data raised {named(error)}") from error


def ask_type(where: str, value: object) -> None:
    """Refuse an object that cannot say what it is, such as a weak reference to what is gone.

    Raises:
        DataError: It raised an exception, which is the cause.
    """
    asked(where, lambda: isinstance(value, type))


def path_text(value: PathLike[Any]) -> str:
    """Return a path as text.

    Raises:
        UsageError: It is an object of the user's own that raised an exception, which is the cause.
    """
    try:
        return os.fsdecode(value)
    except Exception as error:
        raise UsageError(f"a path is a text or a pathlib.Path, not {type(value).__name__} ({named(error)})") from error


def read_path(name: str, value: object) -> Path:
    """Return the path that an argument is.

    Raises:
        UsageError: It is not one, or an object of the user's own that raised an exception, which is the cause.
    """
    if not isinstance(value, str | PathLike):
        raise UsageError(f"`{name}` is a text or a pathlib.Path (got {shown(value)})")
    return Path(path_text(cast("PathLike[str]", value)))


def plain(value: object) -> object:
    """Return a number of NumPy, PyTorch, `fractions` or `decimal` as Python's own; anything else is returned unchanged.

    A number of 16 or 32 bits is taken for the shortest decimal that has its bits: np.float32(0.03) for 0.03.
    """
    if type(value) in (bool, int, float, str) or value is None:
        return value
    if isinstance(value, Decimal):
        value = Fraction(value) if value.is_finite() else float("nan")
    if isinstance(value, Rational):
        return int(value.numerator) if value.denominator == 1 else _float(value)
    if _without_axes(value):
        return _scalar(value)
    if isinstance(value, float):
        return float(value)
    return value


def _without_axes(value: object) -> bool:
    try:
        return hasattr(value, "item") and bool(getattr(value, "shape", None) == ())
    except Exception:  # noqa: BLE001 - an object of the user's own may raise anything, and a nested tensor has no shape
        return False


def _scalar(value: Any) -> object:
    """Return the number in an array or tensor without axes."""
    try:
        found: object = value.detach().item() if hasattr(value, "detach") else value.item()
    except (RuntimeError, TypeError, ValueError):
        return value  # a tensor without values has none to read
    kind = str(value.dtype).rpartition(".")[2]
    if isinstance(found, float) and kind in ("float16", "float32"):
        import numpy as np

        return float(str(np.dtype(kind).type(found)))
    return found


def number(value: object) -> object:
    """Return a number or a fraction that is written as text as a float; anything else is returned unchanged."""
    found = plain(value)
    if isinstance(found, str):
        numerator, slash, denominator = found.partition("/")
        try:
            return float(numerator) / float(denominator) if slash else float(numerator)
        except (ValueError, ZeroDivisionError):
            return found
    return _float(found) if isinstance(found, int) and not isinstance(found, bool) else found


def _float(value: Rational | int) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf if int(value.numerator) > 0 else -math.inf


def whole(value: object) -> object:
    """Return a whole number, whatever type it is of or written in digits, as an int; anything else unchanged."""
    found = plain(value)
    if isinstance(found, float):
        return int(found) if found.is_integer() else found
    if isinstance(found, str):
        return int(found) if _DIGITS.fullmatch(found) else found
    if isinstance(found, bool):
        return found
    try:
        return operator.index(cast("Any", found))
    except Exception:  # noqa: BLE001 - an object of the user's own may raise anything: it is not a number
        return found


def whole_number(name: str, value: object, *, low: int, high: int | None = None) -> int:
    """Return the whole number that an argument is.

    Raises:
        UsageError: It is not one, or below `low` or above `high`.
    """
    found = whole(value)
    if isinstance(found, int) and not isinstance(found, bool) and low <= found and (high is None or found <= high):
        return found
    limits = f"of at least {low}" if high is None else f"from {low} to {high}"
    raise UsageError(f"`{name}` is a whole number {limits} (got {shown(value)})")


def a_word(name: str, value: object, known: Collection[str]) -> None:
    """Refuse an argument that is not one of the known words.

    Raises:
        UnknownNameError: It is not one of them; the nearest is suggested.
    """
    if not isinstance(value, str) or value not in known:
        raise UnknownNameError(name, value if isinstance(value, str) else shown(value), known)


def listed(value: object) -> tuple[object, ...] | None:
    """Return the entries of a list, numbers as Python's own; a single text or number is a list of one.

    Returns:
        None for what is not a list: a table, bytes, a function, an array without axes.

    Raises:
        UsageError: It is a list of the user's own that raised an exception, which is the cause.
    """
    one = plain(value)
    if isinstance(one, bool | int | float | str):
        return (one,)
    if isinstance(value, bytes | Mapping) or not isinstance(value, Iterable):
        return None
    try:
        return tuple(map(plain, cast("Iterable[object]", value)))
    except Exception as error:
        if isinstance(error, TypeError) and not isinstance(value, list | tuple):
            return None
        kind = type(cast("object", value)).__name__
        raise UsageError(f"a list of the type {kind} cannot be read: {named(error)}") from error


def plain_tables(value: object) -> object:
    """Return tables and lists within each other with Python's own numbers, lists as tuples."""
    if isinstance(value, Mapping):
        return {str(key): plain_tables(entry) for key, entry in cast("Mapping[object, object]", value).items()}
    entries = None if isinstance(plain(value), bool | int | float | str) else listed(value)
    return plain(value) if entries is None else tuple(map(plain_tables, entries))


def shown(value: object) -> str:
    """Return a value in a message: on one line, and not all of it where it is long."""
    try:
        text = " ".join(repr(value).split())
    except Exception:  # noqa: BLE001 - an object of the user's own may raise anything
        text = f"<{type(value).__name__}>"
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def with_first(options: Mapping[str, Any], of_model: object, on_suites: object = None) -> dict[str, Any]:
    """Return options by name, with the two that may be given without their names.

    Raises:
        UsageError: One is given both ways.
    """
    given = dict(options)
    for name, value in (("model", of_model), ("suites", on_suites)):
        if value is not None:
            if name in given:
                raise UsageError(f"{name} is given twice; give it once")
            given[name] = value
    return given


def public(
    options: type | None = None, *, elsewhere: Mapping[str, str] | None = None
) -> Callable[[Callable[_P, _R]], Callable[_P, _R]]:
    """Let a function that users call refuse, with one line, the arguments that it does not have.

    The modes of PyTorch that surround the call, such as `inference_mode` and `autocast`, are switched off meanwhile:
    results do not depend on them.

    Args:
        options: The declaration of what the function takes as `**options`, whose values are its own to check.
        elsewhere: What to say of words that belong to something else.

    Returns:
        What makes such a function of one that trusts its arguments. It raises an `UnknownNameError` where a keyword is
        not an argument, with the nearest one, and a `UsageError` where an argument is missing, there are too many, or
        one cannot say what it is.
    """

    def guarded(function: Callable[_P, _R]) -> Callable[_P, _R]:
        signature = inspect.signature(function)
        parameters = signature.parameters.values()
        known = [one.name for one in parameters if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)]
        known += [] if options is None else _options_of(options)

        @functools.wraps(function)
        def called(*arguments: _P.args, **words: _P.kwargs) -> _R:
            for word in words:
                if elsewhere is not None and word in elsewhere:
                    raise UsageError(elsewhere[word])
                if word not in known:
                    raise UnknownNameError("option", word, known)
            try:
                signature.bind(*arguments, **words)
            except TypeError as error:
                raise UsageError(f"{error}; {function.__name__} takes: {', '.join(known)}") from None
            for place, value in (*enumerate(arguments, start=1), *words.items()):
                ask_type(f"argument {place}", value)
            with _modes_put_aside():
                return function(*arguments, **words)

        if options is not None:
            vars(called)["__signature__"] = _with_options(signature, options)
        return called

    return guarded


def _options_of(declaration: type) -> list[str]:
    """Return the names of a declaration's options, with those of the declarations that it extends."""
    return list(declaration.__annotations__)


def _with_options(signature: inspect.Signature, declaration: type) -> inspect.Signature:
    """Return the signature that notebooks and `help` show and complete, in which each option has its name."""
    own = [one for one in signature.parameters.values() if one.kind is not one.VAR_KEYWORD]
    more = [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=...) for name in _options_of(declaration)]
    return signature.replace(parameters=[*own, *more])


@contextmanager
def _modes_put_aside() -> Generator[None]:
    torch: Any = sys.modules.get("torch")  # where it is not imported yet, no mode of it is on
    with ExitStack() as modes:
        if torch is not None:
            modes.enter_context(torch.inference_mode(mode=False))
            modes.enter_context(torch.enable_grad())
            for kind in ("cpu", "cuda"):
                if torch.is_autocast_enabled(kind):
                    modes.enter_context(torch.autocast(kind, enabled=False))
        yield
