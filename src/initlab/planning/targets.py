"""What each weight's output should be like, from what reads it: heads, gates, branch ends, positions, and the rest."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from initlab.graph import Operation, SignalGraph, Use
from initlab.graph.recording import Ref
from initlab.graph.residual import grew_from, passed
from initlab.planning.composed import composed_of
from initlab.planning.constants import factor_beside
from initlab.planning.normed import normed
from initlab.planning.paired import sizes_of_pairs
from initlab.planning.plan import PlanEntry
from initlab.planning.scores import Queries, queries_of
from initlab.sampling import canonical_name

EXCESS = 0.025  # by which share of ln C the first loss may lie above that of a uniform guess
GATE = 0.1  # second moment before a sigmoid that multiplies a signal: the gate is half open everywhere
SCORE = 4e-4  # second moment of what a table adds to attention scores: they begin nearly free of it
NORMED = 0.6  # second moment that norms alone read: as small as draws that spread by a sixth may be above one half
POSITION = 0.25  # second moment of positions and types as a share of the tokens' that they are added to


@dataclass(frozen=True)
class Targets:
    """What a calibrating pass aims at.

    Args:
        heads: weights whose output is the model's, read by nothing else.
        gates: weights whose output opens a gate through a sigmoid.
        ends: weights that end residual branches.
        branches: how many branches they end: a weight that is used again ends another.
        tables: embeddings that are read by what the model is given.
        positions: tables and parameters that are added to the tokens.
        ties: tables that are also heads.
        shares: weights that mix what a softmax gives, which stays of its size.
        tables_of_scores: tables that are added to attention scores.
        inner: by weight, the constant that its output is multiplied by within the function that reads it; by table,
            the constant that its rows are multiplied by before anything else reads them.
        queries: weights that make queries -> what becomes of them.
        normed: weights whose outputs norms alone read, so that their size sets how fast they learn and nothing else.
        pairs: weights and tables whose outputs are multiplied into the model's -> the second moment to have.
        composed: factors by which composed weights are sized -> the other factors.
        excess: see `EXCESS`.
    """

    heads: frozenset[str]
    gates: frozenset[str]
    ends: frozenset[str]
    tables: frozenset[str]
    positions: frozenset[str]
    ties: frozenset[str]
    shares: frozenset[str] = frozenset()
    tables_of_scores: frozenset[str] = frozenset()
    inner: Mapping[str, float] = field(default_factory=dict)
    branches: int = 0
    queries: Mapping[str, Queries] = field(default_factory=dict)
    normed: frozenset[str] = frozenset()
    pairs: Mapping[str, float] = field(default_factory=dict)
    composed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    excess: float = EXCESS

    def excess_of(self, classes: int) -> float:
        """By what share of ln C the first loss is to lie above a uniform guess's, so that few draws exceed 5%.

        Where inputs are alike the excess of a draw is χ² with C − 1 degrees over C − 1: 1 + 3√(2/(C − 1)) at its most.
        """
        return min(self.excess, 0.05 / (1 + 3 * math.sqrt(2 / max(classes - 1, 1))))

    def of(self, name: str) -> float | None:
        """The second moment that a weight's output should have; None where nothing says."""
        if name in self.tables_of_scores:
            return SCORE
        if name in self.pairs:
            return self.pairs[name]
        if name in self.tables and name in self.inner and name not in self.positions | self.ties:
            return 1 / self.inner[name] ** 2
        if name in self.tables or name in self.positions or name in self.shares:
            return None
        if name in self.normed:
            return NORMED
        return GATE if name in self.gates else 1 / self.inner.get(name, 1.0) ** 2

    def sized(self, name: str) -> bool:
        """Whether an output is brought to its target however near it is: laws are derived for second moment one."""
        return name in self.normed or name in self.pairs

    def share(self, names: frozenset[str], others: frozenset[str]) -> float | None:
        """The second moment of a summand as a share of what it is added to; None where it is no branch."""
        if names and names <= self.positions and not (others and others <= self.positions):
            return POSITION
        if names and names <= self.ends:
            return 1 / max(self.branches, 1)
        return None


def owners(entries: Iterable[PlanEntry]) -> dict[str, str]:
    """Every canonical name, tied ones too -> the name of its entry."""
    return {name: entry.name for entry in entries for name in (entry.name, *entry.tied_to)}


def targets_of(graph: SignalGraph, entries: Mapping[str, PlanEntry], owner: Mapping[str, str]) -> Targets:
    """The targets of a recorded model's weights.

    Args:
        graph: the recording.
        entries: the plan's entries by name.
        owner: every canonical name, tied ones too -> the name of its entry.
    """
    uses: dict[str, list[Use]] = {}
    for name in graph.parameters:
        if canonical_name(name) in owner:
            uses.setdefault(owner[canonical_name(name)], []).extend(graph.uses(name))
    applied, looked = _by_role(uses, "weight"), _by_role(uses, "embedding")
    ended = {owner.get(canonical_name(name), "") for name in graph.residual_ends()}
    heads = frozenset(name for name, found in applied.items() if any(is_head(graph, use) for use in found))
    heads |= _voting(graph, applied)
    tables = frozenset(looked)
    scored = frozenset(name for name, found in looked.items() if _adds_to_scores(graph, found[0]))
    added = frozenset(
        name for name, found in uses.items()
        if entries[name].role == "other" and len(entries[name].shape) > 1
        and any(use.operation.kind == "add" for use in found)
    )  # fmt: skip
    mixers = {
        name for name, found in uses.items() if any(use.feeds and use.feeds.activation == "softmax" for use in found)
    }
    inner = {name: _inner(graph, found[0]) for name, found in applied.items()}
    inner |= {name: _multiplied(graph, found[0]) for name, found in looked.items()}
    inner |= {name: math.sqrt(fan) for name, found in applied.items() if (fan := _makes_weights(graph, found[0]))}
    ends = frozenset(name for name in ended & entries.keys() if entries[name].role == "weight") - heads
    free = frozenset(name for name, found in applied.items() if normed(graph, found))
    return Targets(
        heads=heads,
        gates=frozenset(name for name, found in applied.items() if _opens_gate(graph, found[0])) - heads,
        ends=ends,
        branches=sum(len(applied.get(name, (None,))) for name in ends),
        tables=tables,
        positions=((tables - _tokens(graph, looked, entries)) | added) - scored,
        ties=tables & heads,
        shares=frozenset(mixers) - tables,
        tables_of_scores=scored,
        inner={name: factor for name, factor in inner.items() if factor != 1.0},
        queries=queries_of(graph, owner),
        normed=free - heads - ends,
        pairs=sizes_of_pairs(graph, applied, EXCESS),
        composed=composed_of(graph, uses, owner),
    )


def _by_role(uses: Mapping[str, list[Use]], role: str) -> dict[str, list[Operation]]:
    """The operations that use each parameter in a role, of those that are used in it."""
    found = {name: [use.operation for use in all_uses if use.role == role] for name, all_uses in uses.items()}
    return {name: operations for name, operations in found.items() if operations}


def _tokens(
    graph: SignalGraph, looked: Mapping[str, list[Operation]], entries: Mapping[str, PlanEntry]
) -> frozenset[str]:
    """The tables that carry the data: read by an input as it is; of several that are added, the one of most rows.

    Where no input reads a table, all do but those of places: read by a constant, and added to what the data made.
    """
    direct = [name for name, uses in looked.items() if any(_by_input(graph, use) for use in uses)]
    if not direct:
        return frozenset(name for name, uses in looked.items() if not all(_of_places(graph, use) for use in uses))
    groups: dict[int, list[str]] = {}
    for name in direct:
        groups.setdefault(_first_sum(graph, looked[name][0]), []).append(name)
    most = {max(names, key=lambda name: entries[name].shape[0]) for key, names in groups.items() if key >= 0}
    return frozenset(most | set(groups.get(-1, [])))


def _of_places(graph: SignalGraph, use: Operation) -> bool:
    """Whether a table is read by a constant and its rows are first added to data in whose making they have no part."""
    if any(_of_the_data(graph, value) for value in use.inputs):
        return False
    value = use.outputs[0]
    while len(readers := graph.consumers(value)) == 1 and readers[0].traits.passes:
        value = readers[0].outputs[0]
    others = [item for reader in readers if reader.kind == "add" for item in reader.inputs if item != value]
    return any(_of_the_data(graph, item) and not grew_from(graph, item, {value}) for item in others)


def _by_input(graph: SignalGraph, use: Operation) -> bool:
    """Whether a table is read by an input's own numbers; Keras and jax bring them into range first."""
    stack, seen = list(use.inputs), set(use.inputs)
    while stack:
        value = stack.pop()
        if graph.values[value].source == "input":
            return True
        operation = graph.producer(value)
        # -1 is the last row, and no number lies beyond the table: where(i < 0, i + n, i), clamped.
        if operation is None or not _keeps_rows(operation):
            continue
        stack.extend(item for item in operation.inputs if item not in seen)
        seen.update(operation.inputs)
    return False


def _keeps_rows(operation: Operation) -> bool:
    """Whether numbers of rows stay such: moved, brought into range, or made whole."""
    traits, whole = operation.traits, operation.kind in ("long", "int")
    return traits.passes or traits.combines in ("choice", "sum") or whole


def _first_sum(graph: SignalGraph, use: Operation) -> int:
    """The last of the sums that follow one another right after a table is read; -1 where none does."""
    found, value = -1, use.outputs[0]
    while True:
        readers = [reader for reader in graph.consumers(value) if _goes_on(reader)]
        if not readers:
            return found
        reader = readers[0]
        if reader.kind == "add":
            found = reader.index
        value = reader.outputs[0]
        others = [v for v in reader.inputs if graph.values[v].source == "operation"]
        if reader.kind == "mul" and len(others) > 1:
            return found


def _goes_on(reader: Operation) -> bool:
    """Whether what reads a table's rows passes them on, adds to them or scales them."""
    return reader.traits.passes or reader.kind == "add" or reader.kind == "mul"


def _ahead(graph: SignalGraph, operation: Operation) -> Iterable[tuple[str, Operation | None]]:
    """What reads an operation's output first, past rearrangements and functions of one number."""
    queue, seen = deque(operation.outputs), set(operation.outputs)
    while queue:
        value = queue.popleft()
        if value in graph.outputs:
            yield "output", None
        for reader in graph.consumers(value):
            signals = _signals(graph, reader, value)
            shapes = {graph.values[v].shape for v in (*reader.outputs, value)}
            alone = len(signals) == 1 and not reader.parameters
            function = alone and len(shapes) == 1 and reader.kind != "softmax"
            affine = reader.traits.combines in ("sum", "product") and bool(reader.parameters) and len(signals) == 1
            if reader.traits.gate:
                yield "gate", reader
            elif (
                reader.traits.passes or function or affine or (alone and _over_places(graph, operation, reader, value))
            ):
                queue.extend(made for made in reader.outputs if made not in seen)
                seen.update(reader.outputs)
            else:
                yield reader.kind, reader


def _signals(graph: SignalGraph, reader: Operation, value: int) -> set[int]:
    """The signals that an operation reads: no parameters, no numbers of places, and of the factors of `value` none
    that the inputs alone make, as a mask or the weights of a graph's edges."""
    found = {
        v for v in reader.inputs
        if graph.values[v].source in ("operation", "input") and not _is_whole(graph, v)
    } - _parameters(graph, reader)  # fmt: skip
    if reader.traits.multiplies:
        found = {v for v in found if v == value or _hangs_on(graph, v, "parameter")}
    return found


def _is_whole(graph: SignalGraph, value: int) -> bool:
    kind = graph.values[value].dtype
    return not (kind.is_floating_point or kind.is_complex)


def _over_places(graph: SignalGraph, operation: Operation, reader: Operation, value: int) -> bool:
    """Whether places are pooled, summed or sent to others, as along a graph's edges, while the features that an
    operation made stay apart: their axis is as long after it as before."""
    traits, before, after = reader.traits, graph.values[value].shape, graph.values[reader.outputs[0]].shape
    axis = operation.traits.features
    by_rows = traits.combines == "contraction" and reader.inputs[-1] == value
    if not (traits.pools or traits.linear or traits.combines == "write" or by_rows) or not after or len(before) < 2:
        return False
    return before[axis] == (after[axis] if axis < len(after) else 0)


def _parameters(graph: SignalGraph, operation: Operation) -> set[int]:
    """The values that an operation reads of parameters, as they are or rearranged: a bias brought to (1, …, n)."""
    if not operation.parameters:
        return set()
    return {v for v in operation.inputs if graph.values[passed(graph, v)[-1]].source == "parameter"}


def _adds_to_scores(graph: SignalGraph, use: Operation) -> bool:
    """Whether a table's rows are added to what a softmax or a fused attention reads as scores."""
    for _, reader in _ahead(graph, use):
        if reader is None:
            continue
        if reader.traits.attends:
            return True
        if reader.kind == "add" and any(kind == "softmax" for kind, _ in _ahead(graph, reader)):
            return True
    return False


def _inner(graph: SignalGraph, use: Operation) -> float:
    """The constant in φ(c·y) where φ is a bounded or curved function of one number; 1 where there is none."""
    factor, value = 1.0, use.outputs[0]
    for _ in range(8):
        readers = graph.consumers(value)
        if len(readers) != 1 or len(readers[0].outputs) != 1:
            return 1.0
        reader = readers[0]
        if number := factor_beside(graph, reader):
            factor *= number
        elif reader.traits.curved:
            return factor
        elif not reader.traits.passes and not (reader.kind == "add" and reader.parameters):
            return 1.0
        value = reader.outputs[0]
    return 1.0


def _makes_weights(graph: SignalGraph, use: Operation) -> int:
    """The fan-in of the layer whose weight an operation's output is, as in hypernetworks; 0 where it is none."""
    value, straight = use.outputs[0], True
    while readers := graph.consumers(value):
        if straight and len(readers) == 1 and (fan := _matrix_each(graph, use, readers[0], value)):
            return fan
        given = [reader.argument(1, "weight") if reader.kind in ("linear", "conv") else None for reader in readers]
        if all(isinstance(weight, Ref) and weight.value == value for weight in given):
            return math.prod(graph.values[value].shape[1:])
        right = [reader.argument(1, "other") if reader.kind == "matmul" else None for reader in readers]
        if all(isinstance(w, Ref) and w.value == value for w in right) and not _of_the_data(graph, value):
            return graph.values[value].shape[-2]
        if len(readers) != 1 or not readers[0].traits.passes:
            break
        straight = straight and (readers[0].traits.regroups or readers[0].traits.keeps == "order")
        value = readers[0].outputs[0]
    return 0


def _matrix_each(graph: SignalGraph, use: Operation, reader: Operation, value: int) -> int:
    """The fan-in where each sample gets a matrix of its own, whose elements are the features that were made.

    Heads of attention take their rows from positions: of those a matrix has more than one feature axis holds.
    """
    made, shape = graph.values[use.outputs[0]].shape, graph.values[value].shape
    if len(shape) < 3 or shape[:-2] != made[:-1] or shape[-1] * shape[-2] != made[-1]:
        return 0
    operands = [arg.value if isinstance(arg, Ref) else None for arg in reader.args]
    if operands.count(value) != 1:
        return 0
    place = operands.index(value)
    if reader.kind in ("matmul", "bmm"):
        return shape[-1] if place == 0 else shape[-2]
    if reader.kind == "einsum" and isinstance(reader.args[0], str):
        terms, _, kept = reader.args[0].replace(" ", "").partition("->")
        letters = terms.split(",")[place - 1]
        if kept and len(letters) == len(shape):
            return math.prod(size for letter, size in zip(letters, shape, strict=True) if letter not in kept)
    return 0


def _of_the_data(graph: SignalGraph, value: int) -> bool:
    """Whether a value hangs on the model's inputs: keys do, which a matrix product also has on its right."""
    return _hangs_on(graph, value, "input")


def _hangs_on(graph: SignalGraph, value: int, source: str) -> bool:
    """Whether a value is made of what comes from there: "input" or "parameter"."""
    stack, seen = [value], {value}
    while stack:
        at = stack.pop()
        if graph.values[at].source == source:
            return True
        operation = graph.producer(at)
        made = [one for one in operation.inputs if one not in seen] if operation is not None else []
        stack.extend(made)
        seen.update(made)
    return False


def _multiplied(graph: SignalGraph, use: Operation) -> float:
    """The constant that an operation's output is multiplied by before anything else reads it."""
    factor, value = 1.0, use.outputs[0]
    while len(readers := graph.consumers(value)) == 1 and len(readers[0].outputs) == 1:
        reader = readers[0]
        if number := factor_beside(graph, reader):
            factor *= number
        elif not reader.traits.rearranges:
            break
        value = reader.outputs[0]
    return abs(factor)


def is_head(graph: SignalGraph, use: Operation) -> bool:
    """Whether a weight's output is the model's, and read by nothing else."""
    ahead = list(_ahead(graph, use))
    read = any(kind == "output" for kind, _ in ahead)
    return read and all(kind in ("output", "gate") or (by is not None and by.traits.logits) for kind, by in ahead)


def _voting(graph: SignalGraph, applied: Mapping[str, list[Operation]]) -> frozenset[str]:
    """Read-outs whose outputs are added or averaged: each is read by sums of such alone, the last by nothing."""
    added: dict[int, set[str]] = {}
    for name, uses in applied.items():
        addition = _only_sum(graph, uses[0])
        if len(uses) == 1 and addition is not None:
            added.setdefault(addition.index, set()).add(name)
    sums: dict[int, set[int]] = {}  # the last of sums that follow one another -> all of them
    for index in added:
        way = [index]
        while (after := _only_sum(graph, graph.operations[way[-1]])) is not None:
            way.append(after.index)
        sums.setdefault(way[-1], set()).update(way)
    found: set[str] = set()
    for last, all_of_them in sums.items():
        names = set().union(*(added.get(index, ()) for index in all_of_them))
        operands = [
            value for index in all_of_them for value in set(graph.operations[index].inputs)
            if graph.values[value].source == "operation"
        ]  # fmt: skip
        votes = len(operands) - (len(all_of_them) - 1)
        if len(names) == votes > 1 and [kind for kind, _ in _ahead(graph, graph.operations[last])] == ["output"]:
            found |= names
    return frozenset(found)


def _only_sum(graph: SignalGraph, operation: Operation) -> Operation | None:
    """The sum that alone reads what an operation makes; None where anything else does."""
    ahead = list(_ahead(graph, operation))
    return ahead[0][1] if len(ahead) == 1 and ahead[0][0] == "add" else None


def _opens_gate(graph: SignalGraph, use: Operation) -> bool:
    for kind, reader in _ahead(graph, use):
        if kind != "gate" or reader is None:
            return False
        value = reader.outputs[0]
        for after in graph.consumers(value):
            while after.traits.passes and graph.consumers(after.outputs[0]):
                value, after = after.outputs[0], graph.consumers(after.outputs[0])[0]
            others = [v for v in after.inputs if v != value and graph.values[v].source == "operation"]
            if after.kind != "mul" or not others or use.outputs[0] in others:
                return False
    return True
