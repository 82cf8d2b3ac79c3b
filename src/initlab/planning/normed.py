"""Weights that only norms read: what the model computes does not hang on their size, and how fast they learn does.

A norm undoes a factor c of such a weight, L(c·w) = L(w), so that the gradient is 1/c of what it was and a step of
gradient descent turns the weight by 1/c² of the angle, one of Adam by 1/c.

Source: van Laarhoven, L2 regularization versus batch and weight normalization, 2017, section 2; Arora, Li & Lyu,
Theoretical analysis of auto rate-tuning by batch normalization, 2019, lemma 2.4.
"""

from __future__ import annotations

from collections.abc import Iterable

from initlab.graph import Operation, SignalGraph
from initlab.graph.residual import passed


def normed(graph: SignalGraph, uses: Iterable[Operation]) -> bool:
    """Whether norms, and nothing else, read what each of some operations makes."""
    return all(_reaches_norms(graph, use) for use in uses)


def _reaches_norms(graph: SignalGraph, use: Operation) -> bool:
    """Past all that grows as its input does; past a join too where the norm sizes each feature by itself."""
    stack, seen = [(use.outputs[0], False)], {use.outputs[0]}
    while stack:
        value, joined = stack.pop()
        readers = graph.consumers(value)
        if value in graph.outputs or not readers:
            return False
        for reader in readers:
            traits = reader.traits
            joins = joined or traits.combines == "join"
            if traits.norm:
                if joined and not traits.by_feature:
                    return False
            elif joins is not joined or _grows_alike(graph, reader):
                stack.extend((made, joins) for made in reader.outputs if made not in seen)
                seen.update(reader.outputs)
            else:
                return False
    return True


def _grows_alike(graph: SignalGraph, reader: Operation) -> bool:
    """Whether an output grows as the one signal that is read: a bias, which begins at zero, may be added to it."""
    ends = {value: graph.values[passed(graph, value)[-1]] for value in reader.inputs}
    shapes = [end.shape for end in ends.values() if end.source == "parameter"]
    signals = [value for value, end in ends.items() if end.source in ("operation", "input")]
    if len(signals) != 1:
        return False
    if reader.traits.combines == "sum":
        return bool(shapes) and all(sum(side > 1 for side in shape) <= 1 for shape in shapes)
    return not shapes and (reader.traits.proportional or reader.traits.drops)
