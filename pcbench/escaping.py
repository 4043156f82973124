"""Texts that came from a file, on their way out: one function for each kind of output, which shows them literally.

Names of models, classes, images and suites, notes, options and hosts are read from folders of other people. In a page
they pass through `printable` and then through the template's own escaping of HTML, in a figure through
`pcbench.reports.style.fix_layout`, in a terminal through `pcbench.terminal`.
"""

from __future__ import annotations

import re
import unicodedata

_UNSEEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}
"""Categories of characters that are not seen themselves, but act on what is seen: ESC, a newline, a change of the
direction of writing; and halves of a pair (surrogates), which no file can hold."""
_NEEDED = "\u00ad\u200c\u200d"
"""The soft hyphen and the two joiners: spelling in several languages, and pictures made of several, need them."""
_NO_CHARACTERS = 0xFFFE
"""The last two code points of each plane are no characters; XML refuses them."""

_STARTS_FORMULA = "[=+\\-@\\t\\r\\n\uff1d\uff0b\uff0d\uff20]"
"""What a spreadsheet takes for the beginning of a formula, or strips before it looks; the last four are full-width."""
FORMULA = rf"^('*{_STARTS_FORMULA})"
"""A text that gets an apostrophe in CSV; so does one that looks as if it had got one already."""
_FORMULA = re.compile(FORMULA)
_WRITTEN_FORMULA = re.compile(rf"^'+{_STARTS_FORMULA}")

_LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "`": r"\textasciigrave{}",
    # At the start of a row these would belong to the command before it: \\[2cm], \midrule[2pt], \\*.
    "[": "{[}",
    "]": "{]}",
    "*": "{*}",
    "ε": r"$\varepsilon$",
    "∞": r"$\infty$",
}
_LIGATURES = re.compile(r"-(?=-)|,(?=,)")
"""Pairs of these are printed as another character."""
_MARKDOWN = re.compile(
    r"[\\`*|~$]"
    r"|(?<![^\W_])_|_(?![^\W_])"  # one inside a word is a plain character
    r"|<(?=[A-Za-z/!?])|&(?=[#A-Za-z])"  # tags and entities
    r"|\](?=[(\[:])"  # links
    r"|:(?=//)|(?<=www)\."  # addresses, of which links are made
    r"|^[#>]|^[+-](?=[\s-]|$)"  # headings, quotations, lists
)


def printable(text: str) -> str:
    r"""Return a text with each character that would act instead of being seen as its number, such as `\u001b`.

    These are control characters (newlines among them), changes of the direction of writing, and halves of characters.
    """
    if text.isprintable():
        return text
    return "".join(_number(character) if _acts(character) else character for character in text)


def one_line(text: str) -> str:
    """Return a text as one line, its own line breaks as spaces, that shows what it holds; see `printable`."""
    return printable(" ".join(line.strip() for line in text.replace("\t", " ").splitlines()))


def latex(text: str) -> str:
    """Return LaTeX that prints a text; with pdfLaTeX letters outside of its fonts' alphabet need a package."""
    split = _LIGATURES.sub(lambda match: match[0] + "\0", printable(text))
    return "".join("{}" if character == "\0" else _LATEX.get(character, character) for character in split)


def markdown(text: str) -> str:
    """Return Markdown that shows a text, in a sentence and in a cell of a table; HTML in it is text as well."""
    return _MARKDOWN.sub(lambda match: "\\" + match[0], printable(text))


def csv_cell(text: str) -> str:
    """Return what a text is called in CSV, so that no spreadsheet takes it for a formula; numbers need no change."""
    return _FORMULA.sub(r"'\1", text)


def from_csv_cell(cell: str) -> str:
    """Return the text that `csv_cell` made a cell of; other cells stay as they are."""
    return cell[1:] if _WRITTEN_FORMULA.match(cell) else cell


def _acts(character: str) -> bool:
    if ord(character) & _NO_CHARACTERS == _NO_CHARACTERS:
        return True
    return unicodedata.category(character) in _UNSEEN and character not in _NEEDED


def _number(character: str) -> str:
    code = ord(character)
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
