"""What is known of live tensors during a pass: which parameter one is, or which weights it is in proportion to."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import torch

from initlab.graph.operations import Op
from initlab.guest.inputs import tensors_in
from initlab.guest.transformed import Outside, behind, is_transformed
from initlab.planning.calibration.terms import Terms
from initlab.planning.memory.zeros import all_zero


@dataclass(frozen=True)
class Mark:
    """What is known of one tensor.

    Args:
        tensor: itself.
        names: the weights that it is proportional to.
        of: the parameter that it is, as it is or rearranged; "" where it is none.
        terms: what it is the sum of, and how each grows with weights; () where that is not known.
        due: the scores that it is a function of, as a loss is.
        learned: whether weights made it, in whatever way.
        rounding: the weight that it is computed from alone and has the shape of; "" where there is none.
        factor: what the std of the one weight that it is proportional to was multiplied by when it was made.
    """

    tensor: weakref.ref[torch.Tensor]
    names: frozenset[str] = frozenset()
    of: str = ""
    terms: Terms = ()
    due: Terms = ()
    learned: bool = False
    rounding: str = ""
    factor: float = 1.0


Marked = list[tuple[torch.Tensor, Mark]]


class Marks:
    """The marks of all tensors that live.

    Args:
        factor: weight -> what its std has been multiplied by so far.
    """

    def __init__(self, factor: Callable[[str], float]) -> None:
        self._factor = factor
        self._marks: dict[int, Mark] = {}
        self._outside = Outside()

    def set(
        self,
        tensor: torch.Tensor,
        names: frozenset[str] = frozenset(),
        of: str = "",
        terms: Terms = (),
        due: Terms = (),
        learned: bool = False,
    ) -> None:
        learned = learned or bool(names or terms or due)
        factor = self._factor(*names) if len(names) == 1 else 1.0
        self._set(Mark(weakref.ref(tensor), names, of, terms, due, learned, factor=factor), tensor)

    def set_rounding(self, tensor: torch.Tensor, of: str) -> None:
        self._set(replace(self.get(tensor), rounding=of), tensor)

    def _set(self, mark: Mark, tensor: torch.Tensor) -> None:
        self._marks[id(tensor)] = mark
        self._outside.add(tensor, mark)

    def set_all(
        self,
        result: Any,
        names: frozenset[str] = frozenset(),
        of: str = "",
        terms: Terms = (),
        due: Terms = (),
        learned: bool = False,
    ) -> None:
        for tensor in tensors_in(result) if names or of or terms or due or learned else ():
            self.set(tensor, names, of, terms, due, learned)

    def get(self, tensor: torch.Tensor) -> Mark:
        found = self._marks.get(id(tensor))
        if found is not None and found.tensor() is tensor:
            return found
        elsewhere = self.get(behind(tensor)) if is_transformed(tensor) else self._outside.get(tensor)
        return Mark(weakref.ref(tensor)) if elsewhere is None else replace(elsewhere, tensor=weakref.ref(tensor))

    def outgrown(self, tensor: torch.Tensor) -> float:
        """What a tensor lacks where the std of the one weight that made it was corrected since; 1 where none was."""
        mark = self.get(tensor)
        if len(mark.names) != 1 or len(mark.terms) > 1 or any(term.score or term.multiplied for term in mark.terms):
            return 1.0
        return self._factor(*mark.names) / mark.factor

    def of(self, tensors: Iterable[torch.Tensor]) -> Marked:
        return [(tensor, self.get(tensor)) for tensor in tensors]


def carried(op: Op, signals: Marked) -> frozenset[str]:
    """The weights that an operation's output is proportional to.

    Args:
        op: the operation.
        signals: what it reads besides parameters.
    """
    named = [(tensor, mark.names) for tensor, mark in signals]
    if not any(names for _, names in named):
        return frozenset()
    if op.gathers:  # zeros add nothing
        named = [(tensor, names) for tensor, names in named if names or not all_zero(tensor)]
    return op.carries([names for _, names in named])
