"""What is read off a recording once for all parameters of a scene, and held there."""

from __future__ import annotations

from collections.abc import Callable

from initlab.graph import Operation, SignalGraph
from initlab.graph.once import once
from initlab.planning.parameters.scene import Scene, Subject


def noted(names_of: Callable[[Scene], frozenset[str]]) -> Callable[[Subject], bool]:
    """A role that is read off the recording once for all parameters, and that none has without one.

    Args:
        names_of: (a scene with a recording) -> the names of those that have it.
    """
    known = once(names_of)

    def holds(subject: Subject) -> bool:
        return subject.scene.graph is not None and subject.name in known(subject.scene)

    return holds


def used(scene: Scene, found: Callable[[SignalGraph, Operation], bool], role: str = "weight") -> frozenset[str]:
    """The parameters of a role of which some use in the recording is as asked."""
    graph = scene.graph
    assert graph is not None
    return frozenset(
        subject.name
        for subject in scene.subjects()
        if any(use.role == role and found(graph, use.operation) for use in subject.all_uses)
    )
