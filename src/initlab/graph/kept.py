"""What was computed of functions and is so in every model: the last few thousand answers, kept for the process."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from types import EllipsisType
from typing import Any, TypeVar, cast

import torch

from initlab.graph.recording import Ref

MOST = 4096
_PLAIN = (str, bytes, torch.dtype, torch.device, torch.layout, torch.memory_format, EllipsisType, type(None))
Answer = TypeVar("Answer")


class Kept:
    """Answers by question; the one that was asked for least recently goes first. Threads may share it.

    Args:
        most: how many answers are kept.

    >>> kept = Kept(2)
    >>> [kept.of((name,), name.upper) for name in "abca"], len(kept)
    (['A', 'B', 'C', 'A'], 2)
    """

    def __init__(self, most: int = MOST) -> None:
        self._most, self._lock, self._answers = most, threading.Lock(), OrderedDict[Hashable, object]()

    def __len__(self) -> int:
        return len(self._answers)

    def of(self, question: tuple[Hashable, ...], compute: Callable[[], Answer]) -> Answer:
        """The answer to a question, computed where it is not kept.

        Args:
            question: all that the answer hangs on.
            compute: gives the answer.
        """
        with self._lock:
            if question in self._answers:
                self._answers.move_to_end(question)
                return cast(Answer, self._answers[question])
        found = compute()
        with self._lock:
            self._answers[question] = found
            while len(self._answers) > self._most:
                self._answers.popitem(last=False)
        return found


KEPT = Kept()


def exactly(item: Any, word: Callable[[int], Hashable]) -> Hashable:
    """Recorded arguments as something that is equal where they are, in this model and in any other.

    Args:
        item: arguments; what is no plain value among them is equal to nothing.
        word: what stands for a value.
    """
    if isinstance(item, Ref):
        return word(item.value)
    if isinstance(item, int | float):
        return type(item), repr(item)  # 1, 1.0 and True are equal, and so are zeros of both signs
    if isinstance(item, tuple | list):
        return type(item), *(exactly(part, word) for part in item)
    if isinstance(item, dict):
        return dict, *((key, exactly(part, word)) for key, part in item.items())
    return item if isinstance(item, _PLAIN) else object()
