"""The tape: how a tensor was made from random draws, so that it can be made again from a parameter's own stream."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.utils._pytree import tree_map_only

from initlab.planning.named_streams.draws import Draw
from initlab.planning.named_streams.homes import Entry

DEEPEST = 2000  # operations after a draw beyond which what follows is no start any more
_ORDER = itertools.count()


@dataclass(frozen=True)
class Form:
    """A tensor's size, strides, place in its memory and type."""

    size: tuple[int, ...]
    stride: tuple[int, ...]
    offset: int
    dtype: torch.dtype

    @classmethod
    def of(cls, tensor: torch.Tensor) -> Form:
        return cls(tuple(tensor.shape), tensor.stride(), int(tensor.storage_offset()), tensor.dtype)

    def seen_in(self, base: torch.Tensor) -> torch.Tensor:
        same = base if base.dtype == self.dtype else base.view(self.dtype)
        return same.as_strided(self.size, self.stride, self.offset)


@dataclass(eq=False)
class Node:
    """The content of one piece of memory after one operation.

    Args:
        draw: the random draw that gave it; None for a computation.
        func: the computation; it is called again with its arguments made again.
        args, kwargs: its arguments, with a `Ref` for each tensor that is made again.
        base: the content before, of memory that was written in place.
        place: which of the function's results this is; None for one that was written in place.
        form: what was drawn into, or made.
        device: of memory that a draw fills.
        owners: whose streams its draws came from; None stands for torch's own generator.
        order: when it happened.
        depth: operations since the first draw.
    """

    form: Form
    draw: Draw | None = None
    func: Callable[..., Any] | None = None
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)
    base: Node | torch.Tensor | None = None
    place: int | None = None
    device: torch.device | None = None
    owners: frozenset[Entry | None] = frozenset()
    order: int = field(default_factory=lambda: next(_ORDER))
    depth: int = 0

    def parents(self) -> Iterator[Node]:
        if isinstance(self.base, Node):
            yield self.base
        for ref in refs_in((self.args, self.kwargs)):
            yield ref.node

    def is_foreign_to(self, entry: Entry) -> bool:
        """Whether any draw behind it came from elsewhere than this parameter's stream."""
        return bool(self.owners - {entry})


@dataclass(frozen=True, eq=False)
class Ref:
    """A tensor of the tape: the content of its memory at that time, and its form in it."""

    node: Node
    form: Form


def refs_in(nest: Any) -> list[Ref]:
    found: list[Ref] = []
    tree_map_only(Ref, found.append, nest)
    return found


def owners_of(parents: list[Node]) -> frozenset[Entry | None]:
    return frozenset[Entry | None]().union(*(parent.owners for parent in parents))


def made_again(ref: Ref, fill: Callable[[Draw, torch.Tensor], None]) -> torch.Tensor:
    """The tensor anew, each draw behind it filled by `fill`, in the order in which they were made."""
    contents: dict[int, torch.Tensor] = {}
    for node in _in_order(ref.node):
        contents[id(node)] = _content(node, contents, fill)
    return ref.form.seen_in(contents[id(ref.node)])


def _in_order(node: Node) -> list[Node]:
    found: dict[int, Node] = {}
    stack = [node]
    while stack:
        one = stack.pop()
        if id(one) not in found:
            found[id(one)] = one
            stack.extend(one.parents())
    return sorted(found.values(), key=lambda one: one.order)


def _content(node: Node, contents: dict[int, torch.Tensor], fill: Callable[[Draw, torch.Tensor], None]) -> torch.Tensor:
    base: torch.Tensor | None = None
    if node.base is not None:
        base = (contents[id(node.base)] if isinstance(node.base, Node) else node.base).clone()
    if node.draw is not None:
        if base is None:
            base = torch.empty_strided(node.form.size, node.form.stride, dtype=node.form.dtype, device=node.device)
        fill(node.draw, node.form.seen_in(base))
        return base
    assert node.func is not None

    def again(ref: Ref) -> torch.Tensor:
        if base is not None and ref.node is node.base:
            return ref.form.seen_in(base)
        return ref.form.seen_in(contents[id(ref.node)])

    args, kwargs = tree_map_only(Ref, again, (node.args, node.kwargs))
    made = node.func(*args, **kwargs)
    if base is not None:
        return base
    return made if isinstance(made, torch.Tensor) else made[node.place]
