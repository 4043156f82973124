"""The prose of the documentation is short, in today's words, and its links say where they lead.

Oracle: the numbers and words that the project has set. A sentence ends at a full stop, a question mark or an
exclamation mark before a space and a word that does not begin with a small letter, and with its paragraph or its point
of a list.
Code counts as one word; tables, headings, quotations and pages that are made from the code do not count.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).parents[2]
NAMED = ("README.md", "CONTRIBUTING.md", "attacks/README.md", "corruptions/README.md")
PAGES = [*(ROOT / name for name in NAMED if (ROOT / name).exists()), *sorted(ROOT.glob("docs/**/*.md"))]
LONGEST_ON_AVERAGE = 25
ENDS = re.compile(r"(?<=[.!?])[)\"”]?\s+(?=[^a-zα-ω\s])")
NO_ENDS = re.compile(r"\b(et al|e\.g|i\.e|cf|vs|Fig|Eq|Sec)\.")
OLD = {
    "gap": "margin",
    "denominator": "eligible",
    "spared": "skipped",
    "audited": "spot-checked",
    "ffm": "feedforward",
    "fbm": "feedback",
    "erm": "error weight",
    "prd": "prediction",
    "rep": "representation",
}
"""Words that the project has no longer, and those that it has."""
EMPTY = {"here", "click here", "this", "this page", "this link", "link", "page"}


def paragraphs(text: str) -> Iterator[tuple[str, list[str]]]:
    """Yield the words of each paragraph and point of a list, and the texts of its links."""
    inside: list[str] = []
    for token in MarkdownIt().enable("table").parse(text):
        name = token.type.removesuffix("_open").removesuffix("_close")
        if token.nesting:
            inside.append(name) if token.nesting > 0 else inside.pop()
        elif token.type == "inline" and not {"table", "heading", "blockquote"} & set(inside):
            yield _words(token.children or []), _links(token.children or [])


def _words(tokens: list[Token]) -> str:
    shown = {"softbreak": " ", "hardbreak": " ", "code_inline": "Code"}
    return "".join(shown.get(token.type, token.content if token.type == "text" else "") for token in tokens)


def _links(tokens: list[Token]) -> list[str]:
    starts = [number for number, token in enumerate(tokens) if token.type == "link_open"]
    ends = [number for number, token in enumerate(tokens) if token.type == "link_close"]
    return [_words(tokens[start:end]).strip() for start, end in zip(starts, ends, strict=True)]


def sentences(text: str) -> list[int]:
    """Return how many words each sentence has."""
    found = (piece for paragraph, _ in paragraphs(text) for piece in ENDS.split(NO_ENDS.sub(r"\1", paragraph)))
    counts = (len([word for word in piece.split() if re.search(r"\w", word)]) for piece in found)
    return [count for count in counts if count]


def test_sentences_are_counted_as_a_reader_would() -> None:
    text = """# A heading of words

One two three. Four (as et al. say) `five six`! Is t = 0 seven? Yes.

- a point without an end
- 3.5 points, e.g. this

| a table |
|---|
| of many words. And more |

> A quotation.
"""
    assert sentences(text) == [3, 6, 4, 1, 5, 4]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_prose_of_a_page_is_short_and_in_todays_words(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    counts = sentences(text)
    made = re.search(r"^Made from the code .* do not edit it", text, re.MULTILINE)
    assert made or not counts or sum(counts) / len(counts) < LONGEST_ON_AVERAGE, "words a sentence, on average"
    words = {word for paragraph, _ in paragraphs(text) for word in re.findall(r"\w+", paragraph.lower())}
    assert {word: OLD[word] for word in words & set(OLD)} == {}
    assert [link for _, links in paragraphs(text) for link in links if link.lower().rstrip(".") in EMPTY] == []


@pytest.mark.parametrize("text", ["The gap is small.", "See [here](x.md).", f"{'word ' * 30}."])
def test_a_fault_is_found(text: str, tmp_path: Path) -> None:
    (tmp_path / "page.md").write_text(text)
    with pytest.raises(AssertionError):
        test_the_prose_of_a_page_is_short_and_in_todays_words(tmp_path / "page.md")
