"""Weights that only norms read: what the model computes does not hang on their size, and how fast they learn does.

A norm undoes a factor c of such a weight, L(c·w) = L(w), so that the gradient is 1/c of what it was and a step of
gradient descent turns the weight by 1/c² of the angle, one of Adam by 1/c. So it is with what begins a stream that only
norms read, as before each branch of a pre-norm transformer and at its end: branches and positions are sized as shares
of the stream, so that they are c times as large too, and all of it is undone.

Source: van Laarhoven, L2 regularization versus batch and weight normalization, 2017, section 2; Arora, Li & Lyu,
Theoretical analysis of auto rate-tuning by batch normalization, 2019, lemma 2.4.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from initlab.graph import Operation, SignalGraph
from initlab.graph.ancestry import grew_from, passed
from initlab.graph.once import once
from initlab.planning.signals.norms import undoing

LOW = 0.5  # the second moment above which draws are to lie
SPREADS = 3.0  # by how many of their standard deviations
ROWS = 0.03  # second moment of rows that norms alone read, which no range of outputs counts
LEAST = 0.6  # and what is aimed at where they hardly spread: inputs do


def smallest(spread: float, least: float = LEAST, low: float = LOW) -> float:
    """The second moment to aim at: the smallest with which a draw is hardly ever below `low`, and one at most.

    Args:
        spread: the standard deviation of the moment over draws, as a share of it; few units spread more.
        least: what is aimed at where draws hardly spread.
        low: the second moment above which draws are to lie.
    """
    sure = 1 - SPREADS * spread
    return min(1.0, max(least, low / sure)) if sure > low else 1.0


def normed(graph: SignalGraph, uses: Iterable[Operation], shares: frozenset[int]) -> bool:
    """Whether norms, and nothing else, read what each of some operations makes.

    Args:
        graph: the recording.
        uses: the operations.
        shares: places of operations whose outputs are sized as shares of what they are added to.
    """
    return all(_reaches_norms(graph, use, shares) for use in uses)


@once
def sized_by_its_use(graph: SignalGraph, value: int | None) -> bool:
    """Whether nothing but norms of it reads a parameter, which is divided by its own size before it is used."""
    if value is None or graph.values[value].source != "parameter":
        return False
    readers, undone = graph.consumers(value), undoing(graph, value)
    return bool(readers) and all(
        reader.index in undone or (reader.traits.norm and reader.inputs[0] == value) for reader in readers
    )


def _reaches_norms(graph: SignalGraph, use: Operation, shares: frozenset[int]) -> bool:
    """Past all that grows as its input does; past a join too where the norm sizes each feature by itself."""
    stack, seen, met = [(use.outputs[0], False)], {use.outputs[0]}, False
    shared = partial(_takes_shares, shares=shares, first=use.outputs[0])
    while stack:
        value, joined = stack.pop()
        if graph.leaves(value):
            return False
        undone = set() if joined else undoing(graph, value)
        met = met or bool(undone)
        for reader in graph.consumers(value):
            traits = reader.traits
            joins = joined or traits.combines == "join"
            if traits.norm:
                if joined and not traits.by_feature:
                    return False
                met = True
            elif reader.index in undone:
                continue
            elif joins is not joined or _grows_alike(graph, reader) or shared(graph, reader, seen):
                stack.extend((made, joins) for made in reader.outputs if made not in seen)
                seen.update(reader.outputs)
            else:
                return False
    return met


def _grows_alike(graph: SignalGraph, reader: Operation) -> bool:
    """Whether an output grows as the one signal that is read: a bias, which begins at zero, may be added to it."""
    ends = {value: graph.values[passed(graph, value)[-1]] for value in reader.inputs}
    shapes = [end.shape for end in ends.values() if end.source == "parameter"]
    signals = [value for value, end in ends.items() if end.source in ("operation", "input")]
    if len(signals) != 1:
        return False
    if reader.traits.combines == "sum":
        return bool(shapes) and all(sum(side > 1 for side in shape) <= 1 for shape in shapes)
    scaled = reader.kind == "mul" or (reader.kind == "div" and reader.inputs[0] in signals)
    return not shapes and (scaled or reader.traits.proportional or reader.traits.drops)


def _takes_shares(graph: SignalGraph, reader: Operation, stream: set[int], shares: frozenset[int], first: int) -> bool:
    """Whether all that is added to a stream is a share of it: positions, and branches, which grew from it.

    Args:
        graph: the recording.
        reader: what reads the stream.
        stream: the values that it has had so far.
        shares: the operations whose outputs are sized as shares.
        first: the first of them, of which all others came.
    """
    if reader.traits.combines != "sum":
        return False
    added = [value for value in dict.fromkeys(reader.inputs) if value not in stream]
    return bool(added) and all(
        _is_share(graph, reader, value, shares) or grew_from(graph, value, {first}) for value in added
    )


def _is_share(graph: SignalGraph, reader: Operation, value: int, shares: frozenset[int]) -> bool:
    """Whether a value is a parameter that a sum takes a share of, or rows of a table that it does."""
    way = passed(graph, value, parts=True)
    makers = [graph.producer(item) for item in way]
    if makers[-1] is None and graph.values[way[-1]].source == "parameter":
        return reader.index in shares
    return any(maker is not None and maker.index in shares for maker in makers)
