"""Low-rank adapters of the recording: y = W x + s · B A x, told from what reads x and what the sum adds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from initlab.graph import Operation, SignalGraph
from initlab.graph.ancestry import passed
from initlab.graph.once import once
from initlab.planning.parameters.scene import Scene, Subject
from initlab.planning.signals.constants import factor_beside
from initlab.sampling import canonical_name


@dataclass(frozen=True)
class LowRank:
    """One adapter.

    Args:
        base: the weight W beside which it stands.
        down, up: its factors A and B.
        scaling: the number s by which B A x is multiplied.
    """

    base: str
    down: str
    up: str
    scaling: float


@once
def low_rank(scene: Scene) -> tuple[LowRank, ...]:
    """Every low-rank adapter, in order of the pass; none without a recording."""
    return () if scene.graph is None else tuple(_found(scene, scene.graph))


def adapter_of(subject: Subject) -> LowRank | None:
    """The adapter that a parameter is a part of."""
    names = {subject.name, *subject.slot.ties}
    return next((one for one in low_rank(subject.scene) if names & {one.base, one.down, one.up}), None)


def _found(scene: Scene, graph: SignalGraph) -> Iterator[LowRank]:
    shapes = {s.name: s.shape for s in scene.subjects() if s.role == "weight" and len(s.shape) == 2}
    for addition in graph.operations:
        if addition.kind != "add" or len(addition.inputs) != 2:
            continue
        for one, other in (addition.inputs, addition.inputs[::-1]):
            base, up = _applied(graph, one, shapes), _applied(graph, other, shapes)
            down = None if up is None else _applied(graph, up[1].inputs[0], shapes)
            if base is None or up is None or down is None or down[2] != 1.0:
                continue
            same = set(passed(graph, base[1].inputs[0])) & set(passed(graph, down[1].inputs[0]))
            if same and _fit(shapes[base[0]], shapes[down[0]], shapes[up[0]]):
                yield LowRank(base[0], down[0], up[0], up[2] / base[2])


def _fit(base: tuple[int, ...], down: tuple[int, ...], up: tuple[int, ...]) -> bool:
    """(out, in), (r, in), (out, r), or all of it transposed, of a rank below both."""
    rank = down[0] if down[1] == base[1] else -1
    return rank == up[1] and up[0] == base[0] and rank < min(base)


def _applied(
    graph: SignalGraph, value: int, shapes: Mapping[str, tuple[int, ...]]
) -> tuple[str, Operation, float] | None:
    """(weight, its operation, the number that its output was multiplied by since) of what made a value."""
    factor = 1.0
    while (maker := graph.producer(value)) is not None:
        names = [canonical_name(name) for name in maker.parameters]
        weight = next((name for name in names if name in shapes), None)
        if weight is not None:
            return weight, maker, factor
        number = factor_beside(graph, maker, scales=False)
        if number is None and not maker.traits.rearranges:
            return None
        factor *= 1.0 if number is None else number
        value = maker.inputs[0]
    return None
