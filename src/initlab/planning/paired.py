"""What is multiplied with another signal into the model's output: factors of matrices, two towers, branch and trunk.

A sum of p products of two signals of second moment one has second moment p: such an output begins far from the data.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from initlab.graph import Operation, SignalGraph


def sizes_of_pairs(graph: SignalGraph, uses: Mapping[str, list[Operation]], excess: float) -> dict[str, float]:
    """By name, the second moment with which the model's output has one, or logits lie within their first loss.

    Two weights or tables whose outputs meet share it evenly; one that meets anything else has all of it.

    Args:
        graph: the recording.
        uses: by weight or table, the operations that it enters.
        excess: by which share of ln C the first loss of C logits may lie above that of a uniform guess.
    """
    met: dict[int, list[str]] = {}
    for name, found in uses.items():
        if len(found) == 1 and (product := _product(graph, found[0])) is not None:
            met.setdefault(product.index, []).append(name)
    sizes: dict[str, float] = {}
    for index, names in met.items():
        product = graph.operations[index]
        summed, classes = _summed(graph, product), _to_output(graph, product)
        if summed and classes and len(names) <= 2:
            second = 2 * excess * math.log(classes) if classes > 1 else 8 * excess * math.log(2)  # softplus(z): z² / 8
            sizes |= dict.fromkeys(names, (second / summed) ** (1 / len(names)))
    return sizes


def _product(graph: SignalGraph, use: Operation) -> Operation | None:
    """The product of an operation's output, rearranged or shifted at most, with another signal."""
    value = use.outputs[0]
    while len(readers := graph.consumers(value)) == 1:
        reader = readers[0]
        signals = [item for item in reader.inputs if graph.values[item].source == "operation"]
        if len(set(signals)) == 2 and not reader.parameters and reader.traits.combines in ("product", "contraction"):
            return reader
        alone = len(signals) == 1 and (not reader.parameters or reader.traits.combines == "sum")
        if not alone or not (reader.traits.passes or reader.traits.combines == "sum"):
            break
        value = reader.outputs[0]
    return None


def _summed(graph: SignalGraph, reader: Operation) -> int:
    """How many products are summed into each number: those of an element-wise product by the sum that follows."""
    made = graph.values[reader.outputs[0]].shape
    shapes = [graph.values[value].shape for value in dict.fromkeys(reader.inputs)][:2]
    if reader.traits.combines == "contraction":
        if reader.kind == "einsum":
            terms, _, kept = str(reader.args[0]).replace(" ", "").partition("->")
            sizes = {letter: size for term, shape in zip(terms.split(","), shapes, strict=False)
                     for letter, size in zip(term, shape, strict=False)}  # fmt: skip
            return math.prod(size for letter, size in sizes.items() if letter not in kept)
        return shapes[0][-1] if shapes[0] else 0
    after = graph.consumers(reader.outputs[0])
    if shapes[0] != shapes[1] or len(after) != 1 or after[0].kind != "sum" or not after[0].outputs:
        return 0
    return math.prod(made) // max(1, math.prod(graph.values[after[0].outputs[0]].shape))


def _to_output(graph: SignalGraph, reader: Operation) -> int:
    """The last axis of the output that an operation's goes into by sums alone; 0 where anything else reads it."""
    stack, seen, size = list(reader.outputs), set(reader.outputs), 0
    while stack:
        value = stack.pop()
        shape, readers = graph.values[value].shape, graph.consumers(value)
        if value in graph.outputs:
            size = max(size, shape[-1] if len(shape) > 1 else 1)
        elif not readers:
            return 0
        for after in readers:
            if not (after.traits.passes or after.kind == "sum" or after.traits.combines == "sum" or after.traits.gate):
                return 0
            stack.extend(made for made in after.outputs if made not in seen)
            seen.update(after.outputs)
    return size
