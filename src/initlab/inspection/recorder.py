"""Watching one forward pass: every call that reads a parameter, every activation function, every normalization."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from initlab.graph.operations import TABLE
from initlab.graph.spelling import in_place, name_of
from initlab.guest.inputs import tensors_in
from initlab.guest.run import Follower
from initlab.guest.transformed import (
    Outside,
    behind,
    is_batched_gradient,
    is_transformed,
    outside,
    plain,
    whole,
    wholes,
)
from initlab.guest.writes import unwatched
from initlab.inspection.activations import activation_of
from initlab.inspection.events import Events
from initlab.inspection.fetching import fetched
from initlab.inspection.moments import Measurement, Moments, measure, settled
from initlab.inspection.squares import square_of

Tensor = torch.Tensor


@dataclass
class Record:
    """One watched call. Measured in the forward pass, and its gradient in the backward pass; `Recorder.settle` then
    brings the numbers from the device, all together.

    `origin` is the index of the last record whose signal it reads, -1 where that is the inputs themselves; `attached`
    is whether a gradient can reach it.
    """

    index: int
    module: str
    kind: str
    activation: bool
    parameters: tuple[str, ...]
    shape: tuple[int, ...]
    axis: int
    measured: Measurement = field(repr=False)
    arriving: Measurement | None = field(default=None, repr=False)
    waiting: dict[str, Tensor] = field(default_factory=dict, repr=False)
    moments: Moments = field(init=False)
    input_mean: Tensor | None = None
    input_row_share: float | None = None
    input_second: float | None = None
    input_rank: float | None = None
    input_filled: float | None = None
    grad_square: float | None = None
    grad_unit_sum: Tensor | None = field(default=None, repr=False)
    origin: int = -1
    attached: bool = True

    @property
    def norm(self) -> bool:
        """Whether it sets the size of what it gives."""
        return TABLE.named(self.kind).norm

    @property
    def scale(self) -> str:
        """The parameter by which a norm multiplies what it has normalised, its first; "" for none."""
        first = next(iter(self.parameters), "")
        return first if self.norm and not first.endswith("bias") else ""

    def settle(self, own: Moments | None, arriving: Moments | None, numbers: Mapping[str, float]) -> None:
        """Fill in what was brought from the device: the moments of its output and input, and other numbers."""
        assert own is not None
        self.moments = own
        if arriving is not None:
            self.input_mean, self.input_second = arriving.unit_mean, arriving.second_moment
            self.input_row_share = arriving.between if arriving.row_share is None else arriving.row_share
        self.input_filled = numbers.get("filled")
        self.grad_square = numbers.get("gradient")
        self.waiting.clear()


@dataclass(frozen=True)
class Readout:
    """The last call so far that multiplies by a weight matrix, what it reads, and the axis of the batch in that."""

    record: Record
    source: Tensor
    axis: int | None


class TensorSet:
    """Tensors known by identity, without keeping them alive, each with a note."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[weakref.ref[Tensor], Any]] = {}
        self._outside = Outside()

    def add(self, tensor: Tensor, note: Any = True) -> None:
        self._known[id(tensor)] = (weakref.ref(tensor), note)
        self._outside.add(tensor, note)

    def get(self, tensor: Tensor) -> Any:
        entry = self._known.get(id(tensor))
        if entry is not None and entry[0]() is tensor:
            return entry[1]
        return self.get(behind(tensor)) if is_transformed(tensor) else self._outside.get(tensor)


class Recorder(TorchFunctionMode):
    """Records the forward pass that runs inside `with Recorder(...)`.

    A call is a layer when it reads data and a parameter (or something computed from parameters alone, such as a
    normalised weight), wherever in the model's code it stands. Calls are named after the module that runs them; the
    parameters tell which module that is when `forward` is called directly.
    """

    def __init__(self, model: nn.Module, batch: int | None, follower: Follower, *, wide: bool = False) -> None:
        super().__init__()
        self._wide = wide
        self.records: list[Record] = []
        self.batch = batch
        self._stack = follower.stack
        self.last: Record | None = None
        self.readout: Readout | None = None
        self.events = Events()
        self.hooked = False  # whether the model put hooks of its own on tensors
        self._parameters: dict[int, tuple[str, Tensor]] = {}
        for name, parameter in model.named_parameters():
            self._parameters.setdefault(id(parameter), (name, parameter))
        own = (value for module in model.modules() for value in vars(module).values())
        self._attributes = {id(value) for value in own if isinstance(value, Tensor)}
        self._matrices = {name for name, parameter in self._parameters.values() if parameter.ndim > 1}
        self._data = TensorSet()
        self._weights = TensorSet()
        self._means = TensorSet()

    def watch(self, inputs: Iterable[Tensor]) -> None:
        """Tell the recorder which tensors are data."""
        for tensor in inputs:
            self._data.add(tensor, -1)

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        named = dict(kwargs or {})
        output = func(*args, **named)
        with unwatched():
            self._observe(func, args, named, output)
        return output

    def _observe(self, func: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any], output: Any) -> None:
        name, results = name_of(func), list(tensors_in(output))
        self.hooked = self.hooked or name == "register_hook"
        tensors = list(tensors_in((args, kwargs))) if results or in_place(func) else []
        if not tensors:
            return
        data = [t for t in tensors if self._data.get(t) is not None]
        names = self._parameter_names(tensors)
        here = self._stack[-1][0] if self._stack else ""
        if any(result.requires_grad for result in results):
            for tensor in filter(self._loose, tensors):
                self.events.unlisted(tensor, here)
        if data and in_place(func):
            self._data.add(tensors[0], max(self._data.get(t) for t in data))
        if not data:
            for result in results if names else ():
                self._weights.add(result, names)
            return
        origins = [self._data.get(t) for t in data]
        for result in results:
            self._data.add(result, max(origins))
        with outside():
            self.events.see(TABLE.kind_of(func), here, wholes(args), kwargs, origins, wholes(output))
        op = TABLE.named(name)
        if not (op.shape_only or op.random_like) and _cuts(tensors, results):
            self.events.cut(name, here, max(origins))
        floating = [r for r in results if r.is_floating_point() and r.ndim > 0 and is_plain(r)]
        if not floating or name.startswith("__get"):
            return
        kind = activation_of(name)
        if name.rstrip("_") == "clamp" and _clamps_at_zero(args, kwargs):
            kind = "relu"
        if names or kind or TABLE.named(name).norm:
            with outside():
                self._record(kind or name.rstrip("_"), kind is not None and not names, names, data, floating[0])
            for result in floating:  # the last state of a recurrent layer is no more the inputs than its outputs are
                self._data.add(result, len(self.records) - 1)

    def _record(self, kind: str, activation: bool, names: tuple[str, ...], data: list[Tensor], output: Tensor) -> None:
        source = next((whole(t) for t in data if t.is_floating_point() and is_plain(t)), None)
        rank, hooked = output.ndim, plain(output)
        output = whole(output)
        axis = self._unit_axis(kind, output, source, rank)
        record = Record(
            index=len(self.records),
            module=self._module(names),
            kind=kind,
            activation=activation or (kind == "prelu"),
            parameters=names,
            shape=tuple(output.shape),
            axis=axis,
            measured=measure(output, kind, self.batch, axis, wide=self._wide),
            origin=max(self._data.get(t) for t in data),
            attached=hooked.requires_grad,
        )
        if source is not None and names:
            self._read_input(record, source, kind)
        self.records.append(record)
        self.last = record
        if record.measured.unit_mean is not None:
            self._means.add(output, (record.measured, axis))
        if hooked.requires_grad:
            hooked.register_hook(_gradient_hook(record, by_unit=hooked.shape == output.shape))  # type: ignore[no-untyped-call]  # torch leaves it so

    def _read_input(self, record: Record, source: Tensor, kind: str) -> None:
        """What arrives at the layer: needed to tell a gradient that separates samples from one that only shifts all."""
        known = self._means.get(source)
        if known is None:
            axis = TABLE.named(kind).features
            known = (measure(source, "", self.batch, axis, wide=self._wide, drawn=False), axis)
        record.arriving, _ = known
        if record.arriving.tells_samples_apart and self._matrices.intersection(record.parameters):
            self.readout = Readout(record, source.detach(), record.arriving.batch_axis)
        if record.origin < 0:
            record.waiting["filled"] = torch.count_nonzero(source.detach()).float() / max(1, source.numel())

    def settle(self) -> bool:
        """Bring what was measured from the device; whether all of it can be told from a pass that was not `wide`."""
        every = {id(m): m for r in self.records for m in (r.measured, r.arriving) if m is not None}
        known = dict(zip(every, settled(list(every.values())), strict=True))
        numbers = fetched([r.waiting for r in self.records])
        self.events.settle()
        if any(moments is None for moments in known.values()):
            return False
        for record, own in zip(self.records, numbers, strict=True):
            record.settle(known[id(record.measured)], known.get(id(record.arriving)), own)
        return True

    def _unit_axis(self, kind: str, output: Tensor, source: Tensor | None, rank: int) -> int:
        """The axis of units in an output, which has `rank` axes to the function that gives it."""
        if TABLE.named(kind).features == 1:
            places = int(kind[-2]) if kind.endswith(("1d", "2d", "3d")) else rank - 2
            return max(0, output.ndim - 1 - max(0, places))
        if source is not None:
            known = self._means.get(source)
            if known is not None and source.shape == output.shape:
                return int(known[1])
        activation = activation_of(kind) is not None
        if activation and self.last is not None and self.last.shape == tuple(output.shape):
            return self.last.axis
        return 1 if output.ndim >= 4 and activation else output.ndim - 1

    def _parameter_names(self, tensors: Iterable[Tensor]) -> tuple[str, ...]:
        found: dict[str, None] = {}
        for tensor in tensors:
            entry = self._parameters.get(id(plain(tensor)))
            if entry is not None:
                found[entry[0]] = None
            else:
                for name in self._weights.get(tensor) or ():
                    found[name] = None
        return tuple(found)

    def _loose(self, tensor: Tensor) -> bool:
        """Whether it is to be trained, by its class or as a module's attribute, and is none of the model's parameters.

        A leaf that the forward pass makes, such as a displacement that forces are derivatives by, is not meant.
        """
        if not (tensor.requires_grad and tensor.is_leaf) or id(tensor) in self._parameters:
            return False
        meant = isinstance(tensor, nn.Parameter) or id(tensor) in self._attributes
        return meant and self._data.get(tensor) is None

    def _module(self, names: tuple[str, ...]) -> str:
        here = self._stack[-1][0] if self._stack else ""
        if not names:
            return here
        owner = names[0].rpartition(".")[0].partition(".parametrizations")[0]
        return owner if owner.startswith(here) else here


def _gradient_hook(record: Record, *, by_unit: bool) -> Callable[[Tensor], None]:
    """A tensor hook that adds up the gradient's numbers; it holds the record, never the activation."""

    def hook(gradient: Tensor | None) -> None:
        if gradient is None:  # an autograd function of the model's own that gives none back
            return
        if is_batched_gradient(gradient):  # of a derivative that the forward pass takes, and not of the loss
            return
        g = gradient.detach()
        if g.dtype not in (torch.float32, torch.float64):
            g = g.float()
        record.waiting["gradient"] = square_of(g)
        if record.parameters and g.ndim >= 2 and by_unit:
            others = [d for d in range(g.ndim) if d != record.axis % g.ndim]
            record.grad_unit_sum = g.sum(others)

    return unwatched()(hook)


def _cuts(tensors: Iterable[Tensor], results: Sequence[Tensor]) -> bool:
    """Whether a call on tensors that have a gradient gives floating-point values that have none."""
    made = [r for r in results if r.is_floating_point()]
    return bool(made) and not any(r.requires_grad for r in made) and any(t.requires_grad for t in tensors)


def is_plain(tensor: Tensor) -> bool:
    """Whether every element is at hand: no statistics are taken of sparse and nested tensors."""
    return tensor.layout == torch.strided and not tensor.is_nested


def _clamps_at_zero(args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
    """Whether a clamp has the lower bound 0, a number or a tensor of zeros, and no upper bound."""
    low = kwargs.get("min", args[1] if len(args) > 1 else None)
    high = kwargs.get("max", args[2] if len(args) > 2 else None)
    if high is not None or low is None:
        return False
    return not bool(low.any()) if isinstance(low, Tensor) else low == 0
