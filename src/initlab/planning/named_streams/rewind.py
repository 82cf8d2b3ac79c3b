"""torch's generator put back where a draw that moved it turned out to be the model's own."""

from __future__ import annotations

import contextlib
import weakref
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

import torch

from initlab.planning.named_streams.tape import Node
from initlab.rng import accelerators

_MOST = 512  # draws that can be taken back


@dataclass(eq=False)
class Taken:
    """One draw from a generator, torch's own where none is given: its state before and after, and whether the model's
    own stream replaced it."""

    device: torch.device
    generator: torch.Generator | None = None
    before: torch.Tensor | None = None
    after: torch.Tensor | None = None
    landed: bool = False


@dataclass
class Rewinder:
    """The draws that torch's generators gave, in order.

    A draw that lands in the model was never needed from them: the generator goes back to where it stood, unless
    something that is not the model's was drawn since, whose values then stay what they would have been.
    """

    taken: deque[Taken] = field(default_factory=lambda: deque(maxlen=_MOST))
    _of: weakref.WeakKeyDictionary[Node, Taken] = field(default_factory=weakref.WeakKeyDictionary)

    @contextlib.contextmanager
    def watching(self, device: torch.device, generator: torch.Generator | None = None) -> Iterator[Taken]:
        taken = Taken(device, generator, _state(device, generator))
        yield taken
        taken.after = _state(device, generator)

    def took(self, taken: Taken, node: Node) -> None:
        last = self.taken[-1] if self.taken else None
        if last is not None and last.generator is taken.generator and _equal(last.after, taken.before):
            taken.before = last.after  # one state, held once
        if len(self.taken) == _MOST:
            self.taken[0].before = self.taken[0].after = None  # it cannot be taken back any more
        self.taken.append(taken)
        self._of[node] = taken

    def landed(self, node: Node) -> int:
        """Everything behind a node is the model's; how many draws that newly is."""
        count, stack, seen = 0, [node], set[int]()
        while stack:
            one = stack.pop()
            if one.order in seen:
                continue
            seen.add(one.order)
            found = self._of.get(one)
            if found is not None and not found.landed:
                found.landed = True
                count += 1
            stack.extend(one.parents())
        self._rewind()
        return count

    def _rewind(self) -> None:
        while self.taken and self.taken[-1].landed:
            last = self.taken.pop()
            if last.before is None or not _equal(_state(last.device, last.generator), last.after):
                return
            _set_state(last, last.before)


def _equal(one: torch.Tensor | None, other: torch.Tensor | None) -> bool:
    return one is not None and other is not None and torch.equal(one, other)


def _state(device: torch.device, generator: torch.Generator | None) -> torch.Tensor | None:
    if generator is not None:
        return generator.get_state()
    if device.type == "cpu":
        return torch.get_rng_state()
    if device.type in accelerators():
        state: torch.Tensor = torch.get_device_module(device).get_rng_state(device)
        return state
    return None


def _set_state(taken: Taken, state: torch.Tensor) -> None:
    if taken.generator is not None:
        taken.generator.set_state(state)
    elif taken.device.type == "cpu":
        torch.set_rng_state(state)
    else:
        torch.get_device_module(taken.device).set_rng_state(state, taken.device)
