"""Where residual branches end: the projection and the norm that come last before a branch is added back."""

from __future__ import annotations

import re
from dataclasses import dataclass

from initlab.graph import Operation, SignalGraph
from initlab.planning.scene import Scene
from initlab.sampling import canonical_name

# The last matrix of a block's two branches, as the models of the literature call it, within a numbered block.
_LAST = re.compile(
    r"(^|\.)\d+\.(.*\.)?(c_proj|out_proj|o_proj|wo|down_proj|linear2|fc2|w2|proj_out|dense_4h_to_h"
    r"|attn\.proj|attention\.output\.dense|output\.dense|mlp\.2|ff\.2)\.weight$"
)


@dataclass(frozen=True)
class Ends:
    """The weights that end residual branches, and how they were found."""

    names: frozenset[str]
    how: str

    @property
    def count(self) -> int:
        return len(self.names)


def projections(scene: Scene) -> Ends:
    """The weight that comes last in each residual branch: as recorded, else by the names that models give it."""
    known = scene.notes.get("projections")
    if known is None:
        known = scene.notes["projections"] = _projections(scene)
    ends: Ends = known
    return ends


def last_norms(scene: Scene) -> frozenset[str]:
    """The norm weight that comes last in each residual branch; none without a recording."""
    known = scene.notes.get("last_norms")
    if known is None:
        known = scene.notes["last_norms"] = frozenset() if scene.graph is None else _last(scene, scene.graph, "norm_weight")
    names: frozenset[str] = known
    return names


def _projections(scene: Scene) -> Ends:
    if scene.graph is not None:
        return Ends(_last(scene, scene.graph, "weight"), "as recorded")
    subjects = list(scene.subjects())
    return Ends(frozenset(s.name for s in subjects if s.role == "weight" and _LAST.search(s.name)), "by name")


def _last(scene: Scene, graph: SignalGraph, role: str) -> frozenset[str]:
    """Walk back from every residual addition along its branch to the first operation that holds parameters."""
    roles = {subject.name: subject.role for subject in scene.subjects()}
    makers = {value: operation for operation in graph.operations for value in operation.outputs}
    names: set[str] = set()
    for addition in graph.operations:
        for branch in _branches(addition, makers):
            held = [canonical_name(name) for name in branch.parameters]
            names.update(name for name in held if roles.get(name) == role)
    return frozenset(names)


def _branches(addition: Operation, makers: dict[int, Operation]) -> list[Operation]:
    """The last operations with parameters of the branches that an addition adds to something they grew from."""
    inputs = [value for value in dict.fromkeys(addition.inputs) if value in makers]
    if addition.kind != "add" or len(addition.inputs) < 2:
        return []
    found = []
    for value in inputs:
        if any(_grew_from(value, other, makers) for other in addition.inputs if other != value):
            last = _last_with_parameters(makers[value], makers)
            if last is not None:
                found.append(last)
    return found


def _grew_from(value: int, root: int, makers: dict[int, Operation]) -> bool:
    """Whether `value` was computed from `root`; nothing older than `root` is looked at, so a branch costs its length."""
    oldest = makers[root].index if root in makers else -1
    seen: set[int] = set()
    stack = [value]
    while stack:
        current = stack.pop()
        if current == root:
            return True
        operation = makers.get(current)
        if operation is None or operation.index <= oldest:
            continue
        stack.extend(item for item in operation.inputs if item not in seen)
        seen.update(operation.inputs)
    return False


def _last_with_parameters(operation: Operation, makers: dict[int, Operation]) -> Operation | None:
    """Back along single-input operations (dropout, reshapes, scalings) to one that holds parameters."""
    current: Operation | None = operation
    while current is not None and not current.parameters:
        sources = [makers[value] for value in current.inputs if value in makers]
        current = sources[0] if len(sources) == 1 else None
    return current
