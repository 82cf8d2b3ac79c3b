"""Read-outs whose outputs are added up: sums of votes, which the model gives to its caller."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from initlab.graph import Operation, SignalGraph
from initlab.graph.ancestry import grew_from, passed
from initlab.planning.signals.readers import ahead, gives_shares


def voting(graph: SignalGraph, applied: Mapping[str, list[Operation]]) -> frozenset[str]:
    """Read-outs whose outputs are added or averaged: each is read by sums of such alone, the last by nothing.

    Scores that are made otherwise may be among them (wide and deep, factorisation machines beside a network), but
    nothing that a read-out itself grew from: such a sum is a stream and its branch.
    """
    added: dict[int, set[str]] = {}
    for name, uses in applied.items():
        addition = _only_sum(graph, uses[0])
        if len(uses) == 1 and addition is not None:
            added.setdefault(addition.index, set()).add(name)
    sums: dict[int, set[int]] = {}  # the last of sums that follow one another -> all of them
    lasts: dict[int, int] = {}
    for index in added:
        way = [index]
        while way[-1] not in lasts and (after := _only_sum(graph, graph.operations[way[-1]])) is not None:
            way.append(after.index)
        last = lasts.get(way[-1], way[-1])
        lasts.update(dict.fromkeys(way, last))
        sums.setdefault(last, set()).update(way)
    found: set[str] = set()
    for last, all_of_them in sums.items():
        names = set().union(*(added.get(index, ()) for index in all_of_them))
        operands = [
            value for index in all_of_them for value in set(graph.operations[index].inputs)
            if graph.values[value].source == "operation"
        ]  # fmt: skip
        votes = len(operands) - (len(all_of_them) - 1)
        if (
            _ends(graph, graph.operations[last])
            and votes > 1
            and (len(names) == votes or not _streams(graph, names, applied, operands))
        ):
            found |= names
    return frozenset(found)


def _ends(graph: SignalGraph, addition: Operation) -> bool:
    """Whether a sum, or what a sigmoid or softmax makes of it, goes to the caller, and nothing else reads it."""
    found = list(ahead(graph, addition))
    if len(found) != 1:
        return False
    kind, by = found[0]
    given = by is not None and (by.outputs[0] in graph.outputs if kind == "gate" else gives_shares(graph, by))
    return kind == "output" or given or (by is not None and by.traits.logits and not by.traits.mixes)


def _streams(
    graph: SignalGraph, names: Iterable[str], applied: Mapping[str, list[Operation]], operands: Iterable[int]
) -> bool:
    """Whether what one of some weights reads grew from what is added to its output."""
    made = {value for name in names for value in applied[name][0].outputs}
    others = {value for value in operands if not made & set(passed(graph, value))}
    read = [v for name in names for v in applied[name][0].inputs if graph.values[v].source == "operation"]
    return bool(others) and any(value in others or grew_from(graph, value, others) for value in read)


def _only_sum(graph: SignalGraph, operation: Operation) -> Operation | None:
    """The sum that alone reads what an operation makes; None where anything else does."""
    found = list(ahead(graph, operation))
    return found[0][1] if len(found) == 1 and found[0][0] == "add" else None
