"""Oracle: durations whose seconds are worked out by hand."""

from __future__ import annotations

from datetime import timedelta

import pytest

from pcbench.errors import UsageError
from pcbench.harness.durations import read_duration, shown_duration


@pytest.mark.parametrize(
    ("written", "seconds"),
    [("2h", 7200), ("90min", 5400), ("1h30", 5400), ("7200s", 7200), ("1:30:00", 5400), ("1:30", 5400),
     ("1h 30m", 5400), ("1.5 hours", 5400), (" 2 H ", 7200), ("1 day", 86_400),
     ("1d12h", 129_600), ("1 hour and 30 minutes", 5400),
     ("2 h 5 min 3 s", 7503), (timedelta(minutes=5), 300)],
)  # fmt: skip
def test_a_duration_is_read_in_its_natural_spellings(written: object, seconds: float) -> None:
    assert read_duration("budget", written) == seconds


@pytest.mark.parametrize(
    "written",
    ["2", 7200, "", "0h", "-2h", "2 fortnights", "30min2h", "2h2h", "h", "1:99", "nan", "inf h", None, "9e9h"],
)
def test_what_is_no_duration_is_refused_with_the_remedy(written: object) -> None:
    with pytest.raises(UsageError, match=r"^`budget` is a duration, such as 2h, 90min, 1h30, 7200s or 1:30:00 \(got"):
        read_duration("budget", written)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.4, "0 s"), (99.4, "99 s"), (100, "2 min"), (5400, "90 min"), (7200, "2 h"), (7260, "2 h 1 min"),
     (172_800, "2 days"), (180_000, "2 days 2 h"), (8_640_000, "100 days")],
)  # fmt: skip
def test_a_duration_is_shown_in_words(seconds: float, words: str) -> None:
    assert shown_duration(seconds) == words
