"""Oracles: the option parser, which reads every example; the lists that names come from; the shell's own protocol."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer

from pcbench.catalog import SUITE_KINDS, suite_names
from pcbench.cli.examples import EXAMPLES
from pcbench.cli.main import app
from pcbench.models import zoo_names

Call = Callable[..., int]


def _verbs() -> dict[str, Any]:
    """Every verb with its command, those of `study` by both words."""
    found: dict[str, Any] = dict(typer.main.get_command(app).commands)
    return found | {f"study {name}": one for name, one in found.pop("study").commands.items()}


def test_every_verb_has_examples_that_its_parser_reads() -> None:
    verbs = _verbs()
    assert EXAMPLES.keys() == verbs.keys()
    for verb, examples in EXAMPLES.items():
        for example in examples:
            words = shlex.split(example.partition(" > ")[0])[1:]
            assert words[: len(verb.split())] == verb.split()
            verbs[verb].make_context(verb, words[len(verb.split()) :])


@pytest.mark.parametrize("verb", ["run", "check", "runs", "open"])
def test_h_is_help_and_names_examples_and_defaults(verb: str, call: Call, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(verb, "-h") == 0
    short = capsys.readouterr().out
    assert call(verb, "--help", "-q") == 0
    assert capsys.readouterr().out == short
    text = " ".join(re.sub("[│╭╮╰╯─]", " ", short).split())
    assert all(" ".join(example.split()) in text for example in EXAMPLES[verb])
    options = [one for one in _verbs()[verb].params if one.param_type_name == "option" and not one.hidden]
    for one in options:
        if one.default not in (None, False, ()) and one.default is not ...:
            assert "[default:" in text, one.name


def test_no_verb_has_a_q_of_its_own() -> None:
    for verb, command in _verbs().items():
        for one in command.params:
            assert not {"-q", "--quiet", "-h"} & set(one.opts), f"{verb}: {one.name}"


def test_quiet_prints_errors_alone(
    tmp_path: Path, make_run: Callable[..., Path], call: Call, capsys: pytest.CaptureFixture[str]
) -> None:
    run = make_run(tmp_path / "one", right=180)
    for words in (("-q", "show", run), ("freeze", run, "--out", tmp_path / "made.npz", "--quiet"), ("list", "-q")):
        assert call(*words) == 0
        assert capsys.readouterr() == ("", "")
    assert (tmp_path / "made.npz").is_file()
    assert call("-q", "show", tmp_path / "nowhere") == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "not a run of pcbench" in printed.err
    assert "TTY_COMPATIBLE" not in os.environ or os.environ["TTY_COMPATIBLE"] != "0"


def _completed(words: str) -> set[str]:
    """Return what a shell is offered, by bash's protocol, in a process that may not import PyTorch."""
    code = "import sys; sys.modules['torch'] = None; from pcbench.cli.entry import run_command_line as r; r()"
    line = f"pcbench {words}"
    environment = os.environ | {
        "_PCBENCH_COMPLETE": "complete_bash",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(line.split()) - 1),
    }
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    return set(done.stdout.split())


def test_a_shell_completes_names_without_pytorch() -> None:
    suites = {name for kind in SUITE_KINDS for name in suite_names(kind)}
    assert _completed("run --model p") >= {name for name in zoo_names() if name.startswith("p")}
    assert _completed("run --model ti") == {"timm:"}
    assert _completed("predify --backbone torchv") == {"torchvision:"}
    assert _completed("run --attack l2/p") == {"l2/pgd"}
    assert _completed("run --suite digits") >= {name for name in suites if name.startswith("digits")}
    assert _completed("run --gradient st") == {"stop-error"}
    assert _completed("list at") == {"attacks"}
    assert _completed("chec") == {"check"}
