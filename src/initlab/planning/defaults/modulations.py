"""Modulations: weights that make the scale 1 + s of what a norm gives, with its shift and the gate of its branch.

Drawn at unit size they undo the norm: a scale 1 + s with s of unit size is no identity, and differs from sample to
sample. At zero the model begins as one without conditions, whose branches are closed where they have gates.

Source: Peebles & Xie, Scalable diffusion models with transformers, 2023, section 3.2 (adaLN-Zero).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from initlab.graph import Operation, SignalGraph
from initlab.graph.ancestry import hangs_on
from initlab.graph.once import once
from initlab.planning.choice import Choice
from initlab.planning.parameters.scene import Scene, Subject
from initlab.planning.reason import Reason
from initlab.planning.signals.alone import adds_back_what, evaluated
from initlab.planning.signals.norms import is_normed
from initlab.schemes import get_scheme

FARTHEST = 256  # values that the pieces of one parameter go through


class _Way(NamedTuple):
    """A value on the way of a modulation, what made it of where the way begins, and whether it may be added to."""

    value: int
    steps: tuple[Operation, ...] = ()
    alone: bool = False


def of_modulations(subject: Subject) -> Choice | None:
    """Zero for a weight that makes scales 1 + s of norms, and for a table that is added to them; None for all else."""
    if subject.scene.graph is None or subject.name not in _modulating(subject.scene):
        return None
    words = "makes scales 1 + s of what a norm gives: zero, so that they change nothing at first (adaLN-Zero)"
    return Choice(get_scheme("zeros"), Reason("modulation", words))


@once
def _modulating(scene: Scene) -> frozenset[str]:
    graph = scene.graph
    return frozenset() if graph is None else frozenset(s.name for s in scene.subjects() if _modulates(graph, s))


def _modulates(graph: SignalGraph, subject: Subject) -> bool:
    if subject.role == "other":
        return subject.value is not None and _scales_norms(graph, [subject.value], alone=True)
    uses = [use for use in subject.all_uses if use.feeds is not None] if subject.role == "weight" else []
    return bool(uses) and all(use.exact and _scales_norms(graph, use.operation.outputs) for use in uses)


def _scales_norms(graph: SignalGraph, values: Iterable[int], alone: bool = False) -> bool:
    """Whether pieces of some values scale what norms give by 1 + s, and at most shift and gate beside that.

    The norms must give what the inputs reach by another way, or nothing would be left of them at zero.

    Args:
        graph: the recording.
        values: what a weight gives, or a table of scales and shifts.
        alone: whether they may be added once to what a weight gives.
    """
    ways, scales = [_Way(value, alone=alone) for value in values], list[float]()
    seen = {way.value for way in ways}
    while ways:
        way = ways.pop()
        if graph.leaves(way.value) or len(seen) > FARTHEST:
            return False
        for reader in graph.consumers(way.value):
            others = [v for v in graph.signals(reader) if v != way.value and hangs_on(graph, v, "input")]
            moved = reader.traits.passes or reader.traits.keeps != "none"
            if others and reader.kind == "mul":
                scales += _scales(graph, way, reader, others)
            elif reader.kind not in ("add", "sub") if others else not (moved or reader.traits.pointwise):
                return False
            elif way.alone or not others:
                steps = way.steps if moved or others else (*way.steps, reader)
                ways += [_Way(made, steps, way.alone and not others) for made in reader.outputs if made not in seen]
                seen.update(reader.outputs)
    return any(_near(scale, 1) for scale in scales) and all(_near(scale, 0) or _near(scale, 1) for scale in scales)


def _near(number: float, other: float) -> bool:
    return abs(number - other) < 1e-4


def _scales(graph: SignalGraph, way: _Way, product: Operation, others: list[int]) -> Iterator[float]:
    """What a norm's output is multiplied by where the weight is zero; nothing of what gates another signal."""
    if any(is_normed(graph, other) for other in others):
        made = evaluated(graph, list(way.steps), 0.0)
        yield math.nan if made is None else made + adds_back_what(graph, product, list(way.steps))
