"""The verbs: what each is for, and how one becomes a command.

A verb's file is imported when the verb is used: the list of all, the version and a shell's completion wait for none.
"""

from __future__ import annotations

import functools
import importlib
import signal
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, cast

import typer
from typer.core import TyperCommand, TyperGroup

from pcbench.cli.parsing import refuse_forgotten_values
from pcbench.cli.signals import Stopped
from pcbench.errors import UnknownNameError

HELP_FLAGS = ("-h", "--help")
HELP_NAMES = {"help_option_names": list(HELP_FLAGS)}

PURPOSES: dict[str, str] = {
    "run": "Measure how robust a network is at every timestep.",
    "plan": "Say what a run will cost: passes, disk, memory, the batch that fits it, and with --measure hours.",
    "merge": "Make the run of all its shards: the one that a single process would have made, to the byte.",
    "extract": "Write representations, errors or any module's outputs at every timestep to files.",
    "predify": "Check that a configuration fits a CNN, and show its PCoders, without training.",
    "list": "List the models, suites, attacks, corruptions and data that can be named.",
    "report": "Make the figures and the page of finished runs.",
    "figure": "Draw one figure, of one run or of several side by side, and print its caption.",
    "export": (
        "Write a run's tables in another format, or predictors' weights as one file a PCoder for the reference's code."
    ),
    "show": (
        "Print a finished run's table, or with --config the configuration file that repeats it; or what weights hold."
    ),
    "status": "Show how far a run is, or all its shards, or which runs are under way, from another terminal.",
    "open": "Open a run's page in the browser; without a display, print where it is.",
    "runs": "List the finished runs below a folder: key, model, suites, main numbers, age and size.",
    "leaderboard": (
        "Make one sortable page of all runs below a folder: networks and timesteps, from their manifests and tables."
    ),
    "compare": "Compare runs, or the timesteps of one run: both values, the paired difference with its interval, p.",
    "freeze": "Freeze a run's answers as a reference for `pcbench check`.",
    "check": "Check a run against a frozen reference: exit code 1 where an accuracy demonstrably dropped.",
    "baseline": "Make a baseline, for CE and mCE, from the tables of a run; it is for results on the same images.",
    "agreement": (
        "Run the same L∞ PGD by foolbox and torchattacks; exit code 1 where a rate leaves the other's 95 % interval."
    ),
    "train": "Train a model's feedback weights by reconstruction, without labels.",
    "tune": (
        "Tune a network's hyperparameters for noisy or corrupted images, never on images that results are reported on."
    ),
    "doctor": (
        "Look at versions, devices, threads, folders and libraries that collide; exit code 1 if anything is wrong."
    ),
}
"""What each verb is for, as its help begins. The verb `run` is the function `run_command` of `pcbench.cli.run`."""
STUDY_PURPOSES: dict[str, str] = {
    "run": "Train, tune and measure every arm, and answer the study's questions; a stopped study goes on.",
    "plan": "List the trainings, tunings and runs of a study, and tell how long they take.",
    "status": "Show how far a study is.",
    "report": "Answer a finished study's questions again, from its runs, and write the tables and the page.",
    "publish": (
        "Write what is published of a finished study: its file and tables in results/STUDY, its page in reports/STUDY."
    ),
    "check": "Compare a finished study with the published one: exit code 1 where it is another.",
}
"""Those of `pcbench study`. The verb `run` is the function `run_study_command` of `pcbench.cli.study`."""


class _Verb(TyperCommand):
    """Its help says what an argument is in words: some versions of typer add Python's type, such as <list[Path]>."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the options and arguments."""
        return _without_types(super().get_params(ctx))

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the words of the command line.

        Raises:
            UsageError: An option stands where another one's value should.
        """
        if not ctx.resilient_parsing:  # a shell that completes words is told nothing
            refuse_forgotten_values(self.get_params(ctx), args)
        return super().parse_args(ctx, args)


class _Commands(Mapping[str, Any]):
    """The commands of a group by name: the file of a verb is imported when it is looked up here."""

    def __init__(self, verbs: Mapping[str, str], group: str, groups: Mapping[str, Any]) -> None:
        self._verbs, self._group, self._groups = verbs, group, groups

    def __getitem__(self, name: str) -> Any:
        return _command_of(self._group, name) if name in self._verbs else self._groups[name]

    def __iter__(self) -> Iterator[str]:
        return iter((*self._verbs, *self._groups))

    def __len__(self) -> int:
        return len(self._verbs) + len(self._groups)


@functools.cache
def _command_of(group: str, verb: str) -> Any:
    """Return the command of a verb, with its options."""
    from pcbench.cli.examples import epilog
    from pcbench.cli.options import as_command

    words = f"{group} {verb}".strip()
    module = importlib.import_module(f"pcbench.cli.{group or verb}")
    function = getattr(module, "_".join((verb, *group.split(), "command")))
    alone = typer.Typer(add_completion=False)
    alone.command(verb, cls=_Verb, epilog=epilog(words), context_settings=HELP_NAMES)(as_command(words, function))
    return typer.main.get_command(alone)


class Verbs(TyperGroup):
    """The verbs of `pcbench`; Ctrl-C is passed on with its notes: typer would end the process without a message."""

    verbs: ClassVar[Mapping[str, str]] = PURPOSES
    group: ClassVar[str] = ""
    """The word before the verbs."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        # Nothing is added to them.
        self.commands = cast("dict[str, Any]", _Commands(self.verbs, self.group, self.commands))

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return what lists show of a verb: its name and purpose; `resolve_command` returns the one that is used."""
        if cmd_name in self.verbs:
            return TyperCommand(cmd_name, help=self.verbs[cmd_name])
        return super().get_command(ctx, cmd_name)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the verb that the first word names.

        Raises:
            UnknownNameError: There is no such verb.
        """
        known = self.list_commands(ctx)
        if args and not args[0].startswith("-") and args[0] not in known:
            raise UnknownNameError("command", args[0], known)
        name, found, rest = super().resolve_command(ctx, args)
        return name, found if name is None else self.commands[name], rest

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of the verbs, in the order of the help."""
        del ctx
        return list(self.commands)

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the options."""
        return _without_types(super().get_params(ctx))

    def invoke(self, ctx: Any) -> Any:
        """Do what a verb does.

        Raises:
            Stopped: The user stopped it.
        """
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as interrupt:
            stop = Stopped(signal.SIGINT)
            for note in getattr(interrupt, "__notes__", []):
                stop.add_note(note)
            raise stop from interrupt


class StudyVerbs(Verbs):
    """The verbs of `pcbench study`."""

    verbs = STUDY_PURPOSES
    group = "study"


def _without_types(parameters: list[Any]) -> list[Any]:
    for one in parameters:
        if one.metavar is None or one.param_type_name == "argument":
            one.display_type_rich = _no_type
    return parameters


def _no_type(ctx: Any) -> None:
    del ctx
