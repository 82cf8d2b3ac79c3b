"""What is asked of a recording or of evidence again and again, and computed once: it keeps the answer."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Protocol, TypeVar, TypeVarTuple, cast


class Keeping(Protocol):
    """What does not change and keeps what was computed of it: a recording, a view of one, or evidence."""

    @property
    def computed(self) -> dict[object, object]: ...


Of = TypeVar("Of", bound=Keeping)
More = TypeVarTuple("More")
Answer = TypeVar("Answer")


def once(compute: Callable[[Of, *More], Answer]) -> Callable[[Of, *More], Answer]:
    """A function of a recording or evidence that is run once for each and each set of further arguments.

    Args:
        compute: (recording or evidence, further arguments, all hashable) -> the answer.

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
