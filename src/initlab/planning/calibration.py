"""The calibrating pass: one forward with every weight drawn by its plan, where a std that misses its target is mended.

Rules derive the size of what a layer gives; a pass measures it. Each weight is drawn from its law just before its first
use, the second moment of what it makes is measured there, and where that misses the target the std is corrected and the
pass goes on with the corrected weight. Nothing is written into the model: drawn tensors stand in for its parameters at
every torch function, and the corrected std is a number of the plan, so values still follow from (seed, name, shape,
law) alone.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from initlab.errors import InputError
from initlab.graph import SignalGraph, run_under
from initlab.graph.operations import TABLE, Op
from initlab.graph.operations.dropping import Mask, drops_in_place, mask_of
from initlab.graph.spelling import in_place
from initlab.guest.inputs import mapped, tensors_in
from initlab.guest.modules import modules_of
from initlab.planning.drawing import job_of, write_one
from initlab.planning.plan import PlanEntry
from initlab.planning.reason import Reason
from initlab.planning.targets import Targets, targets_of
from initlab.reporting import format_number
from initlab.sampling import canonical_name
from initlab.sampling.laws import Uniform
from initlab.schemes import Geometry

SLACK = 1.2  # what a second moment may miss its target by before anything is corrected
SPREADS = 3.0  # and by how many standard deviations of one draw of the weight
SHRUNK = 0.25  # second moment of what a tied head reads, below which a constant shrinks it
LOGITS = 2**19  # numbers from which the loss of a read-out is measured
LARGEST = 2**32  # elements of all parameters beyond which a model is planned by its rules alone
FEWEST = 2**10  # numbers of a dropout mask from which it is drawn
HELD = 2**29  # bytes of drawn weights that a pass holds; older ones are drawn again where they are used again


@dataclass
class Found:
    """What one pass found.

    Args:
        factors: by parameter, what its std is to be multiplied by.
        measured: by parameter, the second moment of what it made as planned, and the target.
        scores: by weight of queries whose scores were too large, their second moment.
        grown: read-outs that a constant shrinks, brought to logits of unit variance.
    """

    factors: dict[str, float] = field(default_factory=dict)
    measured: dict[str, tuple[float, float]] = field(default_factory=dict)
    scores: dict[str, float] = field(default_factory=dict)
    grown: set[str] = field(default_factory=set)


def calibrated(
    model: nn.Module,
    entries: tuple[PlanEntry, ...],
    graph: SignalGraph,
    example_inputs: Any,
    fixed: Iterable[str] = (),
) -> tuple[tuple[PlanEntry, ...], str]:
    """The entries with each std corrected where one pass shows that it misses, and a note where no pass was possible.

    A table that is also the head is corrected first, and what is added to its rows is then measured once more.

    Args:
        model: the model; it is left as it was.
        entries: the plan by its rules.
        graph: the recording.
        example_inputs: as for `plan`.
        fixed: names whose laws were asked for, which are not changed.
    """
    parameters = dict(model.named_parameters(remove_duplicate=False))
    why = _impossible(parameters) or _scripted(model, entries)
    if why:
        return entries, why
    by_name = {entry.name: entry for entry in entries}
    owner = {name: entry.name for entry in entries for name in (entry.name, *entry.tied_to)}
    targets = targets_of(graph, by_name, owner)
    for _ in range(2):
        calibrator = Calibrator(by_name, targets, frozenset(fixed))
        try:
            calibrator.finish(run_under(model, example_inputs, calibrator, partial(calibrator.know, owner)))
        except InputError as error:
            return entries, f"not measured: {error}"
        found = calibrator.found
        by_name = {name: _corrected(entry, found, targets) for name, entry in by_name.items()}
        reached = {name: math.sqrt(second / target) / found.factors[name] for name in found.scores
                   for second, target in [found.measured.get(name, (1.0, 1.0))]}  # fmt: skip
        targets = replace(targets, inner={**targets.inner, **reached})
        if all(found.factors.get(name, 1.0) == 1.0 for name in targets.ties):
            break
    return tuple(by_name.values()), ""


def _impossible(parameters: Mapping[str, torch.Tensor]) -> str:
    if any(tensor.is_meta for tensor in parameters.values()):
        return "not measured: the model has no values (meta device)"
    if sum(tensor.numel() for tensor in parameters.values()) > LARGEST:
        return "not measured: the model is too large for a pass on the side"
    return ""


def _scripted(model: nn.Module, entries: Iterable[PlanEntry]) -> str:
    """Compiled code of TorchScript reads its own parameters, for which no drawn tensor can stand in."""
    written = [name for entry in entries if entry.law is not None for name in (entry.name, *entry.tied_to)]
    for path, module in modules_of(model).values():
        within = f"{canonical_name(path)}." if path else ""
        if isinstance(module, torch.jit.ScriptModule) and any(name.startswith(within) for name in written):
            return f"not measured: {type(model).__name__ if not path else repr(path)} is scripted, and runs with the " \
                   "values that it holds"  # fmt: skip
    return ""


def adjustable(entry: PlanEntry | None) -> bool:
    """Whether a law has a std that can be multiplied."""
    if entry is None or entry.law is None or entry.recipe is None or not entry.std:
        return False
    return entry.gain is not None or "std" in entry.recipe.arguments


def _corrected(entry: PlanEntry, found: Found, targets: Targets) -> PlanEntry:
    factor, seen = found.factors.get(entry.name, 1.0), entry.measured or found.measured.get(entry.name)
    entry = replace(entry, measured=seen)
    if factor == 1.0 or entry.recipe is None or entry.std is None:
        return entry
    reason = Reason(entry.code, f"{entry.reason}; {_words(entry.name, found, targets, factor)}")
    correction, recipe, gain = entry.correction * factor, entry.recipe, entry.gain
    if gain is None:  # fixed numbers
        recipe = replace(recipe, arguments={**recipe.arguments, "std": recipe.arguments["std"] * factor})
    law = recipe.law(entry.geometry or Geometry.bare(entry.shape), None if gain is None else gain * correction)
    std = law.std_of(entry.shape)
    return replace(entry, law=law, std=std, recipe=recipe, scheme=recipe.label, reason=reason, correction=correction)


def _words(name: str, found: Found, targets: Targets, factor: float) -> str:
    change = f"std ×{format_number(factor)}"
    if name in found.grown:
        return f"read-out behind a constant that shrinks it: logits of unit variance, {change}"
    if name in targets.heads:
        return f"read-out: first loss within {targets.excess:.1%} of a uniform guess, {change}"
    if name in targets.positions:
        return f"a share of what it is added to, {change}"
    if name in targets.ends:
        return f"one of {len(targets.ends)} that end residual branches, each a share of the stream, {change}"
    if name in found.scores:
        return f"attention scores: second moment {format_number(found.scores[name])} for 1, {change}"
    if name in found.measured:
        second, target = found.measured[name]
        return f"measured {format_number(second)} for {format_number(target)}, {change}"
    return change


@dataclass(frozen=True)
class _Mark:
    """What is known of a live tensor: the weights that it is proportional to, or the parameter that it is."""

    tensor: weakref.ref[torch.Tensor]
    names: frozenset[str] = frozenset()
    of: str = ""


@dataclass(frozen=True)
class _Logits:
    """What a read-out gives.

    Args:
        shape: the shape of its logits.
        axis: the axis of the classes.
        second: their second moment.
        most: what its std may grow by.
        luck: what brings this draw's logits to the size that draws have on average.
        shrunk: whether a constant before a tied head makes its logits smaller, and slower to learn, by as much.
    """

    shape: torch.Size
    axis: int
    second: float
    most: float
    luck: float = 1.0
    shrunk: bool = False

    def stand_in(self, tensor: torch.Tensor) -> bool:
        """Whether a tensor has the same classes along the same axis."""
        last = self.axis == -1 and tensor.dim() > 0 and tensor.shape[-1] == self.shape[-1]
        return tensor.shape == self.shape or last


class Calibrator(TorchFunctionMode):
    """Stands drawn tensors in for parameters while it is entered, measures, and corrects."""

    def __init__(self, entries: Mapping[str, PlanEntry], targets: Targets, fixed: frozenset[str]) -> None:
        super().__init__()
        self.entries, self.targets, self.fixed = entries, targets, fixed
        self.parameters: dict[int, str] = {}
        self.found = Found()
        self._drawn: dict[str, torch.Tensor] = {}
        self._places: dict[str, int] = {}
        self._bytes = 0
        self._masks = 0
        self._marks: dict[int, _Mark] = {}
        self._met: set[tuple[str, bool]] = set()
        self._joined: set[str] = set()
        self._at_head: dict[str, _Logits] = {}
        self._read_out: dict[str, float] = {}

    def know(self, owner: Mapping[str, str], names: Mapping[int, str]) -> None:
        """Takes the parameters of the running model: id -> the name of their entry."""
        self.parameters = {key: owner[canonical_name(name)] for key, name in names.items()}

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        args, kwargs = mapped((args, kwargs or {}), self._stand_in)
        kind, writes = TABLE.kind_of(func), in_place(func)
        if not kind:
            return func(*args, **kwargs)
        op = TABLE[kind]
        if op.drops and (mask := mask_of(kind, args, kwargs)) is not None:
            kept = self._dropped(mask, args[0])
            return self._after(op, args[:1], {}, args[0].copy_(kept) if drops_in_place(args, kwargs) else kept)
        if op.combines == "sum" and len(args) > 1:
            args = (*self._before_sum(args[0], args[1], writes), *args[2:])
        if op.attends and kwargs.get("scale") is not None:
            args = (self._before_scores(args, kwargs["scale"]), *args[1:])
        return self._after(op, args, kwargs, func(*args, **kwargs))

    # -- standing in --

    def _stand_in(self, tensor: torch.Tensor) -> torch.Tensor:
        name = self.parameters.get(id(tensor))
        return tensor if name is None else self._draw(name, tensor)

    def _draw(self, name: str, parameter: torch.Tensor) -> torch.Tensor:
        made = self._drawn.get(name)
        if made is None:
            entry, made = self.entries.get(name), parameter.detach()
            place = self._places.setdefault(name, len(self._places))
            if entry is not None and entry.law is not None:
                made = torch.empty(parameter.shape, dtype=parameter.dtype, device=parameter.device)
                job = f"drawn {place}"  # by order of use: wrappers and renames change no measurement
                write_one(job_of(job, made, entry.law), 0)
                made.mul_(self.found.factors.get(name, 1.0))
            self._hold(name, made)
            self._mark(made, of=name)
        return made

    def _hold(self, name: str, made: torch.Tensor) -> None:
        self._drawn[name] = made
        self._bytes += made.nbytes
        while self._bytes > HELD and len(self._drawn) > 1:
            self._bytes -= self._drawn.pop(next(iter(self._drawn))).nbytes

    def _mark(self, tensor: torch.Tensor, names: frozenset[str] = frozenset(), of: str = "") -> None:
        self._marks[id(tensor)] = _Mark(weakref.ref(tensor), names, of)

    def _known(self, tensor: torch.Tensor) -> _Mark:
        found = self._marks.get(id(tensor))
        return found if found is not None and found.tensor() is tensor else _Mark(weakref.ref(tensor))

    def _dropped(self, mask: Mask, signal: torch.Tensor) -> torch.Tensor:
        """What is left in training: by a mask of its own stream, or, where few numbers would decide, by its root mean
        square."""
        shape = mask.shape(tuple(signal.shape))
        self._masks += 1
        if math.prod(shape) < FEWEST:
            return signal.clone() if mask.alpha else signal * math.sqrt(mask.second)
        drawn = torch.empty(shape, dtype=torch.float32, device=signal.device)
        write_one(job_of(f"mask {self._masks}", drawn, Uniform(0.0, 1.0)), 0)
        return mask.applied(signal, drawn >= mask.rate)

    # -- following --

    def _after(self, op: Op, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> Any:
        read = [(tensor, self._known(tensor)) for tensor in tensors_in((args, kwargs))]
        weights = [(tensor, mark) for tensor, mark in read if mark.of]
        signals = [(tensor, mark) for tensor, mark in read if not mark.of and tensor.is_floating_point()]
        if weights and not signals and op.combines == "contraction":  # a layer's weight and what it is given, kept
            kept = [(tensor, mark) for tensor, mark in weights[:1] if not self._is_weight(mark.of)]
            signals, weights = kept, weights[len(kept) :]
        if weights and not signals:
            return self._from_parameters(op, weights, len(read), result)
        if op.combines == "product" and len(weights) == 1 and not any(mark.names for _, mark in signals):
            return self._scaled(*weights[0], result)
        if op.weights is not None and op.combines == "contraction" and weights:
            name = next((mark.of for _, mark in weights if self._is_weight(mark.of)), weights[0][1].of)
            given = signals[0][0] if signals else None
            return self._applied(name, weights, result, name in self.targets.heads, given)
        if op.logits:
            self._read_outs(signals[:1])
        if op.combines == "contraction" and len(signals) == 2:
            names = signals[0][1].names
            result = result * self._to_unit_scores(names, result, self._scale_of_scores(names))
        self._mark_all(result, self._carried(op, signals))
        return result

    def _mark_all(self, result: Any, names: frozenset[str]) -> None:
        for tensor in tensors_in(result) if names else ():
            self._mark(tensor, names)

    def _from_parameters(self, op: Op, weights: list[tuple[torch.Tensor, _Mark]], read: int, result: Any) -> Any:
        name = weights[0][1].of
        if op.rows and read > len(weights) and name in self.targets.tables:
            return self._applied(name, weights[:1], result)
        if op.combines == "product" and len(weights) == 1:
            return self._scaled(*weights[0], result)
        if op.proportional and all(mark.of == name for _, mark in weights):
            for tensor in tensors_in(result):
                self._mark(tensor, of=name)
        return result

    def _scaled(self, weight: torch.Tensor, mark: _Mark, result: Any) -> Any:
        """A weight times a mask or a number of its layer's is that weight; times a signal, it is another tensor."""
        for tensor in tensors_in(result) if self._is_weight(mark.of) else ():
            if tensor.shape == weight.shape:
                self._mark(tensor, of=mark.of)
        return result

    def _carried(self, op: Op, signals: list[tuple[torch.Tensor, _Mark]]) -> frozenset[str]:
        """The weights that an operation's output is proportional to."""
        named = [mark.names for _, mark in signals]
        if not any(named):
            return frozenset()
        if op.gathers:
            live = [mark.names for tensor, mark in signals if mark.names or bool(tensor.any())]
            return frozenset[str]().union(*live) if all(live) else frozenset()
        if op.multiplies:
            found = [names for names in named if names]
            return found[0] if len(found) == 1 else frozenset()
        if op.attends:
            return named[2] if len(named) > 2 else frozenset()
        return named[0] if op.proportional and named else frozenset()

    # -- measuring --

    def _is_weight(self, name: str) -> bool:
        entry = self.entries.get(name)
        return entry is not None and entry.role in ("weight", "embedding")

    def _free(self, name: str) -> bool:
        return name not in self.fixed and adjustable(self.entries.get(name))

    def _applied(
        self,
        name: str,
        weights: list[tuple[torch.Tensor, _Mark]],
        result: Any,
        head: bool = False,
        given: torch.Tensor | None = None,
    ) -> Any:
        made = next(tensors_in(result), None)
        if made is None or not made.is_floating_point() or made.numel() == 0:
            return result
        if any(mark.of != name and bool(tensor.any()) for tensor, mark in weights):
            return result  # a bias that is not zero: what comes out is not in proportion to the weight
        if (name, head) not in self._met:
            self._met.add((name, head))
            factor = self._factor(name, made) if name in self.entries and not head else 1.0
            if head and name in self.entries:
                self._meet_head(name, made, given)
            if factor != 1.0 and self._free(name):
                self._scale({name}, factor, weights)
                result = made = made * factor
        self._mark(made, frozenset({name}))
        return result

    def _factor(self, name: str, made: torch.Tensor) -> float:
        second, entry = second_moment(made), self.entries[name]
        if second is None:
            return 1.0
        target = self.targets.of(name)
        if target is None:
            return 1.0
        self.found.measured[name] = (second, target)
        return rounded(math.sqrt(target / second)) if misses(second / target, _units(made, entry)) else 1.0

    # -- read-outs: what is said of them is said of the logits that a loss reads, past the factors that follow them --

    def _meet_head(self, name: str, made: torch.Tensor, given: torch.Tensor | None) -> None:
        second, entry = second_moment(made), self.entries[name]
        if second is None:
            return
        most = max(1.0, 1 / entry.std) if entry.std and name in self.targets.ties else 1.0
        axis = _class_axis(made, entry)
        shrunk = name in self.targets.ties and _is_shrunk(second, entry)
        logits = _Logits(made.shape, axis, second, most, _luck(second, entry, given), shrunk)
        self._at_head[name] = logits
        self._read_out[name] = self._to_first_loss(made, logits)

    def _to_first_loss(self, tensor: torch.Tensor, logits: _Logits) -> float:
        if logits.shrunk:
            return rounded(min(logits.most, 1 / math.sqrt(float((tensor * logits.luck).var(logits.axis).mean()))))
        excess = self.targets.excess_of(tensor.shape[logits.axis])
        return head_factor(tensor * logits.luck, logits.axis, excess, logits.most)

    def _read_outs(self, read: Iterable[tuple[torch.Tensor, _Mark]]) -> None:
        for tensor, mark in read:
            for name in mark.names & self._at_head.keys():
                logits = self._at_head[name]
                if logits.stand_in(tensor):
                    self._read_out[name] = self._to_first_loss(tensor, logits)

    def finish(self, outputs: Any) -> None:
        """Takes what the model returned: the read-outs are brought to their first loss there."""
        self._read_outs((tensor, self._known(tensor)) for tensor in tensors_in(outputs))
        for name, factor in self._read_out.items():
            second = self._at_head[name].second
            self.found.measured[name] = (second, second * factor * factor)
            self.found.grown |= {name} if self._at_head[name].shrunk else set()
            if factor != 1.0 and self._free(name):
                self._scale({name}, factor)

    def _scale(
        self, names: Iterable[str], factor: float, copies: list[tuple[torch.Tensor, _Mark]] | None = None
    ) -> None:
        for name in names:
            drawn = self._drawn.get(name)
            if drawn is not None:
                drawn.mul_(factor)
            own = None if drawn is None else drawn.untyped_storage().data_ptr()
            self.found.factors[name] = self.found.factors.get(name, 1.0) * factor
            for tensor, mark in copies or ():
                if mark.of == name and tensor.untyped_storage().data_ptr() != own:
                    tensor.mul_(factor)

    # -- attention scores: no larger than of unit variance, whatever stands between them and the softmax --

    def _before_scores(self, args: tuple[Any, ...], scale: float) -> torch.Tensor:
        queries, keys = args[:2]
        sample = queries[:1, : keys.shape[1]] @ keys[:1].transpose(-2, -1)
        scaled: torch.Tensor = queries * self._to_unit_scores(self._known(queries).names, sample, scale)
        self._mark(scaled, self._known(queries).names)
        return scaled

    def _scale_of_scores(self, names: frozenset[str]) -> float | None:
        found = {self.targets.queries.get(name) for name in names}
        made = found.pop() if len(found) == 1 else None
        return None if made is None else made.constant

    def _to_unit_scores(self, names: frozenset[str], scores: torch.Tensor, scale: float | None) -> float:
        """What brings the scores that queries make to second moment one; 1 where they are no larger."""
        second = second_moment(scores)
        if not names or scale is None or second is None or not all(self._free(name) for name in names):
            return 1.0
        second *= scale**2
        units = scores.shape[-3] if scores.dim() > 2 else 1
        if names & self.found.scores.keys() or second <= 1 or not misses(second, units):
            return 1.0
        factor = rounded(1 / math.sqrt(second))
        self._scale(names, factor)
        self.found.scores |= dict.fromkeys(names, second)
        return factor

    # -- sums: branches and positions get their share of what they are added to --

    def _before_sum(self, left: Any, right: Any, writes: bool) -> tuple[Any, Any]:
        if not (isinstance(left, torch.Tensor) and isinstance(right, torch.Tensor)):
            return left, right
        return self._shared(left, right, writes), self._shared(right, left)

    def _shared(self, part: torch.Tensor, other: torch.Tensor, writes: bool = False) -> torch.Tensor:
        """What is added, brought to its share of the other; itself where the sum is written into it."""
        mark = self._known(part)
        names = mark.names or (frozenset({mark.of}) & self.targets.positions)
        share = self.targets.share(names, self._known(other).names)
        if share is None or names & self._joined or not all(self._free(name) for name in names):
            return part
        own, base = second_moment(part), second_moment(other)
        if own is None or base is None or other.numel() < 2:
            return part
        self._joined |= names
        factor = rounded(min(math.sqrt(share * base / own), self._room(names, base)))
        if factor == 1.0 or (factor > 1 and names <= self.targets.positions):
            return part
        self._scale(names, factor)
        if mark.of:
            return part
        scaled = part.mul_(factor) if writes else part * factor
        self._mark(scaled, names)
        return scaled

    def _room(self, names: frozenset[str], base: float) -> float:
        """What a branch may grow by: its weight's own output not beyond what it is added to, whatever scales it after.

        A step of an integrator, y + h·f(y), is small on purpose.
        """
        made = [self.found.measured[name][0] * self.found.factors.get(name, 1.0) ** 2 for name in names
                if name in self.found.measured]  # fmt: skip
        return max([1.0, math.sqrt(max(1.0, base) / max(made))] if made and max(made) > 0 else [math.inf])


def second_moment(tensor: torch.Tensor) -> float | None:
    """E[y²] over the finite elements; None where there are none or all are zero."""
    if not tensor.is_floating_point() or tensor.numel() == 0:
        return None
    numbers = tensor.detach().float()
    found = float(numbers.square().mean())
    if not math.isfinite(found):
        numbers = numbers[numbers.isfinite()]
        found = float(numbers.square().mean()) if numbers.numel() else 0.0
    return found if found > 0 and math.isfinite(found) else None


def _units(made: torch.Tensor, entry: PlanEntry) -> int:
    """How many units of the layer one draw of its weight makes."""
    geometry = entry.geometry
    if geometry is None or entry.role == "embedding" or len(geometry.shape) < 2:
        return max(1, made.shape[-1] if made.dim() else 1)
    return max(1, geometry.shape[geometry.out_axis])


def _luck(second: float, entry: PlanEntry, given: torch.Tensor | None) -> float:
    """√(E[z²] over draws / E[z²] of this draw) of z = Wx, E[z²] = std² Σ x²; 1 where W is no plain matrix."""
    if given is None or entry.std is None or entry.geometry is None or entry.geometry.kind != "linear":
        return 1.0
    lengths = given.detach().float().square().sum(-1)
    expected = entry.std**2 * float(lengths[lengths.isfinite()].mean())
    return math.sqrt(expected / second) if expected > 0 and math.isfinite(expected) else 1.0


def _is_shrunk(second: float, entry: PlanEntry) -> bool:
    """Whether what a tied head reads is far smaller than a norm's output, by a constant: T5's 1/√d.

    The rows of such a table have to be as much larger before the logits that they can make tell classes apart, and an
    optimizer moves them no faster: it begins at logits of unit variance, which cost 1/2 above ln C at first, since with
    the usual bound it trains worse.
    """
    return bool(entry.std) and second / (entry.shape[-1] * (entry.std or 1.0) ** 2) < SHRUNK


def misses(ratio: float, units: int) -> bool:
    """Whether a second moment misses by more than the slack, and by more than one draw's spread explains.

    The second moment over m Gaussian units spreads by √(2/m) from draw to draw where the inputs agree most.
    """
    slack = max(SLACK, 1 + SPREADS * math.sqrt(2 / units))
    return ratio > slack or ratio < 1 / slack


def rounded(factor: float) -> float:
    """To three digits, so that the last bits of a measurement do not reach the values."""
    return float(f"{factor:.3g}")


def _class_axis(made: torch.Tensor, entry: PlanEntry) -> int:
    return 1 if entry.geometry is not None and entry.geometry.kind.startswith("conv") and made.dim() > 2 else -1


def head_factor(logits: torch.Tensor, axis: int, excess: float, most: float = 1.0) -> float:
    """The largest s ≤ `most` with E[logsumexp(s·z) − mean(s·z)] ≤ (1 + excess)·ln C: the first loss by chance labels.

    Args:
        logits: what the head gives; classes along `axis`.
        axis: the axis of the classes.
        excess: how far above ln C the first loss may lie, as a share of ln C.
        most: the largest factor; a table that is also the head may grow, where a constant before the head shrinks it.
    """
    rows = logits.detach().movedim(axis, -1).reshape(-1, logits.shape[axis])
    rows = rows[:: max(1, len(rows) // min(512, max(16, LOGITS // logits.shape[axis])))]
    rows = rows[rows.isfinite().all(-1)].double()
    classes = rows.shape[-1]
    if classes < 2 or not len(rows):
        return 1.0

    def loss(scale: float) -> float:
        return float((torch.logsumexp(scale * rows, -1) - scale * rows.mean(-1)).mean())

    bound, above = (1 + excess) * math.log(classes), loss(1.0) / math.log(classes) - 1
    if loss(most) <= bound:
        return rounded(most)
    if 0.2 * excess <= above <= 1.3 * excess:
        return 1.0  # near enough: the law stays as derived
    low, high = 0.0, most
    for _ in range(24):
        middle = (low + high) / 2
        low, high = (middle, high) if loss(middle) <= bound else (low, middle)
    return rounded(low)
