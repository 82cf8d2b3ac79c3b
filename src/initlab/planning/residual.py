"""Where residual branches end: the projection and the norm that come last before a branch is added back."""

from __future__ import annotations

from dataclasses import dataclass

from initlab.planning.names import BRANCH_END
from initlab.planning.scene import Scene
from initlab.sampling import canonical_name


@dataclass(frozen=True)
class Ends:
    """The parameters that end residual branches, how they were found, and how many branches those are."""

    names: frozenset[str]
    how: str
    count: int


def projections(scene: Scene) -> Ends:
    """The weight that comes last in each residual branch: as recorded, else by the names that models give it."""
    if scene.graph is not None:
        names = _recorded(scene, "weight")
        layers = [
            len({use.places for use in s.uses if use.role == "weight"}) for s in scene.subjects() if s.name in names
        ]
        return Ends(names, "as recorded", sum(max(found, 1) for found in layers))
    if "by name" not in scene.notes:
        weights = [s.name for s in scene.subjects() if s.role == "weight"]
        scene.notes["by name"] = frozenset(name for name in weights if BRANCH_END.search(name))
    return Ends(scene.notes["by name"], "by name", len(scene.notes["by name"]))


def last_norms(scene: Scene) -> frozenset[str]:
    """The norm weight that comes last in each residual branch; none without a recording."""
    return frozenset() if scene.graph is None else _recorded(scene, "norm_weight")


def _recorded(scene: Scene, role: str) -> frozenset[str]:
    if role not in scene.notes:
        assert scene.graph is not None
        ends = {canonical_name(name) for name in (*scene.graph.residual_ends(), *scene.graph.projected_ends())}
        # Attention is one recorded operation: its in-projections open the branch that its out-projection ends.
        asked = [s for s in scene.subjects() if s.role == role and s.kind != "attention"]
        scene.notes[role] = frozenset(s.name for s in asked if ends & {s.name, *s.slot.ties})
    names: frozenset[str] = scene.notes[role]
    return names
