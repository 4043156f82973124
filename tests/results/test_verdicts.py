"""Oracle: the three forms that every sentence about robust accuracy must carry, written out here."""

from __future__ import annotations

import pytest

from pcbench.results.verdicts import ShownVerdict, joint_verdict_words, verdict_words

SOUND = ShownVerdict(timestep=0, verdict="consistent", reasons=())
ZERO = "the gradient is zero at 40.0 % of 32 images"


def masked(*reasons: str) -> ShownVerdict:
    return ShownVerdict(timestep=8, verdict="suspicious", reasons=reasons)


@pytest.mark.parametrize(
    ("entry", "warnings", "words"),
    [
        (None, (), "not checked"),
        (SOUND, (), "checked"),
        (masked(ZERO), (), f"gradients suspicious: {ZERO}"),
        (masked(ZERO, "b", "c"), (), f"gradients suspicious: {ZERO} (and 2 more signs)"),
        (masked("a", "b"), (), "gradients suspicious: a (and 1 more sign)"),
        # A warning needs no checks, and a good verdict does not outweigh it.
        (None, (ZERO,), f"gradients suspicious: {ZERO}"),
        (SOUND, (ZERO,), f"gradients suspicious: {ZERO}"),
        (masked("b"), (ZERO,), f"gradients suspicious: {ZERO} (and 1 more sign)"),
        (masked(), (), "gradients suspicious: no reason is given"),
    ],
)
def test_a_verdict_has_one_of_three_forms(entry: ShownVerdict | None, warnings: tuple[str, ...], words: str) -> None:
    assert verdict_words(entry, warnings) == words


@pytest.mark.parametrize(
    ("each", "words"),
    [
        ({}, "not checked"),
        ({"t = 8": "checked", "t = 0": "checked"}, "checked"),
        ({"t = 8": "checked", "t = 0": "not checked"}, "not checked"),
        ({"t = 8": "gradients suspicious: a"}, "gradients suspicious: a"),
        ({"t = 8": "gradients suspicious: a", "t = 0": "checked"}, "gradients suspicious: at t = 8, a"),
        ({"t = 8": "not checked", "t = 0": "gradients suspicious: b"}, "gradients suspicious: at t = 0, b"),
        (
            {"t = 8": "gradients suspicious: a", "t = 0": "gradients suspicious: b"},
            "gradients suspicious: at t = 8, a (and at t = 0)",
        ),
    ],
)
def test_a_statement_about_two_attacks_is_as_good_as_the_worse_one(each: dict[str, str], words: str) -> None:
    assert joint_verdict_words(each) == words
