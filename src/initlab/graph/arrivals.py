"""A signal as what arrives at a weight, for people and planners."""

from __future__ import annotations

from dataclasses import replace

from initlab.graph import expressions
from initlab.graph.flow import Flow
from initlab.graph.kept import KEPT
from initlab.graph.regions import settled
from initlab.graph.signals import Signal
from initlab.graph.uses import Feed


def feed_of(flow: Flow, signal: Signal | None) -> Feed:
    """What a weight reads.

    Args:
        flow: the walk so far.
        signal: the signal at its input; None where none was recorded.
    """
    if signal is None:
        return Feed("unknown", None, None, "", "unknown", "it is made of parameters alone, or was not recorded")
    if signal.whole is not None:
        return replace(feed_of(flow, signal.whole), second_moment=signal.second, note=signal.note, masked=signal.masked)
    signal = settled(flow, signal)
    if not signal.ops or expressions.affine([flow.graph.operations[i] for i in signal.ops]):
        feed = Feed(signal.label, None, signal.second, signal.where, signal.source, signal.note)
    else:
        function = expressions.ScalarFunction(flow, signal)
        name = _name(flow, signal, function)
        feed = Feed(name, function, signal.second, signal.where, signal.source, signal.note)
    return replace(feed, common=signal.common)


def _name(flow: Flow, signal: Signal, function: expressions.ScalarFunction) -> str:
    operations = [flow.graph.operations[i] for i in signal.ops]
    if len(operations) == 1 and not operations[0].traits.by_value:
        return operations[0].kind
    key = ("name", *(repr((op.name, op.attributes)) for op in operations))
    if key not in flow.cache:
        known = KEPT.of(("name", function.key), lambda: expressions.known_name(function))
        flow.cache[key] = known or function.__name__
    return str(flow.cache[key])
