"""What is read off a recording once for all parameters of a scene, and held there."""

from __future__ import annotations

from collections.abc import Callable

from initlab.graph import Operation, SignalGraph
from initlab.planning.scene import Scene, Subject


def noted(key: str) -> Callable[[Callable[[Scene], frozenset[str]]], Callable[[Subject], bool]]:
    """A role that is read off the recording once for all parameters: (scene) -> their names."""

    def made(names_of: Callable[[Scene], frozenset[str]]) -> Callable[[Subject], bool]:
        def holds(subject: Subject) -> bool:
            notes = subject.scene.notes
            if key not in notes:
                notes[key] = frozenset() if subject.scene.graph is None else names_of(subject.scene)
            return subject.name in notes[key]

        return holds

    return made


def used(scene: Scene, found: Callable[[SignalGraph, Operation], bool], role: str = "weight") -> frozenset[str]:
    """The parameters of a role of which some use in the recording is as asked."""
    graph = scene.graph
    assert graph is not None
    return frozenset(
        subject.name
        for subject in scene.subjects()
        if any(use.role == role and found(graph, use.operation) for use in subject.all_uses)
    )
