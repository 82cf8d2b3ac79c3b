"""Which branches are added to one stream, or to streams of which one reads the other.

The towers of a dual encoder meet in a score alone: a tower's branches are as many as it holds, whatever the other has.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from initlab.graph import Operation, SignalGraph


def meeting(graph: SignalGraph, ends: Mapping[str, Iterable[Operation]]) -> list[frozenset[str]]:
    """What ends branches, in groups: together are those of which one reads what the other made, or which are added up.

    Args:
        graph: the recording.
        ends: the weights and scales that end branches -> their uses.
    """
    of = {use.index: name for name, uses in ends.items() for use in uses}
    groups = {name: {name} for name in ends}
    behind: dict[int, frozenset[str]] = {}  # of each value the ends that it was made by, one for each group
    for operation in graph.operations:
        found = [behind[value] for value in operation.inputs if behind.get(value)]
        every = frozenset[str]().union(*found)
        if end := of.get(operation.index):
            every = _joined({end, *every}, groups)
        elif operation.traits.combines == "sum" and len(found) > 1:
            every = _joined(every, groups)
        behind.update(dict.fromkeys(operation.outputs, every))
    return list({id(group): frozenset(group) for group in groups.values()}.values())


def _joined(names: Collection[str], groups: dict[str, set[str]]) -> frozenset[str]:
    """Makes one group of those that some ends are in; one end, by which it goes on."""
    whole = set[str]().union(*(groups[name] for name in names))
    groups.update(dict.fromkeys(whole, whole))
    return frozenset({min(whole)})
