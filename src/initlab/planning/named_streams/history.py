"""What was called on one parameter, in order: as data, shortened for a reader, and what the order shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from initlab.planning.named_streams.draws import Draw

_VALUES = frozenset({
    "normal", "uniform", "trunc_normal", "exponential", "log_normal", "cauchy", "orthogonal", "sparse", "random"
})  # fmt: skip  # operations that draw a parameter's values; others draw places, or which of the values stay
_CONSTANT = frozenset({"zero", "fill"})
_MADE_ASIDE = frozenset({"copy", "assigned"})  # what was drawn on the side and then put in


@dataclass(frozen=True)
class Call:
    """One operation on a parameter; two are equal where they are written alike.

    Args:
        words: as a reader would write it: `normal(0, 0.02)`.
        op: torch's name for it, without the trailing underscore.
        arguments: what it was given; None for what is no number.
    """

    words: str
    op: str = field(compare=False)
    arguments: tuple[float | None, ...] = field(default=(), compare=False)

    @classmethod
    def of(cls, draw: Draw) -> Call:
        """A random operation, or any other that is written like one."""
        numbers = (float(value) if isinstance(value, int | float) else None for value in draw.arguments)
        return cls(draw.describe(), draw.op, tuple(numbers))


ASSIGNED = Call("assigned", "assigned")


@dataclass(frozen=True)
class Turn:
    """One call, or two in turn, and how often they came one after the other."""

    calls: tuple[Call, ...]
    times: int = 1

    @property
    def words(self) -> str:
        said = ", ".join(call.words for call in self.calls)
        return f"{said} ×{self.times}" if self.times > 1 else said

    @property
    def first(self) -> Call:
        return self.calls[0]


def turns_of(calls: Sequence[Call]) -> tuple[Turn, ...]:
    """The calls, with one or two that repeat said once: `randperm(), index_put(…) ×20`.

    >>> [turn.words for turn in turns_of([Call(op, op) for op in "abbbcdcd"])]
    ['a', 'b ×3', 'c, d ×2']
    """
    found, place = [], 0
    while place < len(calls):
        size, times = max(((n, _times(calls, place, n)) for n in (1, 2)), key=lambda pair: pair[0] * (pair[1] - 1))
        size = size if times > 1 else 1
        found.append(Turn(tuple(calls[place : place + size]), times))
        place += size * times
    return tuple(found)


def _times(calls: Sequence[Call], place: int, size: int) -> int:
    unit, times = calls[place : place + size], 1
    while len(unit) == size and calls[place + times * size : place + (times + 1) * size] == unit:
        times += 1
    return times


def overwritten(turns: Sequence[Turn]) -> bool:
    """Whether a constant was written over what was drawn, and nothing that was made on the side was put in."""
    last = max((i for i, turn in enumerate(turns) if turn.first.op in _VALUES), default=len(turns))
    over = any(len(turn.calls) == 1 and turn.first.op in _CONSTANT for turn in turns[last + 1 :])
    return over and not _put_in(turns)


def redrawn(turns: Sequence[Turn]) -> bool:
    """Whether values were drawn by different calls, the second on top of the first."""
    return sum(turn.first.op in _VALUES for turn in turns) > 1 and not _put_in(turns)


def _put_in(turns: Sequence[Turn]) -> bool:
    return any(turn.first.op in _MADE_ASIDE for turn in turns)


def cuts_of(turns: Sequence[Turn]) -> tuple[tuple[str, float], ...]:
    """(words, how many std the nearer end lies from the mean) of each truncated normal."""
    found = []
    for turn in turns:
        if turn.first.op == "trunc_normal" and len(turn.first.arguments) == 4:
            mean, std, low, high = turn.first.arguments
            if mean is not None and std is not None and low is not None and high is not None and std > 0:
                found.append((turn.words, min(high - mean, mean - low) / std))
    return tuple(found)
