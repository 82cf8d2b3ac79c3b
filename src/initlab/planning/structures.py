"""Structures around a parameter that some recipes are about: bottlenecks, prefixes, sub-pixels, rows of functions."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator

from initlab.graph import Operation, SignalGraph
from initlab.planning.noted import noted, used
from initlab.planning.scene import Scene, Subject
from initlab.sampling import canonical_name

FARTHEST = 64  # operations that a walk looks at


def read_by(graph: SignalGraph, operation: Operation, goes_on: Callable[[Operation], bool]) -> Iterator[Operation]:
    """The operations that read what one gives, and what those that a walk goes on past give."""
    queue, seen = deque(operation.outputs), set(operation.outputs)
    while queue and len(seen) < FARTHEST:
        for reader in graph.consumers(queue.popleft()):
            yield reader
            if goes_on(reader):
                queue.extend(value for value in reader.outputs if value not in seen)
                seen.update(reader.outputs)


# -- bottlenecks: a branch of two weights, the first to fewer numbers than the second gives back (adapters) --


def _bottlenecks(scene: Scene) -> list[tuple[str, str]]:
    """(narrowing, widening) for every residual branch of two weights with fewer units between them than around."""
    if "bottlenecks" not in scene.notes:
        assert scene.graph is not None
        weights = {s.name: s for s in scene.subjects() if s.role == "weight" and s.geometry is not None}
        branches = ([canonical_name(name) for name in branch] for branch in scene.graph.residual_branches())
        pairs = ([name for name in branch if name in weights] for branch in branches)
        scene.notes["bottlenecks"] = [
            (pair[0], pair[1]) for pair in pairs if len(pair) == 2 and _narrows(weights[pair[0]], weights[pair[1]])
        ]
    found: list[tuple[str, str]] = scene.notes["bottlenecks"]
    return found


def _narrows(first: Subject, second: Subject) -> bool:
    (into, between), (same, out) = _widths(first), _widths(second)
    return into == out and between == same and between < into


def _widths(subject: Subject) -> tuple[int, int]:
    assert subject.geometry is not None
    return subject.shape[subject.geometry.in_axis], subject.shape[subject.geometry.out_axis]


@noted("narrowing")
def narrows(scene: Scene) -> frozenset[str]:
    return frozenset(down for down, _ in _bottlenecks(scene))


@noted("widening")
def widens(scene: Scene) -> frozenset[str]:
    return frozenset(up for _, up in _bottlenecks(scene))


def in_bottleneck(subject: Subject) -> bool:
    """A bias beside either weight of a bottleneck."""
    if subject.role != "bias" or subject.scene.graph is None:
        return False
    owner = subject.name.rpartition(".")[0]
    return any(owner == name.rpartition(".")[0] for pair in _bottlenecks(subject.scene) for name in pair)


# -- prefixes: signals that are made from parameters alone and stand beside the data's --


def _prefixes(scene: Scene) -> frozenset[str]:
    """The parameters of what joins a signal of the data and is itself made without the data."""
    if "prefixes" not in scene.notes:
        graph = scene.graph
        assert graph is not None
        names: set[str] = set()
        for operation in graph.operations:
            if operation.traits.combines == "join":
                made = [_sources(graph, value) for value in operation.inputs]
                if any(data for data, _ in made):
                    names.update(name for data, found in made if not data for name in found)
        scene.notes["prefixes"] = frozenset(names)
    found: frozenset[str] = scene.notes["prefixes"]
    return found


def _sources(graph: SignalGraph, value: int) -> tuple[bool, set[str]]:
    """Whether a value was made from the data, and the parameters on the way."""
    data, names = False, set[str]()
    stack, seen = [value], {value}
    while stack:
        item = stack.pop()
        known = graph.values[item]
        data = data or known.source == "input"
        if known.source == "parameter":
            names.add(canonical_name(known.name))
        maker = graph.producer(item)
        before = () if maker is None else maker.inputs
        stack.extend(other for other in before if other not in seen)
        seen.update(before)
    return data, names


def is_prefix(subject: Subject) -> bool:
    """A table or a parameter of its own whose rows stand before the data's."""
    return subject.scene.graph is not None and subject.role in ("embedding", "other") and _of_prefix(subject)


def makes_prefix(subject: Subject) -> bool:
    """A weight or bias between such a table and where its rows join the data's."""
    return subject.scene.graph is not None and subject.role in ("weight", "bias") and _of_prefix(subject)


def _of_prefix(subject: Subject) -> bool:
    return bool(_prefixes(subject.scene) & {subject.name, *subject.slot.ties})


# -- what reads a weight's output --


@noted("sines")
def feeds_sine(scene: Scene) -> frozenset[str]:
    return used(scene, lambda graph, use: any(op.kind == "sin" for op in read_by(graph, use, _scaled)))


def _scaled(operation: Operation) -> bool:
    return operation.traits.proportional or operation.kind in ("add", "mul")
