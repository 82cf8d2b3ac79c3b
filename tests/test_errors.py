"""Errors name the argument, the value and what would be right."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
import pytest

from initlab import errors


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 10**400, "1", b"1", True, None, [1.0], 1j])
def test_a_number_must_be_finite_and_real(value: object) -> None:
    with pytest.raises(errors.InputError, match="std must be a finite number"):
        errors.finite_number("std", value)


@pytest.mark.parametrize(
    ("value", "message"), [(-1, "std must be at least 0; got -1"), (9, "std must be at most 5; got 9")]
)
def test_a_number_must_lie_within_its_range(value: float, message: str) -> None:
    with pytest.raises(errors.InputError, match=message):
        errors.finite_number("std", value, low=0, high=5)


@pytest.mark.parametrize("value", [1, 1.0, np.float32(1), np.int64(1)])
def test_numbers_of_any_kind_are_taken(value: object) -> None:
    assert errors.finite_number("std", value) == 1.0


@pytest.mark.parametrize("seed", [-1, 2**64, 1.5, "7", True, None, math.nan, np.array([1, 2])])
def test_a_seed_is_an_integer_of_64_bits(seed: object) -> None:
    with pytest.raises(errors.InputError, match=r"seed must be an integer in \[0, 2\^64\)"):
        errors.seed_number(seed)


@pytest.mark.parametrize("seed", [0, 2**64 - 1, np.int64(7), np.uint64(2**64 - 1)])
def test_whole_seeds_are_taken(seed: int) -> None:
    assert errors.seed_number(seed) == int(seed)


def test_an_unknown_name_lists_the_nearest_or_all() -> None:
    assert "did you mean 'he_normal'" in str(errors.unknown("scheme", "he_norml", ["he_normal", "zeros"]))
    assert "did you mean 'he_normal'" in str(errors.unknown("scheme", " HE_Normal", ["he_normal", "zeros"]))
    assert str(errors.unknown("scheme", "q", [])) == "unknown scheme 'q'; known: none"
    assert str(errors.unknown("scheme", "q", ["a", "b"])) == "unknown scheme 'q'; known: a, b"
    assert len(str(errors.unknown("scheme", "x" * 10_000, ["a"]))) < 200


@pytest.mark.parametrize("value", ["cosin", None, ["cosine"], {}, np.zeros(3), 1])
def test_a_choice_is_one_of_the_names(value: object) -> None:
    assert errors.known("schedule", "cosine", ("constant", "cosine")) == "cosine"
    with pytest.raises(errors.InputError, match="unknown schedule"):
        errors.known("schedule", value, ("constant", "cosine"))


def test_kinds_of_error_can_be_caught_as_what_they_are() -> None:
    assert issubclass(errors.InputError, ValueError)
    assert issubclass(errors.UntrainableError, AssertionError)
    raised = errors.InterruptedInitError("stopped", ["a"], ["b", "c"])
    assert raised.written == ("a",)
    assert raised.unwritten == ("b", "c")


@pytest.mark.parametrize("value", [3, np.int64(3), np.uint8(3), np.array(3)])
def test_whole_numbers_of_any_library_are_taken_as_ints(value: object) -> None:
    assert type(errors.whole_number("steps", value)) is int


@pytest.mark.parametrize(
    ("value", "low", "none", "right"),
    [
        (0, 1, False, "at least 1; got 0"),
        (-1, 0, False, "at least 0; got -1"),
        (True, 1, False, "at least 1; got True"),
        (2.0, 1, False, "at least 1; got 2.0"),
        (None, 1, False, "at least 1; got None"),
        ("7", 1, True, "at least 1, or None; got '7'"),
    ],
)
def test_what_is_no_whole_number_is_refused(value: object, low: int, none: bool, right: str) -> None:
    with pytest.raises(errors.InputError, match=f"^steps must be a whole number of {right}$"):
        errors.whole_number("steps", value, low=low, none=none)


class Silent:
    def __repr__(self) -> str:
        raise RuntimeError("not even its name")


@pytest.mark.parametrize(
    "value", [np.ones((40, 40)), [0.1] * 1000, "x" * 10_000, "a\nb", Silent(), {"a": np.ones((9, 9))}]
)
def test_whatever_was_given_is_shown_in_one_line(value: object) -> None:
    for check in (errors.finite_number, errors.whole_number):
        with pytest.raises(errors.InputError, match=r"^seed must be [^\n]{0,200}$"):
            check("seed", value)
    with pytest.raises(errors.InputError, match=r"^seed must be [^\n]{0,200}$"):
        errors.seed_number(value)
    with pytest.raises(errors.InputError, match=r"^race must be True or False; got [^\n]{0,100}$"):
        errors.check_flags(race=value)


def test_no_message_writes_out_what_the_user_gave() -> None:
    """`shown` cuts it and keeps it in the line; what a message cuts itself may stand."""
    wrong = [
        f"{path.name}: {found}"
        for path in sorted(Path(errors.__file__).parent.rglob("*.py"))
        for found in re.findall(r"got \{\w+!r\}", path.read_text(encoding="utf-8"))
    ]
    assert not wrong


def test_a_whole_number_has_a_largest_where_one_is_named() -> None:
    assert errors.whole_number("order", 128, high=128) == 128
    with pytest.raises(errors.InputError, match="order must be at most 128; got 129"):
        errors.whole_number("order", 129, high=128)
