"""Waves and windows of the data: how fast or narrow they are is their author's choice, and no rule of size undoes it.

In sin(ω·(W x + b)) with x in [−1, 1] and W ~ U(±1/fan_in), the sines go through up to ω radians from the middle of the
data to its edge. A factor that brought ω·W x to second moment one would leave a network of sines no fast ones.

Source: Sitzmann et al., Implicit neural representations with periodic activation functions, 2020, section 3.2;
Tancik et al., Fourier features let networks learn high frequency functions in low dimensional domains, 2020, section 6.
"""

from __future__ import annotations

import math

from initlab.graph import Operation, SignalGraph
from initlab.planning.choice import Choice, keep
from initlab.planning.memory.shards import readable
from initlab.planning.parameters.scene import Subject
from initlab.planning.reason import Reason
from initlab.planning.signals.constants import factor_beside, wave_or_window
from initlab.schemes import get_scheme

FAST = 2.0  # √(fan_in · E[W²]) from which an own start is faster than any usual law


def of_sines(subject: Subject) -> Choice | None:
    """What a weight gets that reads the data, and whose output sines and windows alone read; None for every other."""
    graph = subject.scene.graph
    uses = [use for use in subject.uses if use.role == "weight"]
    if graph is None or subject.geometry is None or not uses:
        return None
    if any(use.feeds is None or use.feeds.source != "data" or use.feeds.function is not None for use in uses):
        return None
    turns = [turns_of(graph, use.operation) for use in uses]
    if 0.0 in turns:
        return None
    tensor, fan = subject.slot.tensor, subject.geometry.fan_in
    if readable(tensor) and math.sqrt(fan * float(tensor.detach().float().square().mean())) > FAST:
        return keep("frequencies", "kept as its author made it: the frequencies of sines of the data")
    if max(turns) <= 1.0:
        return None
    words = f"waves or windows of {max(turns):.4g} times what it makes of the data: U(±1/fan_in), as fast as they are"
    return Choice(get_scheme("uniform", low=-1 / fan, high=1 / fan), Reason("frequencies", words))


def turns_of(graph: SignalGraph, use: Operation) -> float:
    """The largest constant that an output is multiplied by before waves and windows, which alone read it; else 0."""
    stack, found = [(value, 1.0) for value in use.outputs], 0.0
    while stack:
        value, factor = stack.pop()
        if graph.leaves(value):
            return 0.0
        for reader in graph.consumers(value):
            if written := wave_or_window(graph, reader):
                found = max(found, factor * written)
            elif number := factor_beside(graph, reader):
                stack.extend((made, factor * abs(number)) for made in reader.outputs)
            elif reader.traits.passes or reader.traits.keeps == "pieces" or _is_biased(graph, reader, value):
                stack.extend((made, factor) for made in reader.outputs)
            elif reader.traits.periodic:
                found = max(found, factor)
            else:
                return 0.0
    return found


def _is_biased(graph: SignalGraph, reader: Operation, value: int) -> bool:
    """Whether a bias alone is added."""
    signals = list(graph.signals(reader))
    return reader.traits.combines == "sum" and signals == [value] and bool(reader.parameters)
