"""What attention reads: which weights make its queries, keys and values, told from the recorded pass."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch

from initlab.graph import Operation, SignalGraph
from initlab.graph.once import once
from initlab.graph.rows import units_at
from initlab.planning.parameters.scene import Scene
from initlab.planning.signals.constants import factor_beside
from initlab.sampling import canonical_name

FARTHEST = 64  # operations between a projection and the attention that reads it


@once
def attended(scene: Scene) -> dict[str, frozenset[str]]:
    """Weight -> which of "query", "key", "value" it makes; nothing without a recording."""
    found: dict[str, set[str]] = {}
    for name, operand, _ in _operands(scene):
        found.setdefault(name, set()).add(operand)
    return {name: frozenset(operands) for name, operands in found.items()}


def head_size(scene: Scene, name: str) -> int | None:
    """The size of the heads that a weight makes queries, keys or values of; None of any other weight."""
    return _head_sizes(scene).get(name)


@once
def _head_sizes(scene: Scene) -> dict[str, int]:
    return {name: size for name, _, size in _operands(scene)}


@dataclass(frozen=True)
class Attention:
    """One attention of the recording.

    Args:
        query, key, value: the weights that make its operands.
        out: the weights that first read what it gives, past rearrangements.
        heads: how many heads share the queries.
        key_heads: how many share the keys and values.
        packed: the three letters in the order of their rows, where one weight makes all, each in one block of rows
            with its heads one after another; () elsewhere.
    """

    query: tuple[str, ...]
    key: tuple[str, ...]
    value: tuple[str, ...]
    out: tuple[str, ...]
    heads: int
    key_heads: int
    packed: tuple[str, ...] = ()


def attentions(scene: Scene) -> list[Attention]:
    """Every attention, in order; none without a recording."""
    graph, found = scene.graph, []
    if graph is None:
        return []
    owner = _owners(scene)
    for operation in graph.operations:
        read: dict[str, int] = dict(_read(graph, operation))
        if {"query", "key", "value"} <= set(read):
            made = {letter: tuple(made_by(graph, value, owner)) for letter, value in read.items()}
            heads = [_heads(graph.values[read[letter]].shape) for letter in ("query", "key")]
            out = tuple(_reads(graph, operation, owner))
            order = _order(scene, made, read)
            found.append(Attention(made["query"], made["key"], made["value"], out, heads[0], heads[1], order))
        elif operation.kind == "multi_head_attention_forward":
            found.extend(_whole(scene, operation, owner))
    return found


def _order(scene: Scene, made: Mapping[str, tuple[str, ...]], read: Mapping[str, int]) -> tuple[str, ...]:
    """The letters by the rows that make them, where one weight makes them in equal blocks, head after head."""
    names = {name for each in made.values() for name in each}
    subject = next((s for s in scene.subjects() if names == {s.name} and s.uses), None)
    if scene.graph is None or subject is None or subject.geometry is None or subject.uses[0].output is None:
        return ()
    units = units_at(scene.graph, subject.uses[0].output, subject.geometry)
    rows, size = subject.shape[subject.geometry.out_axis], subject.shape[subject.geometry.out_axis] // len(read)
    starts = {letter: _start(units.get(value), size) for letter, value in read.items()}
    order = tuple(sorted(starts, key=lambda letter: starts[letter]))
    return order if [starts[letter] for letter in order] == list(range(0, rows, size)) else ()


def _start(units: torch.Tensor | None, size: int) -> int:
    """The first of so many rows in a value, where all heads' rows lie one after another; −1 elsewhere."""
    if units is None:
        return -1
    heads = units.unbind(-3) if units.dim() > 3 else (units,)
    rows = torch.cat([torch.unique(head) for head in heads])
    start = int(rows[0])
    return start if torch.equal(rows, torch.arange(start, start + size, dtype=rows.dtype)) else -1


def _whole(scene: Scene, operation: Operation, owner: Mapping[str, str]) -> Iterator[Attention]:
    """torch's own attention in one call, with its projections packed."""
    names = {name.rpartition(".")[2]: name for name in map(canonical_name, operation.parameters) if name in owner}
    subject = next((s for s in scene.subjects() if s.name == owner.get(names.get("in_proj_weight", ""))), None)
    heads = getattr(subject and subject.module, "num_heads", None)
    if subject is not None and isinstance(heads, int) and "weight" in names:
        one = (subject.name,)
        yield Attention(one, one, one, (owner[names["weight"]],), heads, heads, ("query", "key", "value"))


def _heads(shape: tuple[int, ...]) -> int:
    return shape[-3] if len(shape) > 3 else 1


def _reads(graph: SignalGraph, operation: Operation, owner: Mapping[str, str]) -> Iterator[str]:
    """The weights that first read what an attention gives."""
    mixed = operation.kind == "scaled_dot_product_attention"
    queue, seen = [(value, mixed) for value in operation.outputs], set(operation.outputs)
    while queue and len(seen) < FARTHEST:
        value, done = queue.pop()
        for reader in graph.consumers(value):
            names = [owner[canonical_name(name)] for name in reader.parameters if canonical_name(name) in owner]
            yield from names
            mixes = not done and reader.traits.combines == "contraction"
            if not names and (mixes or reader.traits.rearranges):
                queue.extend((item, done or mixes) for item in reader.outputs if item not in seen)
                seen.update(reader.outputs)


def _owners(scene: Scene) -> dict[str, str]:
    """Every name of every weight -> the weight's own."""
    return {name: s.name for s in scene.subjects() for name in (s.name, *s.slot.ties) if s.role == "weight"}


@once
def _operands(scene: Scene) -> tuple[tuple[str, str, int], ...]:
    """(weight, "query", "key" or "value", head size) for every operand of every attention."""
    graph = scene.graph
    if graph is None:
        return ()
    owner = _owners(scene)
    return tuple(
        (name, operand, graph.values[value].shape[-1] if graph.values[value].shape else 0)
        for operation in graph.operations
        for operand, value in _read(graph, operation)
        for name in made_by(graph, value, owner)
    )


def _read(graph: SignalGraph, operation: Operation) -> Iterator[tuple[str, int]]:
    """The values that an operation takes as queries, keys and values: in one call, or around a softmax."""
    if operation.kind == "scaled_dot_product_attention":
        yield from zip(("query", "key", "value"), _signals(graph, operation), strict=False)
    elif operation.kind == "softmax":
        product, _ = product_before(graph, operation)
        if product is not None:
            yield from zip(("query", "key"), _signals(graph, product), strict=False)
            for value in operation.outputs:
                yield from (("value", other) for other in _mixed(graph, value))


def _signals(graph: SignalGraph, operation: Operation) -> list[int]:
    return [value for value in operation.inputs if graph.values[value].source == "operation"]


def product_before(graph: SignalGraph, softmax: Operation) -> tuple[Operation | None, float | None]:
    """The product of two signals whose scores, masked and shifted, a softmax reads, and the number that scales them.

    The number is None where more than numbers scales them.
    """
    stack: list[tuple[int, float | None]] = [(value, 1.0) for value in softmax.inputs[:1]]
    for _ in range(FARTHEST):
        if not stack:
            break
        value, constant = stack.pop()
        maker = graph.producer(value)
        if maker is None:
            continue
        signals, traits = _signals(graph, maker), maker.traits
        if traits.combines == "contraction":
            if len(signals) == 2 and not maker.parameters:
                return maker, constant
            continue
        if number := factor_beside(graph, maker):
            constant = None if constant is None else constant * number
        elif not (traits.passes or traits.drops or traits.combines in ("sum", "choice")):
            constant = None
        stack.extend((item, constant) for item in reversed(signals))
    return None, None


def _mixed(graph: SignalGraph, value: int) -> Iterator[int]:
    """What the shares of a softmax are multiplied with."""
    for reader in graph.consumers(value):
        if reader.traits.combines == "contraction":
            yield from (other for other in _signals(graph, reader) if other != value)
        elif reader.traits.rearranges:
            for made in reader.outputs:
                yield from _mixed(graph, made)


def made_by(graph: SignalGraph, value: int, owner: Mapping[str, str]) -> list[str]:
    """The weights that a value comes from, past rearrangements, norms and rotations."""
    found: dict[str, None] = {}
    stack, seen = [value], {value}
    while stack and len(seen) < FARTHEST:
        operation = graph.producer(stack.pop())
        if operation is None:
            continue
        names = [owner[canonical_name(name)] for name in operation.parameters if canonical_name(name) in owner]
        if names:
            found.update(dict.fromkeys(names))
            continue
        inputs = [item for item in operation.inputs if item not in seen]
        seen.update(inputs)
        stack.extend(inputs)
    return list(found)
