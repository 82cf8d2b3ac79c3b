"""The recording as data: the operations of one forward pass in order, and the values between them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch

from initlab.graph.once import once
from initlab.graph.traits import UNKNOWN, Traits
from initlab.guest.doubles import doubled, doubles_at
from initlab.guest.transformed import of_whole

_SAMPLED = 4_096
_GOLDEN = (5**0.5 - 1) / 2


@dataclass(frozen=True)
class Ref:
    """Stands for a value in an operation's recorded arguments."""

    value: int


@dataclass(frozen=True)
class Value:
    """One tensor as it was between two writes.

    Args:
        index: its number; a tensor written in place gets a new one.
        source: "input", "parameter", "constant" (a buffer or a tensor made from neither) or "operation".
        name: the parameter's name; "" for the rest.
        producer: the operation that made it, or None.
        shape: its shape.
        dtype: its dtype.
        moments: (mean, second moment) of a constant where they could be read.
        tensor: a parameter itself, or the values of a constant or of an input of integers, where they are few.
        frozen: whether it is a parameter that training leaves as it is.
    """

    index: int
    source: str
    name: str
    producer: int | None
    shape: tuple[int, ...]
    dtype: torch.dtype
    moments: tuple[float, float] | None = None
    tensor: torch.Tensor | None = field(default=None, repr=False, compare=False)
    frozen: bool = False

    @property
    def is_real(self) -> bool:
        """Whether it holds real or complex numbers, as signals do, and no places, masks or counts."""
        return self.dtype.is_floating_point or self.dtype.is_complex


@dataclass(frozen=True)
class Operation:
    """One call of a torch function.

    Args:
        index: its place in the recording.
        kind: what it does, spelled one way ("add" for `+`, `add_` and `torch.add`).
        name: the function's own name.
        module: path of the module whose forward made the call; "" for the model itself.
        inputs: the values it read, in order of appearance.
        outputs: the values it made; an in-place call makes a new value.
        parameters: names of the parameters among its inputs, as they are or rearranged (transposed, reshaped).
        attributes: its arguments that are numbers, strings, tuples or None, by position or name.
        module_type: class name of that module.
        function: the torch function itself.
        args: what it was given by position; tensors stand as `Ref`.
        kwargs: what it was given by name.
        traits: what is known of its kind.
    """

    index: int
    kind: str
    name: str
    module: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    parameters: tuple[str, ...]
    attributes: dict[str, Any]
    module_type: str = ""
    function: Callable[..., Any] | None = field(default=None, repr=False, compare=False)
    args: tuple[Any, ...] = field(default=(), repr=False, compare=False)
    kwargs: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)
    traits: Traits = field(default=UNKNOWN, repr=False, compare=False)

    def argument(self, position: int, name: str, default: Any = None) -> Any:
        """An argument as it was given, by position or by name; tensors stand as `Ref`."""
        if name in self.kwargs:
            return self.kwargs[name]
        return self.args[position] if 0 <= position < len(self.args) else default

    @property
    def where(self) -> str:
        """The module's path, or the operation's name where the model itself made the call."""
        return self.module or self.kind


@dataclass(frozen=True)
class Share:
    """What an operand of a sum is brought to.

    Args:
        of: its second moment as a share of the other's.
        grows: whether it may be made larger.
        made: whether weights made it, whose output is then no larger than the other operand.
        names: the parameters that are made so much smaller for it, wherever else they are used.
        below: the other's second moment from which on it is added as it is.
    """

    of: float
    grows: bool
    made: bool = False
    names: tuple[str, ...] = ()
    below: float = math.inf

    def factor(self, own: float, base: float) -> float:
        """What the operand's second moment is multiplied by.

        Args:
            own: its second moment.
            base: the other's.
        """
        if own <= 0 or base >= self.below:
            return 1.0
        most = 1.0 if not self.grows else max(1.0, base) if self.made else math.inf
        return min(self.of * base / own, most)


@dataclass(frozen=True)
class Recording:
    """One forward pass.

    Args:
        operations: the calls in order.
        values: every value by its number.
        inputs: numbers of the example inputs' values.
        outputs: numbers of the values in the model's output.
        training: whether the recorded pass ran in training mode.
        held: numbers of the values that the caller or the model held when the pass had ended.
        sizes: by parameter, the second moment that its output is to have, where that is not one.
        shares: by (sum, operand), what the operand is of the other's second moment once a pass has made it so.
        scores: by product of queries and keys, what it is multiplied by before a softmax reads it, where a pass makes
            the queries smaller if that is larger than of second moment one.
        bounded: parameters whose output is not made larger where it is smaller than it is to be, as beside padding.
        shifts: by bias, or table that is added as it is, which begins with other numbers than zero: their mean and
            second moment.
        coarse: whether moments need only be known roughly, since all that is asked are roles.
        computed: what walks over it computed of functions and regions, which other sizes do not change.
    """

    operations: tuple[Operation, ...]
    values: dict[int, Value] = field(repr=False)
    inputs: tuple[int, ...] = ()
    outputs: tuple[int, ...] = ()
    training: bool = False
    held: frozenset[int] = frozenset()
    sizes: Mapping[str, float] = field(default_factory=dict, repr=False)
    shares: Mapping[tuple[int, int], Share] = field(default_factory=dict, repr=False)
    scores: Mapping[int, float] = field(default_factory=dict, repr=False)
    bounded: frozenset[str] = frozenset()
    shifts: Mapping[str, tuple[float, float]] = field(default_factory=dict, repr=False)
    coarse: bool = False
    computed: dict[object, object] = field(default_factory=dict, repr=False, compare=False)

    def consumers(self, value: int) -> tuple[Operation, ...]:
        """The operations that read a value."""
        return self._readers.get(value, ())

    def leaves(self, value: int) -> bool:
        """Whether a value is returned, or kept by the model and read by no operation, as a loss of a layer's own."""
        return value in self.outputs or (value in self.held and not self.consumers(value))

    def producer(self, value: int) -> Operation | None:
        """The operation that made a value; None for inputs, parameters and constants."""
        index = self.values[value].producer
        return None if index is None else self.operations[index]

    def signals(self, operation: Operation) -> tuple[int, ...]:
        """What an operation reads of the inputs and of what other operations made: no parameter, no constant."""
        return _signals(self, operation.index)

    def feature_axis(self, value: int) -> int:
        """The axis along which the features of a value lie, as the operation that made it lays them out.

        Functions of the numbers at one place, and windows of places, leave them where they are.
        """
        rank, found = len(self.values[value].shape), self._feature_axes
        passed: list[int] = []
        while value not in found:
            passed.append(value)
            operation = self.producer(value)
            before = None if operation is None else _laid_out_as(self, operation, rank)
            if before is None:
                found[value] = -1 if operation is None else operation.traits.features
            else:
                value = before
        found |= dict.fromkeys(passed, found[value])
        return found[value] if found[value] >= 0 else rank + found[value]

    @cached_property
    def mapped_parameters(self) -> frozenset[int]:
        """The values that are a whole parameter as it is, rearranged, or put through functions of one number."""
        found = {index for index, value in self.values.items() if value.source == "parameter"}
        for operation in self.operations:
            if operation.kind != "softmax" and len(operation.inputs) == 1 and operation.inputs[0] in found:
                size = math.prod(self.values[operation.inputs[0]].shape)
                found.update(made for made in operation.outputs if math.prod(self.values[made].shape) == size)
        return frozenset(found)

    @cached_property
    def _feature_axes(self) -> dict[int, int]:
        return {}

    @cached_property
    def _readers(self) -> dict[int, tuple[Operation, ...]]:
        return _readers(self)


@once
def _signals(recording: Recording, operation: int) -> tuple[int, ...]:
    read = recording.operations[operation].inputs
    return tuple(value for value in read if recording.values[value].source in ("operation", "input"))


def _laid_out_as(recording: Recording, operation: Operation, rank: int) -> int | None:
    """What an operation reads whose features lie as those of what it makes, of so many axes; None of others."""
    traits = operation.traits
    if traits.features != -1 or not (traits.pointwise or traits.drops or traits.pools):
        return None
    shape = recording.values[operation.outputs[0]].shape
    read = [value for value in recording.signals(operation) if len(recording.values[value].shape) == rank]
    return next((v for v in read if recording.values[v].shape == shape), read[0] if read else None)


@once
def _readers(recording: Recording) -> dict[int, tuple[Operation, ...]]:
    found: dict[int, list[Operation]] = {}
    for operation in recording.operations:
        for value in dict.fromkeys(operation.inputs):
            found.setdefault(value, []).append(operation)
    return {value: tuple(readers) for value, readers in found.items()}


def refs(item: Any) -> Iterator[int]:
    """The values in recorded arguments, in order of appearance."""
    if isinstance(item, Ref):
        yield item.value
    elif isinstance(item, tuple | list):
        for part in item:
            yield from refs(part)
    elif isinstance(item, dict):
        for part in item.values():
            yield from refs(part)
    elif isinstance(item, slice):
        yield from refs((item.start, item.stop, item.step))


@of_whole
def constant_moments(tensor: torch.Tensor) -> tuple[float, float] | None:
    """(mean, second moment) of a plain tensor's finite elements, of a sample of them when it is large.

    The sample lies at the fractions of i·φ, φ the golden ratio: a pattern that repeats does not meet its own period.
    """
    plain = tensor.layout == torch.strided and not (tensor.is_meta or tensor.is_complex())
    if not plain or type(tensor) not in (torch.Tensor, torch.nn.Parameter) or tensor.numel() == 0:
        return None
    flat = tensor.detach().flatten()
    if flat.numel() > _SAMPLED:
        places = torch.arange(_SAMPLED, dtype=torch.float64, device=doubles_at(flat.device)) * _GOLDEN % 1
        flat = flat[(places * flat.numel()).long().to(flat.device)]
    numbers = doubled(flat)
    numbers = numbers[numbers.isfinite()]
    return (float(numbers.mean()), float(numbers.square().mean())) if numbers.numel() else None
