"""`Op`: all that is known of a kind of operation, as one record; `Table`: the records by kind."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from initlab.errors import InputError
from initlab.graph.flow import Flow
from initlab.graph.recording import Operation, Value
from initlab.graph.regions import measured
from initlab.graph.signals import Signal
from initlab.graph.spelling import plain, spelled
from initlab.graph.traits import Traits
from initlab.graph.uses import Feed
from initlab.graph.views import Cut, Moves, ParameterView, View, computed, taken
from initlab.graph.weights import Reader

Signals = Callable[[Flow, Operation], "Signal | list[Signal]"]
Seen = Callable[[Flow, Operation], float]
Then = Callable[[Flow, Operation, Signal], Signal]
Part = Callable[[Flow, Operation, str, "Signal | None"], "tuple[str, Feed | None]"]


def factor_named(operation: Operation, name: str) -> float:
    """The number by which an operand is multiplied on the way, as by `alpha` of torch.add; 1 where none is given."""
    given = operation.kwargs.get(name, 1)
    return float(given) if isinstance(given, int | float) else 1.0


def unknown(flow: Flow, operation: Operation) -> Signal:
    """No rule: run it on noise if it reads one region, else say so. Masks and places are run only if something asks."""
    carried = flow.carried(operation)
    if len({signal.region for _, signal in carried}) == 1 and not operation.parameters:
        if not flow.value(operation.outputs[0]).is_real:
            return flow.later(operation, operation.kind, operation.kind, "no rule: measured on Gaussian noise")
        found = measured(flow, operation, carried[0][1], operation.kind, operation.kind)
        if found is not None:
            return replace(found, note="no rule: measured on Gaussian noise")
    return flow.fresh(operation, None, None, "unknown", operation.kind, f"no rule for {operation.kind!r}")


@dataclass(frozen=True)
class Op(Traits):
    """All that is known of some kinds of operations.

    Args:
        kinds: what they are called: the torch function's name without underscores.
        signal: what they make of a signal; by default what a measurement on noise shows.
        names: other spellings of the one kind.
        weights: how they use parameters: which is the weight, and the axes that it is summed over.
        layer: for a call that runs a whole layer: a parameter's role in it, and what arrives there.
        moves: for what rearranges: for each axis of the output, the axes of the input that it runs over.
        cut: for what takes parts: what is taken for each output, as an index.
        view: what they make of parameters alone, where `moves` and `cut` do not say.
        seen: the share of a weight's taps that meet the signal, where some meet padding.
        together: of those that meet it at one place, the share that do at another too.
        then: what else it does with what a weight makes.
    """

    kinds: tuple[str, ...]
    signal: Signals = unknown
    names: tuple[str, ...] = ()
    weights: Reader | None = None
    layer: Part | None = None
    moves: Moves | None = None
    cut: Cut | None = None
    view: View | None = None
    seen: Seen | None = None
    together: Seen | None = None
    then: Then | None = None

    def signals(self, flow: Flow, operation: Operation) -> list[Signal]:
        """The signals of an operation's outputs."""
        found = self.signal(flow, operation)
        return found if isinstance(found, list) else [found] * len(operation.outputs)

    def viewed(self, operation: Operation, views: list[ParameterView], outputs: list[Value]) -> list[ParameterView]:
        """What an operation on parameters alone makes of them."""
        made = None if self.view is None else self.view(operation, views, outputs)
        if made is not None:
            return made
        if self.cut is not None and len(views) == 1:
            found = self.cut(operation, views[0].shape, [output.shape for output in outputs])
            return taken(views[0], found, outputs)
        return [computed(operation, views, output, self.moves) for output in outputs]


class Table(Mapping[str, Op]):
    """Records by kind; a kind that none was given for is measured.

    Args:
        ops: the records.

    Raises:
        InputError: a kind or a spelling given twice, or spellings of more than one kind.
    """

    def __init__(self, ops: Iterable[Op]) -> None:
        self._ops: dict[str, Op] = {}
        self._kinds: dict[str, str] = {}
        self._met: dict[Any, str] = {}
        for op in ops:
            self._add(op)

    def _add(self, op: Op) -> None:
        if op.names and len(op.kinds) != 1:
            raise InputError(f"names {op.names} must be spellings of one kind; got the kinds {op.kinds}")
        for name in (*op.kinds, *op.names):
            if name in self._kinds:
                raise InputError(f"operation {name!r} is given twice: a kind or spelling has one record")
            self._kinds[name] = op.kinds[0] if name in op.names else name
        self._ops.update(dict.fromkeys(op.kinds, op))
        self._met.clear()

    def __getitem__(self, kind: str) -> Op:
        return self._ops.get(kind, _MEASURED)

    def __contains__(self, kind: object) -> bool:
        return kind in self._ops

    def __iter__(self) -> Iterator[str]:
        return iter(self._ops)

    def __len__(self) -> int:
        return len(self._ops)

    def kind_of(self, function: Callable[..., Any]) -> str:
        """An operation's one name: `+`, `add_` and `torch.add` are "add"; "" for what reads a property such as shape.

        Args:
            function: what a torch function mode is given.
        """
        try:
            kind = self._met.get(function)
        except TypeError:  # it cannot be hashed
            return self._spell(function)
        if kind is None:
            kind = self._met[function] = self._spell(function)
        return kind

    def _spell(self, function: Callable[..., Any]) -> str:
        name = spelled(function)
        if name.startswith("."):
            return name[1:] if name[1:] in self._ops else ""
        return self._kinds.get(name, name)

    def kind_named(self, name: str) -> str:
        """The operation's one name, by a torch function's name in any spelling.

        >>> from initlab.graph.operations import TABLE
        >>> TABLE.kind_named("special_expit"), TABLE.kind_named("relu_")
        ('sigmoid', 'relu')
        """
        name = plain(name)
        return self._kinds.get(name, name)

    def named(self, name: str) -> Op:
        """The record of a torch function by its name in any spelling."""
        return self[self.kind_named(name)]

    @contextlib.contextmanager
    def also(self, *ops: Op) -> Iterator[None]:
        """While it is entered, these records are in the table too."""
        before = dict(self._ops), dict(self._kinds)
        try:
            for op in ops:
                self._add(op)
            yield
        finally:
            self._ops, self._kinds = before
            self._met.clear()


_MEASURED = Op(())
