"""The recording as data: operations in order, the values between them, and what arrives at each parameter."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch

from initlab.sampling import canonical_name
from initlab.schemes.geometry import Geometry


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
        tensor: a parameter itself, or a constant's values where they are small enough to hold.
    """

    index: int
    source: str
    name: str
    producer: int | None
    shape: tuple[int, ...]
    dtype: torch.dtype
    moments: tuple[float, float] | None = None
    tensor: torch.Tensor | None = field(default=None, repr=False, compare=False)


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
        parameters: names of the parameters among its inputs.
        attributes: its arguments that are numbers, strings, tuples or None, by position or name.
        module_type: class name of that module.
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
class Feed:
    """What arrives at a weight's input.

    Args:
        activation: the function's name ("relu"), "linear" for another weight's output, "layer_norm", "sum", …;
            None for the model's own input.
        function: the scalar function of a unit signal, where there is one.
        second_moment: E[φ(z)²] for z of the second moment that the layers before are meant to give; None = not known.
        where: path of the module (or the operation) that made it.
        source: what kind of thing made it: "data", "weight", "norm", "activation", "sum", "concat", "product",
            "embedding", "recurrent", "attention", "pool", "unknown".
        note: what was assumed or why it is not known; "" otherwise.
    """

    activation: str | None
    function: Callable[..., Any] | None
    second_moment: float | None
    where: str
    source: str = "unknown"
    note: str = ""


@dataclass(frozen=True)
class Use:
    """One use of a parameter.

    Args:
        operation: the call that uses it.
        role: "weight", "bias", "norm_weight", "norm_bias", "embedding", "recurrent_bias" or "other".
        feeds: what arrives at it; None for what is not a weight.
        geometry: its fans and axes in this use, where they can be read off.
        output: the value it helps to make.
    """

    operation: Operation
    role: str
    feeds: Feed | None
    geometry: Geometry | None = None
    output: int | None = None
    exact: bool = True


@dataclass(frozen=True)
class LayerCall:
    """A weight at work: the parameter, the operation that uses it, and what feeds it, in forward order."""

    parameter: str
    operation: Operation
    feeds: Feed | None


@dataclass(frozen=True)
class SignalGraph:
    """How signals flowed in one forward pass.

    Args:
        operations: the calls in order.
        values: every value by its number.
        inputs: numbers of the example inputs' values.
        outputs: numbers of the values in the model's output.
        training: whether the recorded pass ran in training mode.
    """

    operations: tuple[Operation, ...]
    values: dict[int, Value] = field(repr=False)
    inputs: tuple[int, ...] = ()
    outputs: tuple[int, ...] = ()
    training: bool = False

    def uses(self, parameter_name: str) -> tuple[Use, ...]:
        """The uses of a parameter, in forward order; () when this pass did not use it.

        Args:
            parameter_name: a name of `named_parameters()`, with or without wrapper prefixes.
        """
        found = self._uses.get(parameter_name)
        if found is None:
            found = self._uses.get(self._canonical.get(canonical_name(parameter_name), ""), ())
        return found

    def layers(self) -> tuple[LayerCall, ...]:
        """Every use of a weight or embedding, in forward order."""
        calls = [
            LayerCall(name, use.operation, use.feeds)
            for name, uses in self._uses.items()
            for use in uses
            if use.role in ("weight", "embedding")
        ]
        return tuple(sorted(calls, key=lambda call: call.operation.index))

    def consumers(self, value: int) -> tuple[Operation, ...]:
        """The operations that read a value."""
        return tuple(self.operations[i] for i in self._consumers.get(value, ()))

    def producer(self, value: int) -> Operation | None:
        """The operation that made a value; None for inputs, parameters and constants."""
        index = self.values[value].producer
        return None if index is None else self.operations[index]

    def residual_ends(self) -> tuple[str, ...]:
        """The weights and norm weights that come last in a branch before it is added back to what it grew from."""
        return self._residual_ends

    @property
    def parameters(self) -> tuple[str, ...]:
        """The parameters that this pass used, in order of first use."""
        return tuple(self._uses)

    @cached_property
    def _consumers(self) -> dict[int, list[int]]:
        found: dict[int, list[int]] = {}
        for operation in self.operations:
            for value in dict.fromkeys(operation.inputs):
                found.setdefault(value, []).append(operation.index)
        return found

    @cached_property
    def _uses(self) -> dict[str, tuple[Use, ...]]:
        from initlab.graph.feeds import uses_of

        return uses_of(self)

    @cached_property
    def _canonical(self) -> dict[str, str]:
        return {canonical_name(name): name for name in self._uses}

    @cached_property
    def _residual_ends(self) -> tuple[str, ...]:
        from initlab.graph.residual import residual_ends

        return residual_ends(self)


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
