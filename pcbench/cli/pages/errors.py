"""The page docs/reference/errors.md: the exceptions, their exit codes, and what to do."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from pcbench.attacks.definitions import AttackHeader
from pcbench.catalog import parse_definition, suite_folder
from pcbench.cli.main import with_flags
from pcbench.cli.pages.markdown import MADE, cell, first_paragraph, table
from pcbench.data.preprocessing import Preprocessing
from pcbench.data.sources import open_source
from pcbench.errors import (
    ConfigurationError,
    DataError,
    DefinitionError,
    MissingExtraError,
    PcbenchError,
    UnknownNameError,
    UsageError,
    WeightsError,
)
from pcbench.harness.request import RunOptions
from pcbench.models.naming import UnknownModelError, refuse_unknown_model
from pcbench.models.weights import read_weights
from pcbench.network.configuration import read_configuration
from pcbench.options import resolved
from pcbench.results.parts import PartError

ELSEWHERE = (UnknownModelError, PartError)
"""The errors that are not of `pcbench.errors`; named here, so that they are part of the tree when it is drawn."""

_DO = "What to do: "
_NOWHERE = Path("no-such-file.safetensors")
_PCODER = {"module": "features.3", "hyperparameters": {"feedforward": 0.8, "feedback": 0.3}}
_EXAMPLES: Mapping[type[PcbenchError], Callable[[], object]] = {
    UsageError: lambda: resolved(RunOptions, {"timesteps": -1}),
    UnknownNameError: lambda: suite_folder("imagenet-cc"),
    UnknownModelError: lambda: refuse_unknown_model("pdigit"),
    DefinitionError: lambda: parse_definition(
        AttackHeader, {"version": 1, "titel": "Mine"}, Path("attacks/mine/suite.toml")
    ),
    ConfigurationError: lambda: read_configuration({"input_size": [3, 32, 32], "pcoders": [_PCODER, _PCODER]}),
    DataError: lambda: open_source("imagefolder:no-such-folder", preprocessing=Preprocessing()),
    WeightsError: lambda: read_weights(_NOWHERE),
    MissingExtraError: lambda: _raise(MissingExtraError("torchattacks", "torchattacks")),
}
"""What raises an error in the way that users meet it; only what is quick and needs no files."""

_HEAD = f"""# Errors

{MADE}

Every error that pcbench raises on purpose is a `PcbenchError`, from `pcbench.errors`. Its message is one line, in the
user's words, with the remedy. The command line prints it on standard error and ends with the error's exit code; options
are spelled there as on the command line, and in Python as in Python. `--debug` shows the traceback.

Any other exception is a bug of pcbench or of a library: the message says so. `pcbench doctor` looks for what is known
to collide.

"""


def errors_page() -> str:
    """Return the page as Markdown: the tree, and each error with an example where one is quickly made."""
    tree = "\n".join(_branch(PcbenchError, 0))
    known = list(dict.fromkeys(_below(PcbenchError)))
    rows = [(f"`{one.__name__}`", first_paragraph(one.__doc__), str(one.exit_code), _remedy(one)) for one in known]
    return "\n".join(
        [
            f"{_HEAD}## The tree\n\n```text\n{tree}\n```\n",
            "## What each means\n",
            table(("error", "what is wrong", "exit code", "what to do"), rows),
            "## Messages\n",
            "Each of these was raised by the code when this page was made.\n",
            table(("error", "message"), ((f"`{one.__name__}`", _message(one)) for one in _EXAMPLES)),
        ]
    )


def _public(cls: type[PcbenchError]) -> list[type[PcbenchError]]:
    known = (one for one in cls.__subclasses__() if one.__module__ == PcbenchError.__module__ or one in ELSEWHERE)
    return sorted(known, key=lambda one: one.__name__)


def _below(cls: type[PcbenchError]) -> Iterator[type[PcbenchError]]:
    yield cls
    for one in _public(cls):
        yield from _below(one)


def _branch(cls: type[PcbenchError], depth: int) -> Iterator[str]:
    where = "" if cls.__module__ == PcbenchError.__module__ else f" ({cls.__module__})"
    yield f"{'    ' * depth}{cls.__name__}{where}"
    for one in _public(cls):
        yield from _branch(one, depth + 1)


def _remedy(cls: type[PcbenchError]) -> str:
    paragraphs = (inspect.getdoc(cls) or "").split("\n\n")
    (found,) = (one.removeprefix(_DO) for one in paragraphs if one.startswith(_DO))
    return cell(found[0].upper() + found[1:])


def _message(cls: type[PcbenchError]) -> str:
    """Return what the command line says, as code."""
    try:
        _EXAMPLES[cls]()
    except cls as error:
        said = str(error) if isinstance(error, DefinitionError) else with_flags(str(error))
        return f"`{said.replace('`', '')}`"
    raise AssertionError(f"the example of {cls.__name__} raises nothing")


def _raise(error: PcbenchError) -> object:
    raise error
