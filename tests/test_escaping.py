"""Oracle: markdown-it for Markdown, pandas and a spreadsheet's own rule for CSV, Unicode's categories for terminals."""

from __future__ import annotations

import html
import io
import re
import unicodedata

import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from pcbench.cli.saying import LogLine
from pcbench.errors import DefinitionError, UsageError
from pcbench.escaping import FORMULA, csv_cell, from_csv_cell, latex, markdown, one_line, printable
from pcbench.terminal import Terminal, labelled

TEXTS = st.text(st.characters(exclude_categories=[])) | st.text("=+-@\t\r\n'\\`*_{}[]()<>#!|~&$:./w1 \x1b\u202ea")
ORDINARY = [
    "pvgg16 at t = 8",
    "hf:timm/vgg16.tv_in1k@a1b2c3",
    "gaussian_noise, σ = 0.1",
    "漢字 é β",
    "👩\u200d👧",
    "-1.2",
]


@given(TEXTS)
def test_nothing_that_acts_is_printed(text: str) -> None:
    shown = printable(text)
    kinds = {unicodedata.category(character) for character in shown if character not in "\u00ad\u200c\u200d"}
    assert not kinds & {"Cc", "Cf", "Cs", "Zl", "Zp"}
    shown.encode()
    assert printable(shown) == shown
    assert len(one_line(text).splitlines()) <= 1


@pytest.mark.parametrize("text", ORDINARY)
def test_an_ordinary_name_stays_as_it_is(text: str) -> None:
    assert printable(text) == text
    assert one_line(text) == text
    assert markdown(text) == text


def test_what_acts_is_shown_as_its_number() -> None:
    assert printable("a\x1b[2J\u202eb\r\n\ud800\ufffe") == r"a\u001b[2J\u202eb\u000d\u000a\ud800\ufffe"
    assert one_line("two\n  lines\tof \x9b a\r\nname") == r"two lines of \u009b a name"


@given(TEXTS)
@example("<script>x</script>")
@example("[x](javascript:1) ![x](y) [z]: http://q")
@example("a | b \\| c `d` _e_ f_g **h** ~~i~~ &lt; <!-- j -->")
def test_markdown_shows_a_text(text: str) -> None:
    text = text.strip()
    renderer = MarkdownIt("commonmark").enable(["table", "strikethrough"])
    shown = html.escape(printable(text), quote=False).replace('"', "&quot;")
    cell = re.search(r"<td>(.*?)</td>", renderer.render(f"| a |\n| --- |\n| x{markdown(text)}x |\n"), re.DOTALL)
    assert cell is not None
    assert cell[1] == f"x{shown}x"
    assert renderer.render(f"- x {markdown(text)}x\n") == f"<ul>\n<li>x {shown}x</li>\n</ul>\n"


@pytest.mark.parametrize("text", ["# big", "> said", "- item", "+ item", "---", "<b>"])
def test_a_text_at_the_start_of_a_line_is_no_heading(text: str) -> None:
    shown = html.escape(text, quote=False)
    assert MarkdownIt("commonmark").render(f"- {markdown(text)}\n") == f"<ul>\n<li>{shown}</li>\n</ul>\n"


def test_latex_prints_each_character_that_has_a_meaning_there() -> None:
    assert latex("$x_1 & 100%") == r"\$x\_1 \& 100\%"
    assert latex(r"\input{/etc/passwd}") == r"\textbackslash{}input\{/etc/passwd\}"
    assert latex("#~^<>|`") == (
        r"\#\textasciitilde{}\textasciicircum{}\textless{}\textgreater{}\textbar{}\textasciigrave{}"
    )
    # Behind a line's end these would be options of it.
    assert latex("[2cm]*") == "{[}2cm{]}{*}"
    assert latex("a--b---c") == "a-{}-b-{}-{}-c"
    assert latex("a\nb") == r"a\textbackslash{}u000ab"


@given(TEXTS)
def test_a_cell_of_csv_is_no_formula_and_gives_the_text_again(text: str) -> None:
    cell = csv_cell(text)
    assert not cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n"))
    assert from_csv_cell(cell) == text


@pytest.mark.parametrize("text", ["'quoted", "''", "a=1", "1", "pvgg16", ""])
def test_a_text_that_starts_otherwise_is_left_alone(text: str) -> None:
    assert csv_cell(text) == text
    assert from_csv_cell(text) == text


def test_the_rule_is_the_same_for_a_whole_column() -> None:
    texts = pd.Series(["=1", "'=1", "'a", "+2", "\uff1d3", "-x", "@y"])
    assert texts.str.replace(FORMULA, r"'\1", regex=True).tolist() == [csv_cell(text) for text in texts]


@pytest.mark.parametrize(
    "text", ["[bold]x[/bold]", "[link=https://example.org]x", ":smile:", "a\x1b]8;;http://e\x07b\x9bm"]
)
def test_a_terminal_shows_a_name_literally(text: str) -> None:
    stream = io.StringIO()
    terminal = Terminal(file=stream, force_terminal=True, width=200, color_system=None)
    terminal.print(text)
    terminal.print(labelled("note:", text))
    assert stream.getvalue() == f"{printable(text)}\nnote: {printable(text)}\n"


def test_errors_are_one_line_in_python_too() -> None:
    assert str(UsageError("a\nb \x1b[31m")) == r"a b \u001b[31m"
    assert str(DefinitionError("x\ny.toml", "wrong")) == "x y.toml: wrong"


def test_a_line_of_the_log_is_one_line() -> None:
    import logging

    record = logging.LogRecord("pcbench", logging.INFO, "", 0, "working on %s", ("a\n\x1b[2J",), None)
    assert LogLine("%(message)s").format(record) == r"working on a \u001b[2J"
