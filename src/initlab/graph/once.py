"""What is asked of a recording again and again, and computed once: the recording keeps the answer."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Protocol, TypeVar, TypeVarTuple, cast


class Keeping(Protocol):
    """A recording, or a view of one, that does not change and keeps what was computed of it."""

    @property
    def computed(self) -> dict[object, object]: ...


Of = TypeVar("Of", bound=Keeping)
More = TypeVarTuple("More")
Answer = TypeVar("Answer")


def once(compute: Callable[[Of, *More], Answer]) -> Callable[[Of, *More], Answer]:
    """A function of a recording that is run once for each recording and each set of further arguments.

    Args:
        compute: (recording, further arguments, all hashable) -> the answer.

    >>> from types import SimpleNamespace
    >>> recording = SimpleNamespace(computed={})
    >>> length = once(lambda of, times: print("computed") or 3 * times)
    >>> length(recording, 2), length(recording, 2)
    computed
    (6, 6)
    """

    @wraps(compute)
    def answer(of: Of, *more: *More) -> Answer:
        key = (compute, *more)
        if key not in of.computed:
            of.computed[key] = compute(of, *more)
        return cast(Answer, of.computed[key])

    return answer
