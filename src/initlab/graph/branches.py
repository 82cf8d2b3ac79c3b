"""What lies on a branch: its parameters, the weights or norm that end it, whether a curved function is on it."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Flag, auto
from functools import cached_property

from initlab.graph.ancestry import between, grew_from
from initlab.graph.fixed import is_fixed_map
from initlab.graph.recording import Recording
from initlab.graph.traits import Traits
from initlab.graph.uses import Use

_ENDS = ("weight", "norm_weight")
_NEVER = (sys.maxsize, 0)

# A place on a way back: an operation, and whether one of several signals was met between it and where the way began.
Step = tuple[int, bool]
# Parameters with the place of their first use, and which of that operation's they are.
Named = dict[str, tuple[int, int]]


class _Holds(Flag):
    """Which ends there are on the ways back from a step."""

    NONE = 0
    FREE = auto()
    FROZEN = auto()


@dataclass
class Branches:
    """The branches of one recording; what was found of one is kept for those that hold it, as steps of a scan do.

    Args:
        graph: the recording.
        uses: every parameter's uses, which say the roles.
    """

    graph: Recording
    uses: Mapping[str, tuple[Use, ...]]
    _named: dict[frozenset[int], dict[int, Named]] = field(default_factory=dict, init=False)
    _curved: dict[int, dict[int, bool]] = field(default_factory=dict, init=False)

    @cached_property
    def used(self) -> Mapping[int, Mapping[str, str]]:
        """Operation -> parameter -> its role there, as it is or made into another weight (normed, pruned, scaled)."""
        found: dict[int, dict[str, str]] = {}
        for name, of_name in self.uses.items():
            for use in of_name:
                found.setdefault(use.operation.index, {})[name] = use.role
        return found

    @cached_property
    def used_once(self) -> frozenset[str]:
        """The parameters that one operation alone uses."""
        return frozenset(n for n, found in self.uses.items() if len({use.operation.index for use in found}) == 1)

    @cached_property
    def weighed(self) -> Mapping[int, int]:
        """By value, the place of the last operation with a parameter that it was computed by; −1 where there is none.

        A branch without any is not walked along: a scan of n steps has n sums, each of them n steps long.
        """
        found = dict.fromkeys(self.graph.values, -1)
        for operation in self.graph.operations:
            own = operation.parameters or operation.index in self.used
            last = operation.index if own else max((found[value] for value in operation.inputs), default=-1)
            found.update(dict.fromkeys(operation.outputs, last))
        return found

    def within(self, value: int, others: set[int]) -> tuple[str, ...]:
        """The parameters of the operations on the ways from those that a value grew from to it, in order of first use.

        Args:
            value: where the branch ends.
            others: where it may begin.
        """
        roots = frozenset(other for other in others if not self._is_rearranged(other, others))
        named = self._named.setdefault(roots, {})
        for operation in between(self.graph, value, roots, named):
            made = [self.graph.values[item].producer for item in operation.inputs if item not in roots]
            known = [named[maker] for maker in dict.fromkeys(made) if maker is not None and maker in named]
            own = dict.fromkeys((*operation.parameters, *self.used.get(operation.index, ())))
            named[operation.index] = _earliest(known, {name: (operation.index, i) for i, name in enumerate(own)})
        maker = self.graph.values[value].producer
        found = {} if maker is None else named.get(maker, {})
        return tuple(sorted(found, key=found.__getitem__))

    def _is_rearranged(self, value: int, others: set[int]) -> bool:
        """Whether a value is another of them rearranged: no parameter is between."""
        operation = self.graph.producer(value)
        return operation is not None and operation.traits.rearranges and not others.isdisjoint(operation.inputs[:1])

    def curves(self, value: int, origin: int) -> bool:
        """Whether a function that is no straight line stands between a value and what it grew from."""
        curved = self._curved.setdefault(origin, {})
        for operation in between(self.graph, value, frozenset({origin}), curved):
            makers = map(self.graph.producer, operation.inputs)
            curved[operation.index] = (
                operation.traits.curved and grew_from(self.graph, operation.inputs[0], {origin})
            ) or any(curved.get(maker.index, False) for maker in makers if maker is not None)
        maker = self.graph.values[value].producer
        return maker is not None and curved.get(maker, False)

    def ends(self, branches: Iterable[tuple[int, int]]) -> tuple[str, ...]:
        """The first weights or norm on the ways back of each branch; past a product only along linear operations.

        A gate is no end. None where a branch holds no weight, as in x + x³ of GELU's tanh form. A weight that is frozen
        ends a branch only where no other comes before it: a fixed basis, as N-BEATS has, sets no size.

        Args:
            branches: (value, the operation after which the branch begins that ends with it).
        """
        names, known = dict[str, None](), dict[int, dict[Step, _Holds]]()
        for value, floor in branches:
            names.update(dict.fromkeys(self._last(value, floor, known.setdefault(floor, {}))))
        return tuple(names)

    def _last(self, value: int, floor: int, known: dict[Step, _Holds]) -> list[str]:
        """The ends of one branch, but for those that were named with what is known of others that begin there."""
        steps = self._back(value, floor, known)
        for step in sorted(steps):
            known[step] = self._held(step)
            for before in steps[step]:
                known[step] |= known[before]
        maker = self.graph.values[value].producer
        held = _Holds.NONE if maker is None else known.get((maker, False), _Holds.NONE)
        free = _Holds.FREE in held
        asked = steps if free or not held else self._back(value, floor, {})
        return [name for place, _ in asked for name in self._ends_at(place) if self._is_frozen(place) is not free]

    def _back(self, value: int, floor: int, known: Mapping[Step, _Holds]) -> dict[Step, list[Step]]:
        """The steps back that are not known, nearest first, each with those right behind it."""
        maker = self.graph.values[value].producer
        stack = [] if maker is None or maker <= floor else [(maker, False)]
        found: dict[Step, list[Step]] = {}
        while stack:
            step = stack.pop()
            if step in known or step in found:
                continue
            found[step] = [before for before in self._behind(step) if before[0] > floor]
            stack.extend(found[step])
        return found

    def _behind(self, step: Step) -> list[Step]:
        operation, several = self.graph.operations[step[0]], step[1]
        if self._ends_at(step[0]) and not self._is_frozen(step[0]):
            return []
        makers = [maker for item in operation.inputs if (maker := self.graph.values[item].producer) is not None]
        several = several or len(makers) > 1
        return [(maker, several) for maker in makers] if _linear(operation.traits) or not several else []

    def _held(self, step: Step) -> _Holds:
        if not self._ends_at(step[0]):
            return _Holds.NONE
        return _Holds.FROZEN if self._is_frozen(step[0]) else _Holds.FREE

    def _ends_at(self, place: int) -> list[str]:
        return [name for name, role in self.used.get(place, {}).items() if role in _ENDS]

    def _is_frozen(self, place: int) -> bool:
        operation = self.graph.operations[place]
        return any(is_fixed_map(self.graph, operation, source) for source in operation.inputs)


def _earliest(known: list[Named], own: Named) -> Named:
    """Names with the place of their first use; one mapping for all steps that add none."""
    found = known[0] if known else {}
    for other in (*known[1:], own):
        if other is not found and any(place < found.get(name, _NEVER) for name, place in other.items()):
            found = {**found, **{name: min(place, found.get(name, _NEVER)) for name, place in other.items()}}
    return found


def _linear(traits: Traits) -> bool:
    return traits.keeps != "none" or traits.linear or traits.gathers or traits.combines == "product"
