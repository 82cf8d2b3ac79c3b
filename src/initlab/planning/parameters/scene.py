"""What is known of each parameter when its law is chosen: its layer, its role, and what feeds it."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

from torch import nn

from initlab.graph import ParameterInfo, SignalGraph, Use, geometry_of
from initlab.planning.parameters.chain import chains_of, fed_in_chain
from initlab.planning.parameters.fed import Fed, fed_by_uses
from initlab.planning.parameters.walk import Slot, Walk
from initlab.planning.reason import Reason
from initlab.sampling import canonical_name
from initlab.schemes import Geometry


@dataclass
class Scene:
    """A model as a policy sees it.

    Args:
        model: the model.
        found: its parameters, buffers and layers.
        infos: by parameter, its role and its geometry.
        graph: the recording; None without one.
        computed: what was computed of it once (`initlab.graph.once`).
    """

    model: nn.Module
    found: Walk
    infos: dict[str, ParameterInfo]
    graph: SignalGraph | None
    computed: dict[object, object] = field(default_factory=dict)

    @cached_property
    def chains(self) -> dict[int, list[nn.Module]]:
        """By the id of a layer inside plain Sequentials, the layers of the outermost one in order."""
        return chains_of(self.model, self.found.modules.values())

    def subjects(self) -> tuple[Subject, ...]:
        """Every parameter with what is known of it, in the order of `named_parameters()`."""
        return self._subjects

    @cached_property
    def _subjects(self) -> tuple[Subject, ...]:
        return tuple(Subject(slot, self.infos.get(slot.name), self) for slot in self.found.parameters)


def scene_of(model: nn.Module, found: Walk, graph: SignalGraph | None) -> Scene:
    """A model's scene, with or without a recording."""
    infos = {canonical_name(name): info for name, info in geometry_of(model, graph).items()}
    return Scene(model, found, infos, graph)


@dataclass(frozen=True)
class Subject:
    """One parameter, with all that a rule may ask about it."""

    slot: Slot
    info: ParameterInfo | None
    scene: Scene

    @property
    def name(self) -> str:
        return self.slot.name

    @property
    def role(self) -> str:
        return "other" if self.info is None else self.info.role

    @property
    def geometry(self) -> Geometry | None:
        return None if self.info is None else self.info.geometry

    @property
    def kind(self) -> str:
        return "other" if self.geometry is None else self.geometry.kind

    @cached_property
    def shape(self) -> tuple[int, ...]:
        return tuple(int(size) for size in self.slot.tensor.shape)

    @property
    def module(self) -> nn.Module:
        return self.slot.owner.module

    @property
    def leaf(self) -> str:
        return self.slot.owner.leaf

    @property
    def value(self) -> int | None:
        """The recording's first value of this parameter; None without a recording, or where it is not read."""
        graph = self.scene.graph
        return None if graph is None else graph.value_of(self.name, *self.slot.ties)

    @cached_property
    def uses(self) -> tuple[Use, ...]:
        """Its uses in the recording, under the first of its names that has any."""
        graph = self.scene.graph
        return () if graph is None else next(filter(None, map(graph.uses, (self.name, *self.slot.ties))), ())

    @property
    def all_uses(self) -> tuple[Use, ...]:
        """Its uses in the recording, under all of its names."""
        graph = self.scene.graph
        if graph is None:
            return ()
        found = {id(use): use for name in (self.name, *self.slot.ties) for use in graph.uses(name)}
        return tuple(found.values())

    def tied_to_output(self) -> bool:
        """Whether an embedding is also the matrix of a layer that is not one."""
        owners = self.slot.owners
        return any(not isinstance(owner.module, nn.Embedding | nn.EmbeddingBag) for owner in owners[1:])

    def fed(self) -> Fed:
        """What feeds this weight: as recorded, else as the order of a Sequential says, else unknown."""
        if self.scene.graph is not None:
            return self._fed_as_recorded(self.scene.graph)
        return fed_in_chain(self.module, self.scene.chains.get(id(self.module)))

    def _fed_as_recorded(self, graph: SignalGraph) -> Fed:
        for name in (self.name, *self.slot.ties):  # a tied table's feeds come from the use as a head
            uses = [use for use in graph.uses(name) if use.feeds is not None]
            if uses:
                return fed_by_uses(uses)
        if self.value is not None and graph.consumers(self.value):
            words = "gain 1: it reads learned parameters alone, and nothing that the inputs reach"
            return Fed(1.0, Reason("fed_by_parameters", words))
        return Fed(1.0, Reason("unused", "gain 1: not used in the recorded forward pass"))
