"""Every piece of code of the documentation does what it says, word for word.

Oracle: the page itself. Its blocks run in their order in one empty folder: commands, with what they print; Python, with
what it asserts; files are parsed. What cannot run here says why, and is still read: its commands by the option parser,
its Python by the compiler, its scripts by bash.
"""

from __future__ import annotations

import doctest
import json
import os
import re
import subprocess
import sys
import tomllib
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from forking import Forks
from page_blocks import Block, Command, commands, page_blocks, pcbench_words

from pcbench.cli.main import app

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    page
    for page in (
        *ROOT.glob("*.md"),
        ROOT / "attacks" / "README.md",
        ROOT / "corruptions" / "README.md",
        *ROOT.glob("docs/**/*.md"),
    )
    if page.exists()
)
PROGRAM = Path(sys.executable).with_name("pcbench")
# What is taken from the words before they are parsed, and what stands for more words.
NO_WORDS = {"-q", "--quiet", "--debug", "--no-cache", "…", "..."}
SIMPLE = re.compile(r"pcbench( [^;&|<>$`*?]*?)?(?: > ([\w./-]+))?(?: *# .*)?")
SECONDS = 120


class Page:
    """A page whose blocks are run in their order.

    Args:
        folder: An empty folder, which is the current one.
        forks: Starts pcbench without the time of its imports.
    """

    def __init__(self, folder: Path, forks: Forks) -> None:
        self.folder = folder
        self._forks = forks
        self._names: dict[str, Any] = {"__name__": "__main__"}
        path = os.pathsep.join([str(PROGRAM.parent), os.environ["PATH"]])
        hidden = {"COLUMNS", "LINES", "PYTHONPATH"}
        self._variables = {name: value for name, value in os.environ.items() if name not in hidden} | {"PATH": path}

    def run(self, block: Block) -> None:
        """Do what a block says."""
        if block.file is not None:
            (self.folder / block.file).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / block.file).write_text(block.text, encoding="utf-8")
        if block.language == "console":
            for command in commands(block):
                self._command(command)
        elif block.language == "python" and block.text.startswith(">>> "):
            self._session(block.text)
        elif block.language == "python" and block.file is None:
            exec(compile(block.text, f"line {block.line}", "exec"), self._names)  # noqa: S102 - this project's own page

    def _command(self, command: Command) -> None:
        simple = SIMPLE.fullmatch(command.text.replace("\\\n", " "))
        if simple is None:
            start, words = subprocess.Popen, ["bash", "-euo", "pipefail", "-c", command.text]
        else:
            start, words = self._forks.subprocess.Popen, [sys.executable, str(PROGRAM), *_shell_words(simple[1] or "")]
        pipe = subprocess.PIPE
        process = start(words, cwd=self.folder, env=self._variables, stdout=pipe, stderr=pipe, text=True)
        printed, errors = process.communicate(timeout=SECONDS)
        assert process.returncode == command.code, f"{command.text}\n{printed}\n{errors}"
        if simple is not None and simple[2]:
            (self.folder / simple[2]).write_text(printed, encoding="utf-8")
            printed = ""
        if command.output:
            printed += errors if command.code else ""
            assert _matches(command.output, printed), f"$ {command.text}\nprints:\n{printed}"

    def _session(self, text: str) -> None:
        test = doctest.DocTestParser().get_doctest(text, self._names, "session", None, 0)
        said: list[str] = []
        found = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test, out=said.append, clear_globs=False)
        assert found.failed == 0, "".join(said)
        self._names |= test.globs


def _shell_words(text: str) -> list[str]:
    (words,) = pcbench_words(f"pcbench{text}")
    return words


def _matches(expected: str, printed: str) -> bool:
    """Whether lines are those that are expected, in which `...` stands for anything, alone for any number of lines."""
    lines = [line.rstrip() for line in expected.strip("\n").split("\n")]
    parts = [r"(.*\n)*?" if line == "..." else ".*".join(map(re.escape, line.split("..."))) + "\n" for line in lines]
    found = "".join(f"{line.rstrip()}\n" for line in printed.strip("\n").split("\n"))
    return re.fullmatch("".join(parts), found) is not None


def read(block: Block) -> None:
    """Find faults in a block that can be found without running it."""
    if block.language in ("console", "bash"):
        texts = [one.text for one in commands(block)] if block.language == "console" else [block.text]
        for text in texts:
            subprocess.run(["bash", "-n"], input=text, text=True, check=True)  # noqa: S607
            for words in pcbench_words(text):
                parse(words)
    elif block.language == "python":
        compile(block.text, f"line {block.line}", "exec")
    elif block.language == "toml":
        tomllib.loads(block.text)
    elif block.language == "json":
        json.loads(block.text)
    elif block.language == "yaml":
        list(yaml.safe_load_all(block.text))


def parse(words: list[str]) -> None:
    """Let the option parser read the words after `pcbench`, which then runs nothing."""
    verb, *rest = [word for word in words if word not in NO_WORDS]
    if verb.startswith("-"):
        typer.main.get_command(app).make_context("pcbench", [verb, *rest])
        return
    found: Any = typer.main.get_command(app)
    while hasattr(found, "commands"):
        assert verb in found.commands, f"there is no verb {verb}"
        found = found.commands[verb]
        if hasattr(found, "commands"):
            verb, *rest = rest
    if not {"-h", "--help"} & set(rest):
        found.make_context(verb, rest)


def follow(page: Path, folder: Path, forks: Forks) -> None:
    """Do what a page says, in an empty folder."""
    running = Page(folder, forks)
    for block in page_blocks(page):
        try:
            if not block.text.startswith(">>> "):
                read(block)
            if block.reason is None:
                running.run(block)
        except BaseException as error:
            error.add_note(f"{page.name}, line {block.line}")
            raise


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder, which is the current one, and whose modules are forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    known = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - known:
        if str(getattr(sys.modules[name], "__file__", None) or "").startswith(str(tmp_path)):
            del sys.modules[name]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_code_of_a_page_does_what_it_says(page: Path, folder: Path, forks: Forks) -> None:
    follow(page, folder, forks)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("```console\n$ pcbench rum\n```", "rum"),
        ("```console\n$ pcbench list --jsn\n```", "No such option"),
        ("<!-- not run: it needs a GPU -->\n```console\n$ pcbench run --imags 4 …\n```", "No such option"),
        ("```console\n$ pcbench --version\nanother\n```", "prints"),
        ("```console\n$ pcbench runs\n```\n```console\n$ false\n```", "false"),
        ("```python\nassert 1 == 2\n```", "line 1"),
        ("```python\n>>> 1 + 1\n3\n```", "Expected"),
        ("```toml\na = \n```", "Invalid value"),
        ("```\nx\n```", "no language"),
        ("Text.\n\n    pcbench run\n", "between fences"),
        ("<!-- not run: no -->\n\nText.\n\n```toml\na = 1\n```", "line before"),
    ],
)
def test_a_fault_on_a_page_is_found(text: str, fault: str, folder: Path, forks: Forks) -> None:
    page = folder / "page.md"
    page.write_text(text)
    with pytest.raises(Exception, match=fault) as found:
        follow(page, folder, forks)
    assert "page.md" in f"{found.value}{getattr(found.value, '__notes__', '')}"


def documented(path: Path) -> tuple[int, str]:
    """Run the examples in the docstrings of a file; return how many failed, and what was said of them."""
    said: list[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    module: Any = types.ModuleType(path.stem)
    exec(compile(path.read_text(encoding="utf-8"), str(path), "exec"), vars(module))  # noqa: S102 - a file of ours
    for test in doctest.DocTestFinder(exclude_empty=True).find(module, path.stem, module=False, globs=vars(module)):
        runner.run(test, out=said.append)
    return runner.failures, "".join(said)


def test_the_examples_in_docstrings_do_what_they_say() -> None:
    sources = {path: path.read_text(encoding="utf-8") for path in (ROOT / "pcbench").rglob("*.py")}
    assert len(sources) > 100
    # A docstring's code is an example with `>>> `, which is run; in a block of another form it would not be.
    assert [path for path, text in sources.items() if re.search(r"^\s+\S.*::$|^ *```", text, re.MULTILINE)] == []
    for path in (path for path, text in sources.items() if ">>> " in text):
        assert documented(path) == (0, "")


def test_a_wrong_example_in_a_docstring_is_found(tmp_path: Path) -> None:
    (tmp_path / "wrong.py").write_text(
        'def two() -> int:\n    """Return 2.\n\n    >>> two()\n    3\n    """\n    return 2\n'
    )
    failures, said = documented(tmp_path / "wrong.py")
    assert failures == 1
    assert "Expected:\n    3" in said
