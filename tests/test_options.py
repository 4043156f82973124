"""Oracle: the value that each spelling means, written down by hand, and the words of a refusal."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pcbench.errors import UsageError
from pcbench.harness.request import request_from


def test_values_are_read_in_their_natural_spellings() -> None:
    request = request_from(
        {
            "images": np.int64(3),
            "seed": torch.tensor(4),
            "batch_size": 8.0,
            "bracketing": np.False_,
            "suites": Path("linf"),
            "device": torch.device("cpu"),
        }
    )
    assert [request.get("images"), request.get("seed"), request.get("batch_size")] == [3, 4, 8]
    assert request.get("bracketing") is False
    assert [request.get("suites"), request.get("device")] == [("linf",), "cpu"]


@pytest.mark.parametrize(
    ("epsilons", "read"),
    [
        (8 / 255, (8 / 255,)),
        ("8/255", ("8/255",)),
        (np.arange(3) / 255, (0.0, 1 / 255, 2 / 255)),
        (torch.tensor([0.5, 0.25]), (0.5, 0.25)),
        ([Fraction(8, 255), "0.5"], (8 / 255, "0.5")),
    ],
)
def test_budgets_are_read_in_their_natural_spellings(epsilons: object, read: object) -> None:
    assert request_from({"epsilons": epsilons}).get("epsilons") == read


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"images": -1}, "`images` is a whole number of at least 1 (got -1)"),
        ({"batch_size": 0}, "`batch_size` is a whole number of at least 1 (got 0)"),
        ({"seed": True}, "`seed` is a whole number from 0 to 9223372036854775807 (got True)"),
        ({"epsilons": True}, '`epsilons` is a list of numbers, such as ["8/255"] (got (True,))'),
        ({"epsilons": {"a": 1}}, "`epsilons` is a list of numbers"),
        ({"suites": 5.5}, "`suites` is a list of texts (got (5.5,))"),
        ({"suites": len}, "`suites` is a list of texts"),
        ({"bracketing": 1}, "`bracketing` is True or False (got 1)"),
        ({"out": 5}, "`out` is a path (got 5)"),
        ({"device": 0.5}, "`device` is a text (got 0.5)"),
        ({"gradient": None, "backend": 7}, "backend '7' does not exist; known: fast, reference"),
    ],
)
def test_what_a_value_must_be_is_said_in_words(given: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError) as error:
        request_from(given)
    assert says in str(error.value)
