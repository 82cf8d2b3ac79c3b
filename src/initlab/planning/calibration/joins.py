"""Where branches and positions join a stream: the sums at which a calibrating pass brings them to their share."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace

from initlab.graph import Operation, SignalGraph
from initlab.graph.ancestry import from_weights
from initlab.graph.recording import Share, Value, constant_moments
from initlab.planning.calibration.found import correctable
from initlab.planning.plan import PlanEntry, owners
from initlab.planning.sizes.targets import Targets
from initlab.sampling import canonical_name
from initlab.sampling.laws import Constant

Names = dict[int, frozenset[str]]
NONE: frozenset[str] = frozenset()
SPREAD = 0.045  # second moment below which spread biases are left out of gains: they change one of √2 by 2% at most


def sized(graph: SignalGraph, targets: Targets, entries: Iterable[PlanEntry], fixed: Collection[str]) -> SignalGraph:
    """The recording with the sizes that outputs are to have, where they are not to have second moment one.

    Args:
        graph: the recording.
        targets: what each weight's output is to be like.
        entries: the plan's entries.
        fixed: names whose laws are not to be changed.
    """
    by_name = {entry.name: entry for entry in entries}
    owner = owners(by_name.values())
    targets = replace(targets, plain=frozenset())  # gains are said for unit signals; one of ReLU is so for smaller ones

    def free(name: str) -> bool:
        return correctable(name, by_name, fixed, targets.scales)

    held = {value.name: value for value in graph.values.values() if value.source == "parameter"}
    planned = {name: by_name.get(owner.get(canonical_name(name), "")) for name in graph.parameters}
    own = {name: entry for name, entry in planned.items() if entry is not None}
    sizes = {name: _size(entry, held.get(name), targets, free) for name, entry in own.items()}
    shares = joins(graph, targets, owner, free, _zeros(graph, own))
    scores = {made.place: made.constant for name, made in targets.queries.items() if free(name)}
    bounded = frozenset(name for name, entry in own.items() if entry.name in targets.bounded or not free(entry.name))
    shifts = {name: moments for name, entry in own.items() if (moments := _of_added(entry, held.get(name)))}
    return graph.sized({n: size for n, size in sizes.items() if size != 1.0}, shares, scores, bounded, shifts)


def _size(entry: PlanEntry, value: Value | None, targets: Targets, free: Callable[[str], bool]) -> float:
    """The second moment of what a parameter makes: its target, a table's rows', a norm's scale's, or none of zeros."""
    if entry.code == "zero_on_purpose" or (entry.role == "weight" and _is_zero(entry)):
        return 0.0
    if entry.role == "norm_weight":
        return _of_scale(entry, value)
    if entry.name in targets.transformed:
        return 1 / targets.transformed[entry.name].growth
    target = targets.of(entry.name) if free(entry.name) and entry.name not in targets.heads else None
    rows = (entry.std or 1.0) ** 2 if entry.role == "embedding" else 1.0
    return rows if target is None else target


def _is_zero(entry: PlanEntry) -> bool:
    return isinstance(entry.law, Constant) and not entry.law.value


def _of_added(entry: PlanEntry, value: Value | None) -> tuple[float, float] | None:
    """(mean, second moment) of what may be added to a signal, as it is to be drawn or as it is kept; None of zeros."""
    if entry.role in ("weight", "norm_weight"):
        return None
    if entry.law is not None:
        mean = entry.law.value if isinstance(entry.law, Constant) else 0.0
        if entry.role == "bias" and not mean and (entry.std or 0.0) ** 2 < SPREAD:
            return None
        return (mean, mean**2 + (entry.std or 0.0) ** 2) if mean or entry.std else None
    moments = _of_held(value)
    return moments if moments and moments[1] else None


def _of_scale(entry: PlanEntry, value: Value | None) -> float:
    """The second moment of a norm's scale, as it is to be drawn or as it is kept."""
    if entry.law is not None:
        return entry.law.value**2 if isinstance(entry.law, Constant) else 1.0
    moments = _of_held(value)
    return 1.0 if moments is None else moments[1]


def _of_held(value: Value | None) -> tuple[float, float] | None:
    """(mean, second moment) of a parameter as it is; None where it cannot be read."""
    return None if value is None or value.tensor is None else constant_moments(value.tensor)


def joins(
    graph: SignalGraph,
    targets: Targets,
    owner: Mapping[str, str],
    free: Callable[[str], bool],
    nothing: Collection[int],
) -> dict[tuple[int, int], Share]:
    """By (sum, operand), the share that the operand is brought to: at the first sum that each is added in.

    Args:
        graph: the recording.
        targets: what each weight's output is to be like.
        owner: every canonical name -> the name of its entry.
        free: whether a std may be corrected.
        nothing: values that are to be zeros.
    """
    names, found, joined = _parameters(graph, owner), dict[tuple[int, int], Share](), set[str]()
    weights, spelled = targets.positions | targets.ends | targets.scales.keys(), dict[str, list[str]]()
    learned = from_weights(graph)
    for name in graph.parameters:
        spelled.setdefault(owner.get(canonical_name(name), ""), []).append(name)
    for operation in graph.operations if weights else ():
        operands = list(dict.fromkeys(operation.inputs))
        if operation.traits.combines == "sum" and len(operands) == 2 and not any(v in nothing for v in operands):
            for part, other in (operands, operands[::-1]):
                own = names.get(part, NONE) if _made(graph, part) else names.get(part, NONE) & targets.positions
                share = targets.share(own, names.get(other, NONE), other in learned, joined)
                if share is not None and not own & joined and all(map(free, own)):
                    joined |= own
                    found[operation.index, part] = replace(share, names=tuple(n for of in own for n in spelled[of]))
        made = _scaled(graph, operation, names, targets) or _carried(graph, operation, names, targets, nothing)
        names.update(dict.fromkeys(operation.outputs, made) if made else {})
    return found


def _parameters(graph: SignalGraph, owner: Mapping[str, str]) -> Names:
    """What a parameter itself is in proportion to."""
    values = (value for value in graph.values.values() if value.source == "parameter")
    return {v.index: frozenset({owner[canonical_name(v.name)]}) for v in values if canonical_name(v.name) in owner}


def _zeros(graph: SignalGraph, entries: Mapping[str, PlanEntry]) -> frozenset[int]:
    """Tables that are to be zeros, and their rows: what is added to them, as to a layer's output, joins nothing."""
    tables = {name for name, entry in entries.items() if entry.role == "embedding" and entry.std == 0}
    own = {value.index for value in graph.values.values() if value.source == "parameter" and value.name in tables}
    rows = {v for op in graph.operations if op.traits.rows and not own.isdisjoint(op.inputs) for v in op.outputs}
    return frozenset(own | rows)


def _made(graph: SignalGraph, value: int) -> bool:
    return graph.values[value].source == "operation"


def _scaled(graph: SignalGraph, operation: Operation, names: Names, targets: Targets) -> frozenset[str]:
    """The scale that sizes what a norm makes, where it ends a branch; or that is on its way there, as 1 + w."""
    traits = operation.traits
    if not (traits.norm or traits.combines in ("product", "sum")):
        return NONE
    own = graph.mapped_parameters.intersection(operation.inputs)
    return next((names[v] for v in own if names.get(v, NONE) and names[v] <= targets.scales.keys()), NONE)


def _carried(
    graph: SignalGraph, operation: Operation, names: Names, targets: Targets, nothing: Collection[int]
) -> frozenset[str]:
    """The weights that an operation's output is proportional to, as a calibrating pass follows them."""
    traits = operation.traits
    if operation.kind == "multi_head_attention_forward":  # in one call, of which its last weight may end a branch
        ending = (names[v] for v in operation.inputs if names.get(v, NONE) & targets.ends and not _made(graph, v))
        return next(ending, NONE)
    signals = [names.get(v, NONE) for v in graph.signals(operation) if v not in nothing]
    own = next((names[v] for v in operation.inputs if graph.values[v].source == "parameter" and v in names), NONE)
    if own and (traits.rows or traits.combines == "contraction"):
        weights = (v for v in operation.inputs if graph.values[v].source == "parameter" and v in names)
        return next((names[v] for v in weights if len(graph.values[v].shape) > 1), own)
    if own and not any(signals):
        return own if traits.proportional else NONE
    return traits.carries(signals)
