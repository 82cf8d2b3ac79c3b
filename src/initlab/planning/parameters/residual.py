"""Where residual branches end: the projection and the norm that come last before a branch is added back."""

from __future__ import annotations

from dataclasses import dataclass

from initlab.graph import SignalGraph
from initlab.graph.once import once
from initlab.planning.parameters.names import BRANCH_END
from initlab.planning.parameters.scene import Scene
from initlab.sampling import canonical_name


@dataclass(frozen=True)
class Ends:
    """The parameters that end residual branches, how they were found, and how many branches those are."""

    names: frozenset[str]
    how: str
    count: int


@once
def projections(scene: Scene) -> Ends:
    """The weight that comes last in each residual branch: as recorded, else by the names that models give it."""
    if scene.graph is None:
        named = frozenset(s.name for s in scene.subjects() if s.role == "weight" and BRANCH_END.search(s.name))
        return Ends(named, "by name", len(named))
    names = _recorded(scene, scene.graph, "weight")
    ends = [s for s in scene.subjects() if s.name in names]
    layers = [len({use.places for use in s.uses if use.role == "weight"}) for s in ends]
    return Ends(names, "as recorded", sum(max(found, 1) for found in layers))


@once
def last_norms(scene: Scene) -> frozenset[str]:
    """The norm weight that comes last in each residual branch; none without a recording."""
    return frozenset() if scene.graph is None else _recorded(scene, scene.graph, "norm_weight")


def _recorded(scene: Scene, graph: SignalGraph, role: str) -> frozenset[str]:
    ends = {canonical_name(name) for name in (*graph.residual_ends(), *graph.projected_ends())}
    # Attention is one recorded operation: its in-projections open the branch that its out-projection ends.
    asked = [s for s in scene.subjects() if s.role == role and s.kind != "attention"]
    return frozenset(s.name for s in asked if ends & {s.name, *s.slot.ties})
