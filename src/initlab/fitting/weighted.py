"""Catches each weight at work: the linear operations of a forward pass whose operand is (a view of) a parameter.

The pass is watched below autograd, where every layer has become a matrix product or a convolution, so that it makes no
difference whether a weight is used by a torch layer, by hand, as one chunk of a packed tensor, or inside a recurrent
layer. A weight is known by its memory; copies (a cast under autocast, `contiguous`) are followed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from initlab.fitting.running import plain_kernels
from initlab.guest.check import is_strided
from initlab.guest.inputs import brought, mapped, on_host, tensors_in

_ATEN = torch.ops.aten

# operation -> places of the operands that may be a weight, axis of the output that holds the output units, bias place
_LINEAR: dict[Any, tuple[tuple[int, ...], int, int | None]] = {
    _ATEN.mm.default: ((1, 0), -1, None),
    _ATEN.addmm.default: ((2, 1), -1, 0),
    _ATEN.bmm.default: ((1, 0), -1, None),
    _ATEN.baddbmm.default: ((2, 1), -1, 0),
    _ATEN.mv.default: ((0, 1), -1, None),
    _ATEN.addmv.default: ((1, 2), -1, 0),
    _ATEN.dot.default: ((1, 0), -1, None),
    _ATEN.convolution.default: ((1,), 1, 2),
    _ATEN._trilinear.default: ((1,), -1, None),
}
_PRODUCTS = {_ATEN.mm.default, _ATEN.addmm.default, _ATEN.bmm.default, _ATEN.baddbmm.default}
_COPIES = {_ATEN.clone.default, _ATEN._to_copy.default}
_LOOKUPS = {_ATEN.embedding.default, _ATEN._embedding_bag.default, _ATEN._embedding_bag_forward_only.default}


@dataclass
class Call:
    """One use of a weight in a linear operation, which can be run again after the weight has been changed.

    Args:
        name: the parameter's name.
        weight: the part of the parameter that is used, sharing its memory.
        whole: whether that is the whole parameter.
        axis: the axis of the output that holds the output units.
        bias: the name of the bias that the same operation adds; "" for none.
        output: what the operation gave.
        again: runs it again.
        copies: what it reads instead, of copies of the weight.
        bias_copies: copies of the bias, likewise.
        unit_axis: the axis of `weight` along which the output units lie; None where there is no such axis.
        first: place of the part's first element in the parameter's memory.
        of: number of the parameter's elements.
    """

    name: str
    weight: Tensor
    whole: bool
    axis: int
    bias: str
    output: Tensor
    again: Callable[[], Tensor]
    copies: list[Tensor] = field(default_factory=list)
    bias_copies: list[Tensor] = field(default_factory=list)
    unit_axis: int | None = None
    first: int = 0
    of: int = 0

    def scale(self, factor: Tensor | float) -> None:
        """Multiply the weight in place, and whatever copy of it is being used."""
        for held in (self.weight, *self.copies):
            held.mul_(factor.to(held) if isinstance(factor, Tensor) else factor)

    def scale_units(self, factors: Tensor) -> None:
        """Multiply each output unit's weights by a factor of its own; `unit_axis` must be known."""
        shape = [-1 if axis == self.unit_axis else 1 for axis in range(self.weight.ndim)]
        self.scale(factors.reshape(shape))

    def shift(self, bias: Tensor, step: Tensor) -> None:
        """Subtract a number of its own from each unit's bias in place, and from whatever copy of it is being used."""
        for held in (bias, *self.bias_copies):
            held.sub_(step.to(held))


Handler = Callable[[Call], Tensor]


class Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch's modes have no types
    """While entered, hands each first use of a weight to `handle`, whose result the model goes on with.

    `looked_up` collects the parameters that were read as embeddings before any linear use: rescaling those would change
    signals that have already passed. `kept` are those that are never handed over, with the reason.
    """

    def __init__(self, model: nn.Module, handle: Handler) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch's modes have no types
        self.handle = handle
        self.looked_up: set[str] = set()
        self.reused: dict[str, int] = {}
        self._named = dict(model.named_parameters())
        self.kept = {name: reason for name, p in self._named.items() if (reason := _why_kept(name, p))}
        self._parameters: dict[int, list[tuple[str, Tensor]]] = {}
        for name, parameter in self._named.items():
            if not is_strided(parameter):
                continue
            self._parameters.setdefault(parameter.untyped_storage().data_ptr(), []).append((name, parameter))
        self._copied: dict[int, tuple[Tensor, Tensor]] = {}  # by the copy's memory: (what was copied, the copy)
        self._done: dict[int, list[tuple[int, int]]] = {}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        if func in _COPIES and isinstance(args[0], Tensor) and self._find(args[0]) is not None:
            self._copied[result.untyped_storage().data_ptr()] = (args[0], result)
        elif func in _LOOKUPS:
            found = self._find(args[0])
            if found is not None:
                self.looked_up.add(found[0])
        elif func in _LINEAR and isinstance(result, Tensor):
            return self._linear(func, args, kwargs, result)
        return result

    def _linear(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], result: Tensor) -> Tensor:
        places, axis, bias_place = _LINEAR[func]
        operands = [(place, self._find(args[place])) for place in places if isinstance(args[place], Tensor)]
        weights = [(place, found) for place, found in operands if found is not None]
        if len(weights) != 1:
            return result  # no parameter, or a product of parameters, which is no signal
        (name, weight, copies), place = weights[0][1], weights[0][0]
        if name in self.kept:
            return result
        parameter = self._named[name]
        if not self._first(weight, name):
            return result
        on_the_left = func in _PRODUCTS and place == min(places)
        bias = self._find(args[bias_place]) if bias_place is not None and isinstance(args[bias_place], Tensor) else None
        call = Call(
            name=name,
            weight=weight,
            whole=weight.numel() == parameter.numel(),
            axis=-2 if on_the_left else axis,
            bias="" if bias is None else bias[0],
            output=result,
            again=lambda: func(*args, **kwargs),
            copies=copies,
            bias_copies=[] if bias is None else bias[2],
            unit_axis=_unit_axis(func, args, on_the_left, weight),
            first=int(weight.storage_offset() - parameter.storage_offset()),
            of=parameter.numel(),
        )
        return self.handle(call)

    def _find(self, tensor: Any) -> tuple[str, Tensor, list[Tensor]] | None:
        """The parameter whose memory a tensor shares, or of whose part it is a copy."""
        if not isinstance(tensor, Tensor) or tensor.layout is not torch.strided:
            return None
        place = tensor.untyped_storage().data_ptr()
        copies: list[Tensor] = []
        while place in self._copied:
            source, copy = self._copied[place]
            copies.append(_without_repeats(tensor))
            tensor = _same_part(tensor, copy, source)
            place = tensor.untyped_storage().data_ptr()
        for name, parameter in self._parameters.get(place, []):
            low, high = _extent(parameter)
            start, stop = _extent(tensor)
            if low <= start and stop <= high:
                return name, _without_repeats(tensor.detach()), copies
        return None

    def _first(self, weight: Tensor, name: str) -> bool:
        extent = _extent(weight)
        done = self._done.setdefault(weight.untyped_storage().data_ptr(), [])
        if any(start < extent[1] and extent[0] < stop for start, stop in done):
            self.reused[name] = self.reused.get(name, 0) + 1
            return False
        return True

    def skipped(self, done: Collection[str], reasons: Mapping[str, str]) -> dict[str, str]:
        """Every parameter of two or more axes that is not among `done`, with why it was left as the start drew it."""

        def why(name: str) -> str:
            if name in self.looked_up:
                return "an embedding: kept as the start drew it"
            return self.kept.get(name) or reasons.get(name, "no linear operation of this pass used it directly")

        return {name: why(name) for name, p in self._named.items() if p.ndim >= 2 and name not in done}

    def settle(self, weight: Tensor) -> None:
        """Later uses of this memory are no longer handed over."""
        self._done.setdefault(weight.untyped_storage().data_ptr(), []).append(_extent(weight))


def _why_kept(name: str, parameter: Tensor) -> str:
    if not parameter.requires_grad:
        return "frozen (requires_grad is False): kept as it was"
    if ".parametrizations." in f".{name}" or name.endswith("_orig"):
        return "the weight is computed from it by a parametrization: kept as the start drew it"
    return ""


def _unit_axis(func: Any, args: tuple[Any, ...], on_the_left: bool, weight: Tensor) -> int | None:
    """The axis of the operand that the output units lie along."""
    if func is _ATEN.convolution.default:
        transposed, groups = args[6], args[8]
        return None if transposed and groups > 1 else int(bool(transposed))
    if func is _ATEN._trilinear.default:
        return 0
    if weight.ndim < 2:
        return None
    return weight.ndim - 2 if on_the_left or func in (_ATEN.mv.default, _ATEN.addmv.default) else weight.ndim - 1


@contextlib.contextmanager
def watched(model: nn.Module, handle: Handler) -> Iterator[Watch]:
    """A `Watch` over the model, with the fused kernels that would hide its products switched off."""
    watch = Watch(model, handle)
    with plain_kernels(), torch.no_grad(), watch, _Unrolled():
        yield watch


_RECURRENT = {torch.lstm, torch.gru, torch.rnn_tanh, torch.rnn_relu}


class _Unrolled(TorchFunctionMode):
    """Recurrent layers of another device run on the CPU: one product there takes the inputs of all steps, elsewhere
    each step has its own, and the first of them would stand for all.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func not in _RECURRENT:
            return func(*args, **(kwargs or {}))
        there = next(tensors_in(args)).device
        args, kwargs = mapped(args, on_host), mapped(kwargs or {}, on_host)
        return brought(func(*args, **kwargs), there)


def _same_part(part: Tensor, copy: Tensor, source: Tensor) -> Tensor:
    """The part of a tensor that lies in it as `part` lies in its copy; the whole where axes of the copy were joined."""
    strides = {b: a for size, a, b in zip(copy.shape, source.stride(), copy.stride(), strict=True) if size > 1} | {0: 0}
    if any(size > 1 and stride not in strides for size, stride in zip(part.shape, part.stride(), strict=True)):
        return source
    rest, offset = int(part.storage_offset() - copy.storage_offset()), int(source.storage_offset())
    for stride in sorted(strides.keys() - {0}, reverse=True):
        steps, rest = divmod(rest, stride)
        offset += steps * strides[stride]
    return source.detach().as_strided(part.shape, [strides.get(stride, 0) for stride in part.stride()], offset)


def _extent(tensor: Tensor) -> tuple[int, int]:
    """First and one past the last element of the storage that a tensor touches, in bytes."""
    last = sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.stride(), strict=True))
    start = int(tensor.storage_offset()) * tensor.element_size()
    return start, start + int(last + 1) * tensor.element_size()


def _without_repeats(tensor: Tensor) -> Tensor:
    """An expanded tensor without its repeated axes, so that it can be written."""
    for axis, (size, stride) in enumerate(zip(tensor.shape, tensor.stride(), strict=True)):
        if stride == 0 and size > 1:
            tensor = tensor.narrow(axis, 0, 1)
    return tensor
