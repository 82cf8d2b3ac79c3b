"""Which tables carry the data: the tokens', not those of positions or types that are added to them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from initlab.graph import Operation, SignalGraph, Use
from initlab.graph.ancestry import behind, grew_from, hangs_on
from initlab.planning.plan import PlanEntry
from initlab.planning.signals.norms import is_norm


def tokens_of(
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


def sizing_themselves(
    graph: SignalGraph, looked: Mapping[str, list[Operation]], applied: Mapping[str, list[Operation]]
) -> frozenset[str]:
    """Tables that are also heads and read what is as small as their rows: neither a norm nor a state is on the way."""
    return frozenset(name for name in looked.keys() & applied.keys() if _reaches(graph, applied[name], looked[name]))


def _reaches(graph: SignalGraph, heads: list[Operation], looked: list[Operation]) -> bool:
    def keeps_size(operation: Operation) -> bool:
        return not (is_norm(graph, operation) or operation.traits.recurrent)

    rows = {value for use in looked for value in use.outputs}
    read = (value for use in heads for value in use.inputs)
    return any(known.index in rows for known in behind(graph, *read, past=keeps_size))


def codebooks(graph: SignalGraph, looked: Mapping[str, list[Operation]]) -> frozenset[str]:
    """Tables whose rows are chosen by comparing them with a signal (van den Oord et al., 2017), which they stand for.

    Rows of the signal's own size are each near some of it; smaller ones are all as far, and few are ever chosen.
    """
    return frozenset(name for name, uses in looked.items() if _is_compared(graph, graph.value_of(name), uses))


def _is_compared(graph: SignalGraph, table: int | None, uses: Iterable[Operation]) -> bool:
    chosen = (value for use in uses for value in use.inputs if value != table)
    return any(known.index == table for value in chosen for known in behind(graph, value))


def _of_places(graph: SignalGraph, use: Operation) -> bool:
    """Whether a table is read by a constant and its rows are first added to data in whose making they have no part."""
    if any(hangs_on(graph, value, "input") for value in use.inputs):
        return False
    value = use.outputs[0]
    while len(readers := graph.consumers(value)) == 1 and readers[0].traits.passes:
        value = readers[0].outputs[0]
    others = [item for reader in readers if reader.kind == "add" for item in reader.inputs if item != value]
    return any(hangs_on(graph, item, "input") and not grew_from(graph, item, {value}) for item in others)


def holds_places(graph: SignalGraph, uses: Iterable[Use]) -> bool:
    """Whether a table is added as it is (table.weight[:n]) to data that has rows of its own there, and to nothing else.

    Queries and latents are no places: what they are added to is alike for all of them, or was made of them.
    """
    return all(use.role != "embedding" and _has_rows(graph, use.operation) for use in uses)


def _has_rows(graph: SignalGraph, operation: Operation) -> bool:
    """Whether a sum adds what no input has a part in to data of as many rows, in whose making that has no part."""
    data = [value for value in operation.inputs if hangs_on(graph, value, "input")]
    table = [value for value in operation.inputs if value not in data]
    if operation.kind != "add" or len(data) != 1 or len(table) != 1:
        return False
    rows = {graph.values[value].shape[-2:] for value in operation.inputs}
    return len(rows) == 1 and not grew_from(graph, data[0], set(table))


def _by_input(graph: SignalGraph, use: Operation) -> bool:
    """Whether a table is read by an input's own numbers; Keras and jax bring them into range first."""
    return any(known.source == "input" for known in behind(graph, *use.inputs, past=_keeps_rows))


def _keeps_rows(operation: Operation) -> bool:
    """Whether numbers of rows stay such: moved, brought into range, or made whole.

    -1 is the last row, and no number lies beyond the table: where(i < 0, i + n, i), clamped.
    """
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
