"""Biases of weights that read data of few features: what follows them bends where the data is, and not at zero alone.

Without biases every unit of φ(W x) has its kink or its steepest place at zero, and a network of them is homogeneous,
f(c·x) = c·f(x) for ReLU: of few features it sees the direction and hardly the length. The squared length of n features
spreads by √(2/n) of its mean: from n = 32 on that is less than one quarter. A norm of each sample that reads W x,
f(c·x) = f(x), sees nothing of the length. What both learn is in benchmarks/TRAINED.md (Sixty-nine models).

Source: Holzmüller & Steinwart, Training two-layer ReLU networks with gradient descent is inconsistent, 2022, section 1
(with zero biases, kinks that never leave the middle of the data).
"""

from __future__ import annotations

import math

from initlab.graph import Operation, SignalGraph
from initlab.graph.once import once
from initlab.planning.choice import Choice
from initlab.planning.defaults.frequencies import turns_of
from initlab.planning.parameters.scene import Scene, Subject
from initlab.planning.reason import Reason
from initlab.planning.signals.data_way import signals_of, way_of
from initlab.planning.sizes.normed import normed
from initlab.planning.sizes.plain import bends
from initlab.schemes import get_scheme

FEW = 32  # features: of these the squared length spreads by a quarter of its mean


def spread(subject: Subject) -> Choice | None:
    """What a bias gets beside a weight that reads data of few features, read by norms or a function of one number.

    Waves and windows of the data too: without phases sines are odd and windows even, as is a network of them.
    """
    graph = subject.scene.graph
    if graph is None or not subject.uses:
        return None
    read, way = [use.operation for use in subject.uses], way_of(graph)
    fans = [_features(subject.scene, graph, operation) for operation in read]
    if not all(0 < fan <= FEW for fan in fans):
        return None
    if not all(bends(graph, way, o) or turns_of(graph, o) > 0 or _loses_length(graph, o) for o in read):
        return None
    bound = 1 / math.sqrt(max(fans))
    words = f"reads data of {max(fans)} features: U(±1/√{max(fans)}), so that units bend where the data is"
    return Choice(get_scheme("uniform", low=-bound, high=bound), Reason("spread", f"bias: {words}"))


def _loses_length(graph: SignalGraph, operation: Operation) -> bool:
    """Whether norms of each sample, and nothing else, read an output; a norm of features takes a bias off."""
    by_feature = (reader.traits.by_feature for value in operation.outputs for reader in graph.consumers(value))
    return normed(graph, [operation], frozenset()) and not any(by_feature)


def _features(scene: Scene, graph: SignalGraph, operation: Operation | None) -> int:
    """How many numbers of the data a unit reads, of a bias within a layer or added to it; 0 where it reads others."""
    way = way_of(graph)
    signals = [] if operation is None else signals_of(graph, operation, way)
    if operation is None or not signals:
        return 0
    if signals[0] in way.data:
        return round(_fans(scene).get(operation.index, 0.0))
    return _features(scene, graph, graph.producer(signals[0])) if operation.traits.combines == "sum" else 0


@once
def _fans(scene: Scene) -> dict[int, float]:
    """By operation, the fan-in of the weight that it applies."""
    return {
        use.operation.index: use.geometry.fan_in
        for subject in scene.subjects()
        for use in subject.all_uses
        if use.role == "weight" and use.geometry is not None
    }
