"""Checks of a scheme's arguments: each takes (name, value) and returns the value to keep, or refuses it."""

from __future__ import annotations

from typing import Any

from initlab.errors import InputError, finite_number, known, whole_number
from initlab.schemes.geometry import FAN_MODES

DISTRIBUTIONS = ("normal", "truncated_normal", "uniform")


def number(name: str, value: Any) -> float:
    """Any finite number."""
    return finite_number(name, value)


def at_least_zero(name: str, value: Any) -> float:
    """A finite number, at least 0."""
    return finite_number(name, value, low=0)


def above_zero(name: str, value: Any) -> float:
    """A finite number greater than 0."""
    checked = finite_number(name, value)
    if checked <= 0:
        raise InputError(f"{name} must be greater than 0; got {checked:g}")
    return checked


def share(name: str, value: Any) -> float:
    """A finite number in [0, 1]."""
    return finite_number(name, value, low=0, high=1)


def number_or_none(name: str, value: Any) -> float | None:
    """None, or any finite number."""
    return None if value is None else finite_number(name, value)


def count_or_none(name: str, value: Any) -> int | None:
    """None, or a whole number of at least 1."""
    return None if value is None else whole_number(name, value)


def fan_mode(name: str, value: Any) -> str:
    """One of the four fan modes."""
    return known(name, value, FAN_MODES)


def distribution(name: str, value: Any) -> str:
    """One of the distributions that variance scaling draws from; Keras' "untruncated_normal" means "normal"."""
    if isinstance(value, str) and value == "untruncated_normal":
        return "normal"
    return known(name, value, DISTRIBUTIONS)
