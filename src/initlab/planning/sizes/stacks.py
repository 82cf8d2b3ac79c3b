"""Deep plain stacks: where a law that keeps the second moment would lose the input on the way, one that keeps it all.

In a chain of layers W φ(W φ(…)) without norms or branches, Var(W) = 1/(fan_in · E[φ²]) keeps the size of the signal
but not what it says: inputs become alike (ReLU, sigmoid) or gradients grow or fade with depth (tanh). Theory says after
how many layers. Beyond, an odd φ gets orthogonal weights at χ = 1, and any other mirrored orthogonal ones, for which
the odd part ψ(u) = φ(u) − φ(−u) takes the place of φ, as near χ = 1 as the depth asks.

Source: Schoenholz et al. 2017 (depth scales); Balduzzi et al. 2017, section 4.1; Pennington et al. 2017 (isometry).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from initlab import theory
from initlab.errors import InitlabError
from initlab.graph import SignalGraph, Use
from initlab.graph.expressions import ScalarFunction
from initlab.graph.kept import KEPT
from initlab.planning.plan import PlanEntry
from initlab.planning.reason import Reason
from initlab.schemes import get_scheme

ALIKE = 0.95  # correlation after the stack, of inputs that came with 0.5, from which they count as alike
GRADIENT = 4.0  # by what factor mean squared gradients may grow or fade through the stack
PROBE = torch.linspace(-4, 4, 33, dtype=torch.float64, device="cpu")
SMALL = 1e-6  # the second moment at which an odd activation is taken as its slope at zero
HALVINGS = 12  # of a range of 14 in log q, which leaves 0.3%

Function = Callable[[Any], Any]


@dataclass(frozen=True)
class Stack:
    """A chain of weights, each fed by nothing but the activation of the one before.

    Args:
        names: the weights in forward order; the last reads the last activation and belongs to what follows.
        activation: the function's name.
        function: the function.
        masked: what dropout multiplies the second moment by, of what reaches each weight.
    """

    names: tuple[str, ...]
    activation: str
    function: Function
    masked: tuple[float, ...] = ()

    @property
    def depth(self) -> int:
        return len(self.names) - 1

    @property
    def weights(self) -> tuple[str, ...]:
        """The stack's own, without the one that reads its last activation."""
        return self.names[:-1]


@dataclass(frozen=True)
class StackLaw:
    """What a stack's weights get, and why."""

    scheme: str
    gain: float
    why: str


def deep_stacks(
    graph: SignalGraph, entries: Iterable[PlanEntry], asked: Collection[str]
) -> list[tuple[Stack, StackLaw]]:
    """The stacks that lose the input under the laws of the rules, each with the law that carries it.

    Args:
        graph: the recording.
        entries: the plan by its rules.
        asked: names whose laws were asked for, which are not changed.
    """
    laws: dict[object, StackLaw | None] = {}  # few activations stand in many stacks, and theory takes its time for each
    found: list[tuple[Stack, StackLaw]] = []
    for stack in stacks_of(graph, {entry.name: entry for entry in entries if entry.name not in asked}):
        key = stack.depth, _values(stack.function)
        if key not in laws:
            laws[key] = _kept_law(stack)
        law = laws[key]
        if law is not None:
            found.append((stack, law))
    return found


def with_stacks(
    entries: tuple[PlanEntry, ...], found: Iterable[tuple[Stack, StackLaw]]
) -> tuple[tuple[PlanEntry, ...], frozenset[str]]:
    """The entries with deep plain stacks given laws that keep directions, and the names whose gain must stay."""
    by_name = {entry.name: entry for entry in entries}
    held: set[str] = set()
    for stack, law in found:
        for place, name in enumerate(stack.weights):
            by_name[name] = _entry(by_name[name], stack, law, place)
            held.update([name] if place else [])
    return tuple(by_name.values()), frozenset(held)


def stacks_of(graph: SignalGraph, entries: Mapping[str, PlanEntry]) -> Iterator[Stack]:
    """The maximal chains of one activation, among weights that are used once."""
    found = {name: graph.uses(name) for name, entry in entries.items() if entry.code == "fed"}
    uses = {name: made[0] for name, made in found.items() if len(made) == 1 and _plain(made[0])}
    makers = {use.operation.index: name for name, use in uses.items()}
    before = {name: made for name, use in uses.items() if (made := _before(graph, use, makers)) is not None}
    readers: dict[str, list[str]] = {}
    for name, made in before.items():
        readers.setdefault(made, []).append(name)
    after = {made: names[0] for made, names in readers.items() if len(names) == 1}
    goes_on = {made: name for made, name in after.items() if _same(uses, before, made, name)}
    for made, name in after.items():
        if made not in goes_on:
            names = [made, name]
            while names[-1] in goes_on:
                names.append(goes_on[names[-1]])
            feeds = uses[names[1]].feeds
            if feeds is not None and feeds.function is not None:
                masked = tuple(use.feeds.masked if use.feeds else 1.0 for use in map(uses.__getitem__, names))
                yield Stack(tuple(names), feeds.activation or "", feeds.function, masked)


def _plain(use: Use) -> bool:
    """Whether what feeds a weight is known and the weight is used as it is, not scaled first."""
    return use.feeds is not None and use.scaled == 1.0


def _same(uses: Mapping[str, Use], before: Mapping[str, str], made: str, name: str) -> bool:
    """Whether a weight that itself reads an activation is read through the same one."""
    one, other = uses[made].feeds, uses[name].feeds
    return made in before and one is not None and other is not None and one.activation == other.activation


def _before(graph: SignalGraph, use: Use, makers: Mapping[int, str]) -> str | None:
    """The one weight of whose output alone this use's input is a function; None where there is none."""
    feeds = use.feeds
    if feeds is None or feeds.function is None or feeds.source != "activation":
        return None
    signals = [value for value in use.operation.inputs if graph.values[value].source == "operation"]
    found: set[str] = set()
    stack, seen = signals[:1], set(signals[:1])
    while stack:
        operation = graph.producer(stack.pop())
        if operation is None:
            return None
        if operation.index in makers:
            found.add(makers[operation.index])
            continue
        if operation.traits.mixes or (operation.parameters and operation.kind != "add"):
            return None
        read = [value for value in operation.inputs if graph.values[value].source != "parameter"]
        if any(graph.values[value].source == "input" for value in read):
            return None
        stack.extend(value for value in read if value not in seen)
        seen.update(read)
    return found.pop() if len(found) == 1 else None


def _values(function: Function) -> object:
    """What tells a function from others: its values between -4 and 4; itself where it takes no such tensor."""
    try:
        return function(PROBE).numpy().tobytes()
    except (RuntimeError, TypeError, ValueError, AttributeError):
        return function


def _kept_law(stack: Stack) -> StackLaw | None:
    """`law_for`, which of a function that was recorded is found once a process."""
    function = stack.function
    if not isinstance(function, ScalarFunction):
        return law_for(stack)
    return KEPT.of(("stack", function.key, stack.depth), lambda: law_for(stack))


def law_for(stack: Stack) -> StackLaw | None:
    """The law for a stack that a second moment kept alone does not carry; None where it does, or where none is known.

    A function that theory cannot take leaves the plan as it is.
    """
    try:
        why = loses(stack.function, stack.depth)
        if not why:
            return None
        odd = is_odd(stack.function)
        part = stack.function if odd else odd_part(stack.function)
        gain = 1 / math.sqrt(theory.chi(part, SMALL)) if odd else gain_of(part, stack.depth)
    except (InitlabError, ValueError, TypeError, RuntimeError, ZeroDivisionError):
        return None
    if not (math.isfinite(gain) and gain > 0):
        return None
    return StackLaw("orthogonal" if odd else "mirrored", gain, why)


def gain_of(part: Function, depth: int) -> float:
    """The gain of orthogonal weights that read an odd part, for a stack of `depth` layers.

    g² = q / E[ψ(√q z)²] keeps the second moment q from layer to layer, and gradients then grow by χ = g² E[ψ'(√q z)²] a
    layer: at least by one, for E[ψ²] ≤ q E[ψ'²] (Poincaré's inequality for Gaussians), and by one alone where ψ is
    linear. So q is the largest, up to one, at which they grow by `GRADIENT` at most through the stack.
    """

    def kept(q: float) -> float:
        return math.sqrt(q / theory.moments(lambda z: part(math.sqrt(q) * z)).second)

    def grows(log_q: float) -> bool:
        q = math.exp(log_q)
        return depth * math.log(theory.chi(part, q, kept(q))) > math.log(GRADIENT)

    low, high = math.log(SMALL), 0.0
    if not grows(high):
        return kept(1.0)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if grows(middle) else (middle, high)
    return kept(math.exp(low))


def loses(function: Function, depth: int) -> str:
    """What goes wrong in `depth` layers with Var(W) = 1/(fan_in · E[φ²]), in words; "" where nothing does."""
    sigma_w = theory.gain(function)
    growth = theory.chi(function, 1.0, sigma_w)
    total = depth * math.log(growth) if growth > 0 else -math.inf
    if abs(total) > math.log(GRADIENT):
        return f"gradients {'grow' if total > 0 else 'fade'} ×{growth:.3g} a layer"
    correlation = 0.5
    for layer in range(depth):
        before, correlation = correlation, min(theory.correlation_map(function, correlation, 1.0, sigma_w), 1.0)
        if correlation > ALIKE:
            return f"inputs alike after {layer + 1} layers"
        # the map is convex, so that its steps towards a fixed point never lengthen
        if correlation + (depth - layer - 1) * (correlation - before) <= ALIKE:
            return ""
    return ""


def odd_part(function: Function) -> Function:
    """ψ(x) = φ(x) − φ(−x)."""
    return lambda x: function(x) - function(-x)


def is_odd(function: Function) -> bool:
    even = theory.moments(lambda x: function(x) + function(-x)).second
    return bool(even <= 1e-8 * theory.moments(function).second)


def _entry(entry: PlanEntry, stack: Stack, found: StackLaw, place: int) -> PlanEntry:
    geometry = entry.geometry
    if geometry is None:
        return entry
    rows, columns = geometry.shape[geometry.out_axis], geometry.shape[geometry.in_axis]
    spread = math.sqrt(max(1.0, rows / columns))  # a widening A keeps lengths, which more units then share
    scheme = "delta_orthogonal" if found.scheme == "orthogonal" and len(geometry.shape) > 2 else found.scheme
    recipe = get_scheme(scheme)
    if scheme == "mirrored" and place == 0:
        recipe = recipe.with_(side="outputs")
    gain = (found.gain if place else 1.0) * spread / math.sqrt(stack.masked[place])
    words = f"one of {stack.depth} plain layers of {stack.activation}, in which a kept second moment loses the input"
    reason = Reason("deep_stack", f"{words} ({found.why}): {scheme}, gain {gain:.4g}")
    law = recipe.law(geometry, gain)
    std = law.std_of(entry.shape)
    return entry.but(law=law, std=std, scheme=recipe.label, reason=reason, recipe=recipe, gain=gain, predicted=None)
