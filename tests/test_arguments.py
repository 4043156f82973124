"""Oracle: the number that a spelling stands for, worked out by hand, and Python's own rules for calling a function."""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import pytest
import torch

import pcbench
from pcbench.arguments import a_word, listed, number, plain, plain_tables, public, shown, whole, whole_number
from pcbench.errors import UnknownNameError, UsageError

THREE: tuple[Any, ...] = (3, 3.0, np.int64(3), np.uint8(3), np.float32(3), np.array(3), torch.tensor(3), Fraction(6, 2))
NO_WHOLE_NUMBER: tuple[Any, ...] = (
    True,
    np.True_,
    torch.tensor(True),
    2.5,
    "3.0",
    "three",
    "",
    None,
    float("nan"),
    float("inf"),
    3j,
)


@pytest.mark.parametrize("written", [*THREE, Decimal(3), torch.tensor([3]), "3", "+03"], ids=repr)
def test_a_whole_number_is_one_in_any_type(written: object) -> None:
    assert whole(written) == 3
    assert type(whole(written)) is int
    assert whole_number("severity", written, low=1, high=5) == 3


@pytest.mark.parametrize("written", [*NO_WHOLE_NUMBER, [3], torch.zeros(3), torch.empty((), device="meta")], ids=repr)
def test_what_is_not_a_whole_number_is_refused_in_one_line(written: object) -> None:
    with pytest.raises(UsageError, match=r"^`severity` is a whole number from 1 to 5 \(got [^\n]+\)$"):
        whole_number("severity", written, low=1, high=5)


def test_limits_are_said() -> None:
    with pytest.raises(UsageError, match=r"`batch_size` is a whole number of at least 1 \(got 0\)"):
        whole_number("batch_size", 0, low=1)
    with pytest.raises(UsageError, match=r"from 1 to 5 \(got np.int64\(6\)\)"):
        whole_number("severity", np.int64(6), low=1, high=5)


@pytest.mark.parametrize(
    ("written", "value"),
    [
        (0.03, 0.03),
        ("0.03", 0.03),
        ("8/255", 8 / 255),
        (Fraction(8, 255), 8 / 255),
        (Decimal("0.03"), 0.03),
        (np.float64(0.03), 0.03),
        (np.float32(0.03), 0.03),
        (np.float16(0.03), 0.03),
        (torch.tensor(0.03, requires_grad=True), 0.03),
        (torch.tensor(0.03, dtype=torch.float64), 0.03),
        (np.int8(2), 2.0),
    ],
    ids=repr,
)
def test_a_number_is_read_in_its_spellings(written: object, value: float) -> None:
    assert number(written) == value
    assert type(number(written)) is float


@pytest.mark.parametrize("written", [True, np.False_, "x", "1/0", None, [1]], ids=repr)
def test_what_is_not_a_number_is_left_to_be_refused(written: object) -> None:
    assert not isinstance(number(written), float)


def test_one_of_a_list_is_a_list_of_one() -> None:
    assert listed("8/255") == ("8/255",)
    assert listed(torch.tensor(0.5)) == (0.5,)
    assert listed(np.arange(3)) == (0, 1, 2)
    assert all(type(entry) is int for entry in listed(torch.arange(3)) or ())
    assert listed(str(n) for n in range(2)) == ("0", "1")
    assert [listed(value) for value in ({1: 2}, b"12", 3j, None, len)] == [None] * 5


def test_values_in_messages_are_short_and_on_one_line() -> None:
    text = shown(np.zeros((40, 40)))
    assert "\n" not in text
    assert len(text) < 100
    assert plain(text) == text


def test_a_word_is_one_of_the_known() -> None:
    a_word("gradient", "exact", ("exact", "stop_error"))
    with pytest.raises(UnknownNameError, match="did you mean 'exact'"):
        a_word("gradient", "exat", ("exact", "stop_error"))
    with pytest.raises(UnknownNameError, match="known: exact, stop_error"):
        a_word("gradient", 7, ("exact", "stop_error"))


class Options(TypedDict, total=False):
    """Of a function for users."""

    batch_size: int


@public(Options)
def function(images: int, *, seed: int = 0, **options: Any) -> tuple[int, int, Any]:
    """Answer with what it is given, and with the modes of PyTorch."""
    return images, seed, (options, torch.is_grad_enabled(), torch.is_inference_mode_enabled())


def test_a_function_for_users_takes_what_it_declares() -> None:
    assert function(1, seed=2, batch_size=3) == (1, 2, ({"batch_size": 3}, True, False))
    assert function.__doc__ is not None


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: function(1, sed=2), r"option 'sed' does not exist; did you mean 'seed'\?"),  # type: ignore[call-arg]
        (lambda: function(1, batchsize=2), "did you mean 'batch_size'"),
        (function, "missing a required argument: 'images'; function takes: images, seed, batch_size"),  # type: ignore[call-arg]
        (lambda: function(1, 2, 3), "too many positional arguments"),  # type: ignore[call-arg]
        (lambda: function(1, images=2), "multiple values for argument 'images'"),  # type: ignore[call-arg]
    ],
    ids=["misspelt", "misspelt option", "missing", "too many", "twice"],
)
def test_a_function_for_users_refuses_a_wrong_call(call: Callable[[], object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        call()


def test_what_stands_around_a_call_does_not_change_it() -> None:
    with torch.inference_mode():
        assert function(1)[2][1:] == (True, False)
    with torch.no_grad():
        assert function(1)[2][1:] == (True, False)

    @public()
    def product() -> torch.dtype:
        return (torch.ones(2, 2) @ torch.ones(2, 2)).dtype

    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert product() is torch.float32
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype is torch.bfloat16


def test_an_error_inside_is_not_taken_for_a_wrong_call() -> None:
    @public()
    def failing(count: int) -> int:
        return len(count)  # type: ignore[arg-type]

    with pytest.raises(TypeError, match=re.escape("has no len()")):
        failing(1)


def test_tables_are_read_with_pythons_own_numbers() -> None:
    found = plain_tables({"size": np.array([3, 8]), "inner": [{"weight": np.float32(0.3), "name": "x"}]})
    assert found == {"size": (3, 8), "inner": ({"weight": 0.3, "name": "x"},)}
    assert plain_tables(None) is None


class Raising:
    """An object that fails whatever it is asked."""

    def __index__(self) -> int:
        raise RuntimeError

    def __iter__(self) -> Any:
        raise RuntimeError

    def __repr__(self) -> str:
        raise RuntimeError


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_objects_that_fail_are_not_numbers_or_lists() -> None:
    with pytest.raises(UsageError, match="a list of the type Raising cannot be read: RuntimeError") as caught:
        listed(Raising())
    assert isinstance(caught.value.__cause__, RuntimeError)
    with pytest.raises(UsageError, match=r"`seed` is a whole number of at least 0 \(got <Raising>\)"):
        whole_number("seed", Raising(), low=0)
    nested = torch.nested.nested_tensor([torch.zeros(2), torch.zeros(3)])
    assert plain(nested) is nested


@pytest.mark.parametrize("written", [10**400, Fraction(10**400, 3)])
def test_numbers_beyond_floats_are_infinite(written: object) -> None:
    assert number(written) == float("inf")


def test_a_decimal_that_is_not_a_number_stays_one() -> None:
    for written in ("nan", "sNaN"):
        found = plain(Decimal(written))
        assert isinstance(found, float)
        assert found != found  # noqa: PLR0124


@pytest.mark.parametrize(
    ("name", "known", "says"),
    [
        ("suite", ["out", "suites"], "did you mean 'suites'?"),
        ("epsilon", ["epsilons", "model_version", "precision"], "did you mean 'epsilons'?"),
        ("float16", ["bfloat16", "float32", "tf32"], "did you mean 'bfloat16' or 'float32'?"),
        ("x", ["out", "suites"], "known: out, suites"),
    ],
)
def test_only_names_about_as_close_as_the_nearest_are_suggested(name: str, known: list[str], says: str) -> None:
    # Oracle: what a reader would take for a misspelling.
    assert str(UnknownNameError("option", name, known)) == f"option '{name}' does not exist; {says}"


def test_messages_in_python_spell_options_as_python_does(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="leave out `corrupted` to make its images here"):
        pcbench.run(suites="digits-c", corrupted=tmp_path)
    with pytest.raises(UsageError, match="give another folder with `out`"):
        pcbench.run(out="/")
