"""The errors initlab raises: one typed error, one line that names the thing, the value and what would be right."""

from __future__ import annotations

import contextlib
import difflib
import functools
import inspect
import math
import operator
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, ParamSpec, TypeVar

import numpy as np

T = TypeVar("T")
P = ParamSpec("P")

MOST = 1 << 53  # of anything that is counted: floats hold each number up to here


class InitlabError(Exception):
    """Base of every error that initlab raises on purpose."""


class InputError(InitlabError, ValueError):
    """A bad argument, file, model or name. The message is one line: what was given and what would be right."""


class UntrainableError(InitlabError, AssertionError):
    """`Inspection.assert_healthy()` found that the model will not train. The message lists the findings."""


class InterruptedInitError(InitlabError):
    """An `init_` was interrupted between two writes.

    Attributes:
        written: parameter names that hold their new values.
        unwritten: parameter names that hold their old values.
    """

    def __init__(self, message: str, written: Sequence[str], unwritten: Sequence[str]) -> None:
        super().__init__(message)
        self.written = tuple(written)
        self.unwritten = tuple(unwritten)


def unknown(kind: str, name: object, choices: Iterable[str], hint: str = "") -> InputError:
    """An `InputError` for a name that does not exist, with the nearest names that do.

    >>> str(unknown("scheme", "he_norml", ["he_normal", "zeros"]))
    "unknown scheme 'he_norml'; did you mean 'he_normal'?"
    """
    known = sorted(set(choices))
    close = nearest(name, known)
    if close:
        tail = "did you mean " + " or ".join(repr(shortened(c)) for c in close) + "?"
    else:
        shown = ", ".join(map(shortened, known[:12])) + (", …" if len(known) > 12 else "") or "none"
        tail = f"known: {shown}"
    return InputError(f"unknown {kind} {shortened(name)!r}; {tail}" + (f" ({hint})" if hint else ""))


def known(kind: str, name: object, choices: Iterable[str]) -> str:
    """The name, if it is one of the choices; else an `InputError` as of `unknown`.

    >>> known("schedule", "cosine", ("constant", "cosine"))
    'cosine'
    """
    names = tuple(choices)
    if not isinstance(name, str) or name not in names:
        raise unknown(kind, name, names)
    return name


def nearest(name: object, choices: Iterable[str]) -> list[str]:
    """At most three of the choices that `name` may have been meant for, the likeliest first.

    >>> nearest("He_Norml", ["he_normal", "zeros"])
    ['he_normal']
    """
    known = sorted(set(choices))
    texts = (text(name), text(name).strip().lower())
    close = next(filter(None, (difflib.get_close_matches(each, known, n=3, cutoff=0.6) for each in texts)), [])
    start = texts[1].replace("_", "-")
    return close or [each for each in known if len(start) > 2 and each.replace("_", "-").startswith(start)][:3]


def repeated(values: Iterable[T]) -> T | None:
    """The first value that has stood before; None where each stands once.

    >>> repeated(["a", "b", "b", "a"])
    'b'
    """
    met = set[T]()
    for value in values:
        if value in met:
            return value
        met.add(value)
    return None


def listed(names: Sequence[object], limit: int = 8) -> str:
    """Some of many names, and how many more there are.

    >>> listed(["a", "b", "c"], limit=2)
    'a, b and 1 more'
    """
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(map(text, names[:limit])) + more


def shortened(name: object) -> str:
    """A name as messages show it: at most 80 characters of it."""
    words = text(name)
    return words if len(words) <= 80 else words[:77] + "…"


def text(value: object) -> str:
    """`str(value)`; its kind where it cannot say itself.

    >>> text(0.5)
    '0.5'
    """
    try:
        return str(value)
    except Exception:  # the user's own object
        return f"a {type(value).__name__}"


@contextlib.contextmanager
def told(what: str) -> Iterator[None]:
    """What the user's model, loss or optimizer raises within becomes one line; the error itself is its cause.

    Raises:
        InputError: `what` failed, and how.
    """
    try:
        yield
    except InitlabError:
        raise
    except (Exception, SystemExit) as error:
        raise InputError(f"{what} failed: {said(error)}") from error


def argued(function: Callable[P, T]) -> Callable[P, T]:
    """A public function; what an argument raises when it is looked at (its `__iter__`, `__eq__`, …) becomes one line.

    Raises:
        InputError: an argument, or what a list or dict holds, cannot be read; the error itself is its cause.
    """
    names = tuple(inspect.signature(function).parameters)

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return function(*args, **kwargs)
        except InitlabError:
            raise
        except Exception as error:
            if _is_ours(sys._getframe(1)):
                raise  # the outer function knows what the user calls it
            given = {**dict(zip(names, args, strict=False)), **kwargs}
            asked = _asked(error, {id(part): name for name, value in given.items() for part in _parts(value)})
            if asked is None:
                raise
            raise InputError(f"{asked[0]} cannot be read: {asked[1]} failed: {said(error)}") from error

    return call


def _asked(error: Exception, owners: dict[int, str]) -> tuple[str, str] | None:
    """The argument whose own method raised outside the package, and the method."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    while frames and not _is_ours(frames[-1]):
        frame = frames.pop()
        code = frame.f_code
        argument = owners.get(id(frame.f_locals.get(code.co_varnames[0]))) if code.co_argcount else None
        if argument is not None:
            return argument, code.co_qualname
    return None


def _is_ours(frame: FrameType) -> bool:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0] == __package__


def _parts(value: Any, depth: int = 3) -> Iterator[object]:
    """A value and what Python's own lists and dicts hold of it."""
    yield value
    if depth and type(value) in (list, tuple, set, dict):
        for part in (*value, *value.values()) if type(value) is dict else value:
            yield from _parts(part, depth - 1)


def shown(value: object) -> str:
    """A value in a line, cut where it is long: an array is one of many. Its kind where it cannot show itself.

    >>> shown([1.0] * 1000)
    '[1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, …'
    """
    try:
        words = " ".join(repr(value).split())
    except Exception:  # the user's own object
        words = f"a {type(value).__name__}"
    return words if len(words) <= 80 else f"{words[:76].rstrip()} …"


def said(error: BaseException) -> str:
    """An exception in a line; its kind alone where it cannot say more of itself."""
    try:
        words = str(error)
    except Exception:  # the user's own exception
        words = "it cannot be shown"
    plain = _STYLES.sub("", words)  # Keras's are written in bold
    return f"{type(error).__name__}: {' '.join(plain.split())[:300]}"


_STYLES = re.compile(r"\x1b\[[0-9;]*m")


def finite_number(argument: str, value: object, *, low: float | None = None, high: float | None = None) -> float:
    """`value` as a float if it is a finite real number within [low, high]; else an `InputError` that names it.

    >>> finite_number("std", 0.02, low=0)
    0.02
    """
    if type(value) is not float and (isinstance(value, bool | complex) or not isinstance(value, int | float)):
        try:
            if isinstance(value, str | bytes | bool | complex):
                raise TypeError
            value = float(value)  # type: ignore[arg-type]
        except (TypeError, ValueError, RuntimeError):
            raise InputError(f"{argument} must be a finite number; got {shown(value)}") from None
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise InputError(f"{argument} must be a finite number; got {shown(number)}")
    if low is not None and number < low:
        raise InputError(f"{argument} must be at least {low:g}; got {number:g}")
    if high is not None and number > high:
        raise InputError(f"{argument} must be at most {high:g}; got {number:g}")
    return number


def whole_number(argument: str, value: object, *, low: int = 1, high: int = MOST, none: bool = False) -> int:
    """`value` as an int if it is a whole number within [low, high], numpy's too, or None where `none` allows it (then
    `low`); else an `InputError`.

    >>> whole_number("steps", 100)
    100
    """
    if none and value is None:
        return low
    number = _index(value)
    if number is None or number < low:
        raise InputError(
            f"{argument} must be a whole number of at least {low}{', or None' if none else ''}; got {shown(value)}"
        )
    if number > high:
        raise InputError(f"{argument} must be at most {high:,}; got {shown(number)}")
    return number


def _index(value: object) -> int | None:
    """A whole number of any library as an int; None for bools and anything else."""
    try:
        return None if isinstance(value, bool) else operator.index(value)  # type: ignore[arg-type]  # then it raises
    except (TypeError, ValueError, RuntimeError):
        return None


def check_flags(**flags: object) -> None:
    """Refuse what is neither True nor False.

    >>> check_flags(race=True)
    """
    for argument, value in flags.items():
        if not isinstance(value, bool | np.bool_):
            raise InputError(f"{argument} must be True or False; got {shown(value)}")


def path_of(argument: str, value: object) -> Path:
    """`value` as a path; else an `InputError`.

    >>> path_of("folder", "runs").name
    'runs'
    """
    if not isinstance(value, str | os.PathLike):
        raise InputError(f"{argument} must be a path; got {shown(value)}")
    return Path(value)


def seed_number(value: object, argument: str = "seed") -> int:
    """`value` as an int in [0, 2^64); else an `InputError`. Bools, floats and strings are refused.

    >>> seed_number(7)
    7
    """
    number = _index(value)
    if number is None or not 0 <= number < 2**64:
        raise InputError(f"{argument} must be an integer in [0, 2^64); got {shown(value)}")
    return number
