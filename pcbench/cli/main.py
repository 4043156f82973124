"""The entry point: all verbs, and how an error becomes one line and an exit code."""

from __future__ import annotations

import contextlib
import errno
import io
import logging
import os
import sys
from typing import Annotated

import typer

import pcbench
from pcbench.cli.entry import end_without_library
from pcbench.cli.parsing import ParserError, parser_message
from pcbench.cli.saying import LogLine, quietly, say
from pcbench.cli.signals import Stopped, stoppable
from pcbench.cli.verbs import HELP_FLAGS, HELP_NAMES, StudyVerbs, Verbs
from pcbench.errors import DefinitionError, PcbenchError, named
from pcbench.shadows import UNLOADABLE, not_loaded, unloadable

EXIT_CODES: dict[int, str] = {
    0: "done",
    1: "a run that started and failed, a regression or a difference that was found, or a bug of pcbench",
    2: "wrong use: nothing was computed",
}
"""What the command line ends with, and what it means; one that a signal stopped ends as a shell says it."""
_NO_OUTPUT = (errno.ENOSPC, errno.EIO, errno.EBADF)
_QUIET = {"-q", "--quiet"}
_FAULT = "this is a bug of pcbench: --debug shows where"


app = typer.Typer(
    name="pcbench",
    cls=Verbs,
    no_args_is_help=True,
    context_settings=HELP_NAMES,
    pretty_exceptions_enable=False,
    help="How robust is a network at every timestep of its thinking?",
)
_studies = typer.Typer(
    cls=StudyVerbs, no_args_is_help=True, help="Run a study: a question fixed beforehand, its arms, and the answer."
)
app.add_typer(_studies, name="study")


@app.callback(invoke_without_command=True)
def global_options(
    version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False,
    quiet: Annotated[
        bool,
        typer.Option(
            *("--quiet", "-q"), help="Print errors and warnings alone, and what --json asks for; may stand anywhere."
        ),
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show a traceback with an error.")] = False,
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Keep no transformed kernels on the disk.")] = False,
) -> None:
    """How robust is a network at every timestep of its thinking?"""
    del quiet, debug, no_cache  # taken from the arguments before they are parsed, so that they may stand anywhere
    if version:
        typer.echo(f"pcbench {pcbench.__version__}")
        raise typer.Exit


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and end the process with one of `EXIT_CODES`, or with 128 and the signal that stopped it."""
    given = sys.argv[1:] if arguments is None else arguments
    debug, quiet, rest = _prepare(given)
    _print_what_can_be_printed()
    try:
        with quietly(quiet), stoppable():
            code = app(args=rest, prog_name="pcbench", standalone_mode=False)
    except PcbenchError as error:
        if debug:
            raise
        # A definition is about the keys of a file, which are spelled as in Python.
        message = str(error) if isinstance(error, DefinitionError) else with_flags(str(error))
        sys.exit(_fail(message, error.exit_code))
    except ParserError as error:
        sys.exit(_fail(parser_message(error), 2))
    except (KeyboardInterrupt, typer.Abort) as stop:
        sys.exit(_fail(_stopped(stop, given), 130))
    except Stopped as stop:
        sys.exit(_fail(_stopped(stop, given), stop.exit_code))
    except BrokenPipeError:
        # Nothing reads the output any more: end without a message.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as error:
        if debug:
            raise
        if isinstance(error, UNLOADABLE) and (library := unloadable(error)) is not None:
            _fail(not_loaded(library, error), 2)
            sys.exit(end_without_library(given))
        sys.exit(_fail(*_unforeseen(error)))
    sys.exit(code if isinstance(code, int) else 0)


def _prepare(given: list[str]) -> tuple[bool, bool, list[str]]:
    """Set what holds for the whole process; return whether errors are shown whole, and alone, and the other words."""
    # Files alone are drawn, and the shell of a notebook hands on a backend that may not be there.
    os.environ.pop("MPLBACKEND", None)
    debug = "--debug" in given
    if debug:
        logging.getLogger("pcbench").setLevel(logging.DEBUG)
    if "--no-cache" in given:
        from pcbench.data.cache import NO_CACHE  # with a library of locks

        os.environ[NO_CACHE] = "1"  # workers are started with it too
    quiet = bool(_QUIET.intersection(given)) and not set(HELP_FLAGS).intersection(given)
    return debug, quiet, [word for word in given if word not in ("--debug", "--no-cache", *_QUIET)]


def _stopped(stop: BaseException, given: list[str]) -> str:
    """Return what is kept, from the notes on the exception."""
    if "plan" in given[:2] or "--dry-run" in given:
        return "stopped; the same command begins again"
    kept = "".join(f"{note}; " for note in getattr(stop, "__notes__", [])[:1])
    return f"stopped; {kept}the same command continues from here"


def _print_what_can_be_printed() -> None:
    """Print "?" on a terminal that lacks a letter, such as β, and warnings as one line that shows what they hold."""
    if logging.lastResort is not None:
        logging.lastResort.setFormatter(LogLine())
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def _unforeseen(error: Exception) -> tuple[str, int]:
    """Return what to say of an error that no verb expects, and the exit code: the machine's fault, or a bug."""
    if (unprinted := _unprintable(error)) is not None:
        return unprinted, 1
    if isinstance(error, FileNotFoundError) and error.filename is None and _is_nowhere():
        return "the current folder does not exist any more; cd to a folder that does", 2
    wrong = _other_version()
    return f"{named(error)}; {_FAULT}" if wrong is None else f"{wrong}; it led to {named(error)}", 1


def _other_version() -> str | None:
    """Return which library has a version that pcbench does not allow: pip only warns when it installs one."""
    from pcbench.doctor.libraries import library_findings

    wrong = (one for one in library_findings() if one.state == "wrong")
    return next((f"{one.name}: {one.found}; do this: {one.remedy}" for one in wrong), None)


def _is_nowhere() -> bool:
    try:
        os.getcwd()  # noqa: PTH109  # Path.cwd() asks no more
    except FileNotFoundError:
        return True
    return False


def _unprintable(error: Exception) -> str | None:
    """Return what to say where the output cannot be printed; files are written elsewhere, with errors of their own."""
    if not isinstance(error, OSError) or error.filename is not None or error.errno not in _NO_OUTPUT:
        return None
    with contextlib.suppress(OSError):
        # What waits to be printed would fail again when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return f"the output cannot be printed ({error.strerror}); what was computed is kept"


def with_flags(message: str) -> str:
    """Return a message with the options in it as the command line spells them."""
    from pcbench.cli.options import as_flags  # with what reads options, which help and version need not

    return as_flags(message, typer.main.get_command(app))


def _fail(message: str, code: int) -> int:
    line = " ".join(message.split())
    with contextlib.suppress(OSError):  # the terminal may be closed
        say(f"pcbench: {line or 'see pcbench --help'}", error=True)
    return code
