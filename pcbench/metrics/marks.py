"""What a reader must know of single numbers: accuracies at chance, images that were tuned on, the strength of a noise.

The tidy table holds it in columns of its own, so that whoever reads the table alone, in whatever form, reads it too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd

from pcbench.metrics.shown import level_symbol
from pcbench.names import severities_words
from pcbench.percent import in_percent
from pcbench.results.conditions import CORRUPTED

AT_CHANCE = "at chance"
"""Of an accuracy: the lower end of its interval is not above that of guessing."""
TUNED_ON = "tuned on these images"
"""Of every number of a run: β, λ and α were chosen on some of the images that are measured."""
_SEVERITIES = ("severity ", "severities ")
"""What the mark begins with of a number that pools the severities that a run names, where there are others."""
MARKS, SHARE = "marks", "share_of_pixel_range"
"""The columns."""
_NOISE = "gaussian_noise"
_NUMBER = re.compile(r"[\d.]+(?:e-?\d+)?")


@dataclass(frozen=True)
class Marking:
    """What the marks of a run's numbers depend on."""

    classes: int
    """How many the network tells apart: guessing is right on one image in so many."""
    std: tuple[float, ...] = ()
    """What images are divided by before they reach it, one a channel; none where it does not say."""
    tuned: bool = False
    """Whether β, λ and α were chosen on some of the images."""
    severities: Mapping[str, Sequence[int]] = field(default_factory=dict[str, Sequence[int]])
    """By suite, the severities that are measured; suites that are measured at all of theirs are left out."""

    def marked(self, table: pd.DataFrame) -> pd.DataFrame:
        """Return the tidy table with these columns filled."""
        guessed = (table["metric"] == "accuracy") & (table["kind"] != "attack") & (table["ci_low"] <= 1 / self.classes)
        pooled = table["severity"].isna() & ~table["kind"].isin(["clean", "attack"])
        words = {suite: severities_words(severities) for suite, severities in self.severities.items()}
        named = [words.get(suite, "") for suite in table["suite"].where(pooled).tolist()]
        marks = [
            "; ".join(mark for mark, holds in ((AT_CHANCE, bool(one)), (TUNED_ON, self.tuned), (some, some)) if holds)
            or None
            for one, some in zip(guessed.tolist(), named, strict=True)
        ]
        found = table.assign(**{MARKS: pd.Series(marks, index=table.index, dtype="str")})
        if self.std:
            mean = sum(self.std) / len(self.std)
            of_noise = (table["kind"] == "noise") & (table["name"] == _NOISE)
            found[SHARE] = (table["epsilon"] * mean).where(of_noise)
        return found


def stated_std(text: object) -> tuple[float, ...]:
    """Return the standard deviations that a model's description states, as numbers."""
    return tuple(float(number) for number in _NUMBER.findall(str(text or "")))


def has_mark(rows: pd.DataFrame, mark: str) -> pd.Series:
    """Return which rows of the tidy table have a mark."""
    if MARKS not in rows:
        return pd.Series(data=False, index=rows.index)
    return rows[MARKS].map(lambda marks: isinstance(marks, str) and mark in marks.split("; ")).astype(bool)


def named_severities(rows: pd.DataFrame) -> str:
    """Return the severities that some rows pool, as their mark says it; empty where these are all."""
    if MARKS not in rows:
        return ""
    marks = (mark for marks in rows[MARKS].dropna().unique() for mark in str(marks).split("; "))
    return next((mark for mark in marks if mark.startswith(_SEVERITIES)), "")


def marks_title(rows: pd.DataFrame) -> str:
    """Return what ends the title of everything that is made of some rows; empty where nothing must be known of them."""
    named = named_severities(rows)
    tuned = f", {TUNED_ON.upper()}" if has_mark(rows, TUNED_ON).any() else ""
    return (f", {named} alone" if named else "") + tuned


def noise_notes(rows: pd.DataFrame, classes: int | None = None) -> Iterator[str]:
    """Yield what a table or figure of a suite of corruptions says of its levels and of rows at chance.

    Args:
        rows: The suite's rows of the tidy table.
        classes: How many classes there are, if that is to be told.
    """
    noisy = rows[rows["kind"].isin(CORRUPTED) & (rows["metric"] == "accuracy") & rows["severity"].notna()]
    known = noisy[noisy[SHARE].notna()] if SHARE in noisy else noisy[:0]
    if len(known) and set(noisy["name"]) == {_NOISE}:
        pairs = sorted(set(zip(map(float, known["epsilon"]), map(float, known[SHARE]), strict=True)))
        shares = ", ".join(f"{level:.3g}: {in_percent(share):.3g} %" for level, share in pairs)
        yield f"σ is on e_0; as a share of the pixel range (mean over the channels): {shares}"
    guessed = "" if classes is None else f" ({100 / classes:.3g} % for {classes} classes)"
    for (name, when), severities in _at_chance(noisy).items():
        levels = noisy[(noisy["name"] == name) & noisy["severity"].isin(severities)]["epsilon"].dropna().unique()
        what = f"{name}, {severities_words(severities)}"
        if len(levels):
            what = f"{level_symbol([name])} = {', '.join(f'{level:.3g}' for level in levels)}"
        yield f"{AT_CHANCE.upper()}{guessed} at {when}: {what}"


def _at_chance(noisy: pd.DataFrame) -> dict[tuple[str, str], list[int]]:
    """Return the severities at chance of each corruption and set of timesteps, in words."""
    found: dict[tuple[str, str], list[int]] = {}
    for (name, severity), part in noisy.groupby(["name", "severity"], observed=True):
        times = sorted({int(t) for t in part[has_mark(part, AT_CHANCE)]["timestep"]})
        if times:
            every = len(times) == part["timestep"].nunique()
            when = "every t" if every else f"t = {', '.join(map(str, times))}"
            found.setdefault((str(name), when), []).append(int(str(severity)))
    return found
