"""A choice: what a policy decides for one parameter, and the numbers that the user may set."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from initlab.errors import InputError, finite_number
from initlab.planning.parameters.scene import Subject
from initlab.planning.reason import Reason
from initlab.schemes import Scheme


@dataclass(frozen=True)
class Options:
    """The numbers that a policy lets the user set.

    Args:
        forget_bias: the total bias of an LSTM's forget gate at the start (b_ih gets it, b_hh gets zero), and of one
            that the model writes out by hand.
        embedding_std: the std of embeddings that are not tied to an output layer.
        position_std: the std of learned positions, class tokens and the like; a pass brings positions to a share
            of what they are added to.
        numbers: the numbers of the policy's own laws.
    """

    forget_bias: float = 1.0
    embedding_std: float = 1.0
    position_std: float = 0.02
    numbers: Mapping[str, float] = field(default_factory=dict)

    def __getitem__(self, name: str) -> float:
        """One of the policy's own numbers."""
        return self.numbers[name]

    @property
    def names(self) -> tuple[str, ...]:
        """All that can be set."""
        return (*(name for name in self.__dataclass_fields__ if name != "numbers"), *self.numbers)

    def with_(self, **changes: Any) -> Options:
        """The options with some changed; an unknown name or a bad number is an `InputError`."""
        for name, value in changes.items():
            if name not in self.names:
                raise InputError(f"unknown policy option {name!r}; known: {', '.join(self.names)}")
            finite_number(name, value, low=None if name == "forget_bias" else 0)
        given = {name: float(value) for name, value in changes.items()}
        own = {name: given.pop(name) for name in list(given) if name in self.numbers}
        return replace(self, numbers={**self.numbers, **own}, **given)


@dataclass(frozen=True)
class Choice:
    """What is decided for one parameter; `scheme` is None when it is kept or refused."""

    scheme: Scheme | None
    reason: Reason
    gain: float | None = None
    action: Literal["write", "keep", "refuse"] = "write"


Chooser = Callable[[Subject, Options], Choice]


def keep(code: str, words: str) -> Choice:
    """The parameter stays as it is."""
    return Choice(None, Reason(code, words), action="keep")
