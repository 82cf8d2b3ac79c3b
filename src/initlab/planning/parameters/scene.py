"""What is known of each parameter when its law is chosen: its layer, its role, and what feeds it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import nn
from torch.nn.modules.dropout import _DropoutNd

from initlab.graph import Feed, ParameterInfo, SignalGraph, Use, geometry_of
from initlab.guest.modules import modules_of
from initlab.guest.untouched import untouched
from initlab.planning.parameters.names import NEUTRAL
from initlab.planning.parameters.walk import Slot, Walk
from initlab.planning.reason import Reason
from initlab.sampling import canonical_name
from initlab.sampling.streams import WRAPPERS
from initlab.schemes import Geometry
from initlab.theory import gain as gain_of


@dataclass(frozen=True)
class Fed:
    """What arrives at a weight: the gain that undoes it, and where that was read."""

    gain: float
    reason: Reason


@dataclass
class Scene:
    """A model as a policy sees it.

    Args:
        model: the model.
        found: its parameters, buffers and layers.
        infos: by parameter, its role and its geometry.
        graph: the recording; None without one.
        chains: by layer inside plain Sequentials, the layers of the outermost one in order.
        computed: what was computed of it once (`initlab.graph.once`).
    """

    model: nn.Module
    found: Walk
    infos: dict[str, ParameterInfo]
    graph: SignalGraph | None
    chains: dict[int, list[nn.Module]] = field(default_factory=dict)
    computed: dict[object, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _chain_up(self.model, self.found.modules.values(), self.chains)

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
        return _fed_in_chain(self.module, self.scene)

    def _fed_as_recorded(self, graph: SignalGraph) -> Fed:
        for name in (self.name, *self.slot.ties):  # a tied table's feeds come from the use as a head
            uses = [use for use in graph.uses(name) if use.feeds is not None]
            if uses:
                return _from_uses(uses)
        return Fed(1.0, Reason("unused", "gain 1: not used in the recorded forward pass"))


def _from_uses(uses: list[Use]) -> Fed:
    feeds = [use.feeds for use in uses if use.feeds is not None]
    feed = feeds[0]
    where = f" at {feed.where}" if feed.where else ""
    note = f" ({feed.note})" if feed.note else ""
    moments = second_moments(uses)
    if uses[0].scaled != 1.0:
        note += f", used times {math.sqrt(uses[0].scaled):.4g}"
    if not moments:
        what, one = feed.activation or "an unknown signal", 1 / math.sqrt(uses[0].scaled)
        words = f"gain {one:.4g}: fed by {what}{where}, whose size is not known{note}"
        return Fed(one, Reason("fed_by_unknown", words))
    if feed.activation == "softmax":
        return Fed(1.0, Reason("fed_by_softmax", f"gain 1: fed by softmax{where}, whose shares it mixes"))
    gain = 1 / math.sqrt(sum(moments) / len(moments))
    shared = f" and {len(feeds) - 1} more" if len(feeds) > 1 else ""
    return Fed(gain, Reason("fed", f"gain {gain:.4g}: fed by {feed.activation or 'the data'}{where}{shared}{note}"))


def second_moments(uses: Iterable[Use]) -> list[float]:
    """E[x²] of what arrives at each use where it is known, times that of the numbers that the weight comes with."""
    found = [(_moment(use.feeds), use.scaled) for use in uses if use.feeds is not None]
    return [moment * scaled for moment, scaled in found if moment is not None]


def _moment(feed: Feed) -> float | None:
    """E[φ(z)²] of what arrives, as recorded or from the function itself."""
    if feed.second_moment is not None:
        return float(feed.second_moment) if feed.second_moment > 0 and math.isfinite(feed.second_moment) else None
    if feed.function is not None:
        return _function_moment(feed.function)
    return None


def _function_moment(function: Callable[..., Any]) -> float | None:
    try:
        with torch.device("cpu"):
            gain = gain_of(function)
    except (ValueError, TypeError, RuntimeError):
        return None
    return 1 / gain**2 if gain > 0 and math.isfinite(gain) else None


def _chain_up(model: nn.Module, modules: Iterable[nn.Module], chains: dict[int, list[nn.Module]]) -> None:
    """For each layer inside plain Sequentials, the layers in order of the outermost one: chains[id(layer)]."""
    for module in modules:
        if not _plain_sequential(module) or id(module) in chains:
            continue
        chain = list(_flat(module))
        if module is _unwrapped(model):
            chain = [_Data(), *chain]
        for layer in chain:
            chains.setdefault(id(layer), chain)
        for _, inner in modules_of(module).values():
            if _plain_sequential(inner):
                chains.setdefault(id(inner), chain)


class _Data(nn.Module):
    """Marks the head of a chain that begins with the model's own input."""


def _unwrapped(module: nn.Module) -> nn.Module:
    """What a compiled, checkpointed or data-parallel wrapper wraps; any other module itself."""
    while len(module._modules) == 1 and not module._parameters:
        name, child = next(iter(module._modules.items()))
        parallel = name == "module" and type(module).__module__.startswith("torch.")
        if child is None or not (parallel or name in WRAPPERS):
            break
        module = child
    return module


def _plain_sequential(module: nn.Module) -> bool:
    return isinstance(module, nn.Sequential) and type(module).forward is nn.Sequential.forward


def _flat(module: nn.Module) -> Iterator[nn.Module]:
    """The layers of nested Sequentials in order, without recursion, so that depth has no limit."""
    stack = [module]
    while stack:
        layer = stack.pop()
        if _plain_sequential(layer):
            stack.extend(reversed([_unwrapped(child) for child in layer.children()]))
        else:
            yield layer


def _fed_in_chain(layer: nn.Module, scene: Scene) -> Fed:
    unknown = Fed(1.0, Reason("fed_by_unknown", "gain 1: what feeds it is not known without example_inputs"))
    chain = scene.chains.get(id(layer))
    if chain is None:
        return unknown
    position = next(i for i, item in enumerate(chain) if item is layer)
    passed, masked = "", 1.0
    for before in reversed(chain[:position]):
        kind = type(before).__name__
        if isinstance(before, _Data):
            return _fed(1.0, masked, f"the data{passed}")
        if (growth := _growth(before)) != 1.0:
            masked *= growth
            passed += f", through {kind} in training"
            continue
        if any(word in kind for word in NEUTRAL):
            passed = f", through {kind}" if "Pool" in kind else passed
            continue
        if "Norm" in kind:
            return _fed(1.0, masked, f"{kind}{passed}")
        if next(before.parameters(), None) is not None:
            return _fed(1.0, masked, f"{kind}{passed}, with no activation between")
        place = next(i for i, item in enumerate(chain) if item is before)
        moment = _scalar_moment(before, math.sqrt(math.prod(map(_growth, chain[max(0, place - 1) : place]))))
        if moment is None:
            return unknown
        return _fed(moment, masked, f"{kind}{passed} (order of the Sequential)")
    return unknown


def _growth(module: nn.Module) -> float:
    """What dropout multiplies a standard signal's second moment by, where it is in training mode; 1 for the rest."""
    drops = isinstance(module, _DropoutNd) and module.training and "Alpha" not in type(module).__name__
    rate = float(module.p) if drops and isinstance(module.p, int | float) else 0.0
    return 1 / (1 - rate) if 0 < rate < 1 else 1.0


def _fed(moment: float, masked: float, words: str) -> Fed:
    gain = 1 / math.sqrt(moment * masked)
    return Fed(gain, Reason("fed", f"gain {gain:.4g}: fed by {words}"))


def _scalar_moment(module: nn.Module, spread: float = 1.0) -> float | None:
    """E[φ(spread·z)²] if the module acts on each number alone, as its behaviour on a few numbers shows; else None."""
    probe = torch.tensor([[-2.0, -0.7, 0.0], [0.4, 1.1, 2.5]], dtype=torch.float32, device="cpu")
    try:
        with torch.no_grad(), untouched(module, seed=0):
            whole, turned, part = module(probe.clone()), module(probe.flip(0, 1)), module(probe[:, 1:2].clone())
            scalar = torch.equal(whole.flip(0, 1), turned) and torch.equal(whole[:, 1:2], part)
    except Exception:  # a module of the user's: whatever it raises, it is not known to be a scalar function
        return None
    if not scalar or whole.shape != probe.shape:
        return None
    with untouched(module, seed=0):
        return _function_moment(module if spread == 1.0 else lambda z: module(spread * z))
