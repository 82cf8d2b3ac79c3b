"""Structures around a parameter that recipes are about: bottlenecks, adapters, prefixes, sub-pixels, gates, states."""

from __future__ import annotations

from collections.abc import Iterator

from initlab.graph import Operation, SignalGraph
from initlab.graph.ancestry import behind, grew_from, passed
from initlab.graph.once import once
from initlab.planning.parameters.attended import attentions
from initlab.planning.parameters.low_rank import low_rank
from initlab.planning.parameters.noted import noted, used
from initlab.planning.parameters.scene import Scene, Subject
from initlab.planning.signals.ways import read_by, rearranges
from initlab.sampling import canonical_name


@once
def _bottlenecks(scene: Scene) -> list[tuple[str, str]]:
    """(narrowing, widening) for every residual branch of two weights with fewer units between them than around."""
    assert scene.graph is not None
    weights = {s.name: s for s in scene.subjects() if s.role == "weight" and s.geometry is not None}
    branches = ([canonical_name(name) for name in branch] for branch in scene.graph.residual_branches())
    pairs = ([name for name in branch if name in weights] for branch in branches)
    return [(pair[0], pair[1]) for pair in pairs if len(pair) == 2 and _narrows(weights[pair[0]], weights[pair[1]])]


def _narrows(first: Subject, second: Subject) -> bool:
    (into, between), (same, out) = _widths(first), _widths(second)
    return into == out and between == same and between < into


def _widths(subject: Subject) -> tuple[int, int]:
    assert subject.geometry is not None
    return subject.shape[subject.geometry.in_axis], subject.shape[subject.geometry.out_axis]


@noted
def narrows(scene: Scene) -> frozenset[str]:
    return frozenset(down for down, _ in _bottlenecks(scene))


@noted
def widens(scene: Scene) -> frozenset[str]:
    return frozenset(up for _, up in _bottlenecks(scene))


def in_bottleneck(subject: Subject) -> bool:
    """A bias beside either weight of a bottleneck."""
    if subject.role != "bias" or subject.scene.graph is None:
        return False
    owner = subject.name.rpartition(".")[0]
    return any(owner == name.rpartition(".")[0] for pair in _bottlenecks(subject.scene) for name in pair)


def is_low_rank_down(subject: Subject) -> bool:
    return subject.name in {adapter.down for adapter in low_rank(subject.scene)}


def is_low_rank_up(subject: Subject) -> bool:
    return subject.name in {adapter.up for adapter in low_rank(subject.scene)}


def is_adapted(subject: Subject) -> bool:
    return subject.name in {adapter.base for adapter in low_rank(subject.scene)}


def scales_stream(subject: Subject) -> bool:
    """A parameter ω of a sum ω · x + f(x)."""
    graph = subject.scene.graph
    if graph is None or subject.role != "other":
        return False
    return any(_in_scaled_sum(graph, use.operation) for use in subject.uses if use.operation.kind == "mul")


def _in_scaled_sum(graph: SignalGraph, product: Operation) -> bool:
    streams = set(graph.signals(product))
    before = {item for stream in streams for item in passed(graph, stream)}
    sums = (reader for value in product.outputs for reader in graph.consumers(value) if reader.kind == "add")
    others = (item for reader in sums for item in reader.inputs if item not in product.outputs)
    return bool(before) and any(grew_from(graph, item, before) for item in others)


@once
def _prefixes(scene: Scene) -> frozenset[str]:
    """The parameters of what joins a signal of the data and is itself made without the data."""
    graph = scene.graph
    assert graph is not None
    names: set[str] = set()
    for operation in graph.operations:
        if operation.traits.combines == "join":
            made = [_sources(graph, value) for value in operation.inputs]
            if any(data for data, _ in made):
                names.update(name for data, found in made if not data for name in found)
    return frozenset(names)


def _sources(graph: SignalGraph, value: int) -> tuple[bool, set[str]]:
    """Whether a value was made from the data, and the parameters on the way."""
    made_of = list(behind(graph, value))
    names = {canonical_name(known.name) for known in made_of if known.source == "parameter"}
    return any(known.source == "input" for known in made_of), names


def is_prefix(subject: Subject) -> bool:
    """A table or a parameter of its own whose rows stand before the data's."""
    return subject.scene.graph is not None and subject.role in ("embedding", "other") and _of_prefix(subject)


def makes_prefix(subject: Subject) -> bool:
    """A weight or bias between such a table and where its rows join the data's."""
    return subject.scene.graph is not None and subject.role in ("weight", "bias") and _of_prefix(subject)


def _of_prefix(subject: Subject) -> bool:
    return bool(_prefixes(subject.scene) & {subject.name, *subject.slot.ties})


@noted
def feeds_sine(scene: Scene) -> frozenset[str]:
    return used(scene, lambda graph, use: any(op.kind == "sin" for op in read_by(graph, use, _scaled)))


@noted
def before_shuffle(scene: Scene) -> frozenset[str]:
    return used(scene, lambda graph, use: shuffle_factor(graph, use) > 1)


def shuffle_factor(graph: SignalGraph, use: Operation) -> int:
    """By what a pixel shuffle that reads a layer's output grows the image; 1 where none does."""
    for reader in read_by(graph, use, rearranges):
        if reader.kind == "pixel_shuffle":
            return int(reader.argument(1, "upscale_factor", 1))
    return 1


@noted
def after_attention(scene: Scene) -> frozenset[str]:
    return frozenset(name for one in attentions(scene) for name in one.out)


@noted
def gates(scene: Scene) -> frozenset[str]:
    return used(scene, _gates)


def _gates(graph: SignalGraph, use: Operation) -> bool:
    """Whether a weight's output, past a sigmoid, multiplies a signal."""
    sigmoids = (made for made in read_by(graph, use, rearranges) if made.kind == "sigmoid")
    return any(reader.kind == "mul" for made in sigmoids for reader in read_by(graph, made, rearranges))


@noted
def gated_values(scene: Scene) -> frozenset[str]:
    return used(scene, _is_gated)


def _is_gated(graph: SignalGraph, use: Operation) -> bool:
    """Whether a weight's output, as it is, is multiplied by a function of another signal."""
    readers = (op for op in read_by(graph, use, rearranges) if op.kind == "mul")
    makers = (graph.producer(value) for reader in readers for value in reader.inputs)
    return any(maker is not None and maker.traits.curved for maker in makers)


@noted
def feeds_exponent(scene: Scene) -> frozenset[str]:
    return used(scene, lambda graph, use: any(op.kind == "exp" for op in read_by(graph, use, _shifted)))


def _shifted(operation: Operation) -> bool:
    return operation.traits.proportional or operation.traits.combines in ("sum", "choice")


def is_log_decay(subject: Subject) -> bool:
    """A parameter A whose −exp(A) is the rate at which a state decays."""
    graph, value = subject.scene.graph, subject.value
    if graph is None or value is None or subject.role != "other":
        return False
    return any(
        reader.kind == "exp" and any(_negated(graph, item) for item in reader.outputs)
        for reader in _past_rearrangements(graph, value)
    )


def _negated(graph: SignalGraph, value: int) -> bool:
    return any(reader.kind == "neg" for reader in graph.consumers(value))


def _past_rearrangements(graph: SignalGraph, value: int) -> Iterator[Operation]:
    """The operations that read a value, or a part of it, and do more than to rearrange it."""
    for reader in graph.consumers(value):
        if reader.traits.passes:
            for item in reader.outputs:
                yield from _past_rearrangements(graph, item)
        else:
            yield reader


def is_step_bias(subject: Subject) -> bool:
    """A bias of what a softplus reads: the size of a state's step."""
    graph, value = subject.scene.graph, subject.value
    if graph is None or value is None or subject.role not in ("bias", "other"):
        return False
    uses = (reader for reader in _past_rearrangements(graph, value))
    return any(
        reader.kind == "softplus"
        for use in uses
        for reader in read_by(graph, use, lambda operation: operation.traits.keeps != "none")
    )


def is_skip_factor(subject: Subject) -> bool:
    """A vector that multiplies what goes by the state: D."""
    graph, value = subject.scene.graph, subject.value
    if graph is None or value is None or subject.role != "other" or is_log_decay(subject):
        return False
    return len(subject.shape) == 1 and any(reader.kind == "mul" for reader in _past_rearrangements(graph, value))


def is_conv_bias(subject: Subject) -> bool:
    """The bias of a convolution."""
    return subject.role == "bias" and any(use.operation.kind.startswith("conv") for use in subject.uses)


def is_gated_bias(subject: Subject) -> bool:
    """A bias of a recurrent layer with gates."""
    packing = None if subject.geometry is None else subject.geometry.packing
    return subject.role == "recurrent_bias" and packing is not None and len(packing.labels) > 1


def _scaled(operation: Operation) -> bool:
    return operation.traits.proportional or operation.traits.combines in ("sum", "product")
