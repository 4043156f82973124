"""The pieces of code on a page of the documentation, and what the page says of running them.

A piece stands between fences, with its language: `console` for commands, each after `$ `, and what they print;
`python`; `toml`, `yaml` and `json` for files; `bash` for scripts; `text` for what is none of these. A comment on the
line before it may say that it is a file, `<!-- file: mine.py -->`, or why it is not run, `<!-- not run: REASON -->`.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

LANGUAGES = {"console", "python", "toml", "yaml", "json", "bash", "text"}
# What Sphinx makes of a fence is no code.
_DIRECTIVE = re.compile(r"\{[\w:-]+\}")
_SAYS = re.compile(r"<!-- (file|not run): (.+?) -->\s*", re.DOTALL)
_CODE = re.compile(r"#\s*exit code (\d+)\s*$")
_BETWEEN = {";", "&&", "||", "|", "&", "(", ")", "then", "do", "!"}
_STARTERS = ("exec", "nohup", "srun", "uv", "uvx")
_COMPUTED = re.compile(r"\$\(\(.*?\)\)|\$\([^()]*\)")


@dataclass(frozen=True)
class Block:
    """A piece of code."""

    language: str
    text: str
    line: int
    """The line of the page on which it begins, from 1."""
    file: str | None
    """The file that it is."""
    reason: str | None
    """Why it is not run."""


@dataclass(frozen=True)
class Command:
    """A command of a `console` block."""

    text: str
    output: str
    """What stands below it: what it prints, with `...` for anything."""
    code: int


def page_blocks(page: Path) -> list[Block]:
    """Return the blocks of a page.

    Raises:
        ValueError: A block is not marked as the pages' are: indented, without a language, or with a comment amiss.
    """
    return list(_blocks(MarkdownIt().parse(page.read_text(encoding="utf-8")), page.name))


def _blocks(tokens: list[Token], page: str) -> Iterator[Block]:
    said: dict[str, str] = {}
    for token in tokens:
        line = (token.map or [0])[0] + 1
        if token.type == "code_block":
            raise ValueError(f"{page}:{line}: code stands between fences, with its language")
        if token.type == "fence" and not _DIRECTIVE.match(token.info):
            if token.info not in LANGUAGES:
                raise ValueError(f"{page}:{line}: {token.info or 'no language'} is not one of {sorted(LANGUAGES)}")
            yield Block(token.info, token.content, line, said.get("file"), said.get("not run"))
        if said and token.type == "paragraph_open":
            raise ValueError(f"{page}:{line}: what is said of a block stands on the line before it")
        if token.type == "fence":
            said = {}
        elif token.type == "html_block":
            said = {kind: " ".join(value.split()) for kind, value in _SAYS.findall(token.content)}


def commands(block: Block) -> list[Command]:
    """Return the commands of a `console` block.

    Raises:
        ValueError: It does not begin with a command.
    """
    if not block.text.startswith("$ "):
        raise ValueError(f"line {block.line}: a console block begins with a command, `$ …`")
    found: list[Command] = []
    for piece in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
        lines = piece.split("\n")
        last = next(number for number, line in enumerate(lines) if not line.endswith("\\"))
        text = "\n".join(lines[: last + 1])
        code = _CODE.search(text)
        found.append(Command(text, "\n".join(lines[last + 1 :]).strip("\n"), int(code[1]) if code else 0))
    return found


def pcbench_words(text: str) -> Iterator[list[str]]:
    """Yield the words after `pcbench` of every command of a shell's text that calls it."""
    for line in _COMPUTED.sub("1", text.replace("\\\n", " ")).splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars="();<>|&")
        lexer.whitespace_split = True
        for words in _simple_commands(list(lexer)):
            # What is installed from an address is no call of it.
            names = ["" if "://" in word else Path(word).name for word in words]
            if "pcbench" in names:
                before, after = words[: names.index("pcbench")], words[names.index("pcbench") + 1 :]
                while before and re.match(r"\w+=", before[0]):
                    del before[0]
                if (not before or before[0] in _STARTERS) and before[:2] not in (["uv", "pip"], ["uv", "tool"]):
                    yield after


def _simple_commands(words: list[str]) -> Iterator[list[str]]:
    """Yield the commands of a line, without where their output goes."""
    now: list[str] = []
    for word in [*words, ";"]:
        if word in _BETWEEN:
            yield now[: next((number for number, one in enumerate(now) if set(one) <= set("<>&")), None)]
            now = []
        else:
            now.append(word)
