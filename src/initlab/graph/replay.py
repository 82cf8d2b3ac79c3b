"""Recorded operations run again: on fixed tensors that are at hand, or on whatever stands for their inputs."""

from __future__ import annotations

import math
from collections.abc import Callable, Container
from typing import Any

import torch

from initlab.graph.flow import Flow
from initlab.graph.recording import Operation, Ref, Value, constant_moments, refs
from initlab.graph.spelling import in_place
from initlab.guest.inputs import mapped, on_host


def constants(flow: Flow, operation: Operation) -> list[tuple[float, float] | None]:
    """(mean, second moment) of its fixed tensors of different elements, masks and counts among them."""
    found: list[tuple[float, float] | None] = []
    for index in operation.inputs:
        value = flow.value(index)
        if value.dtype.is_complex or _is_one_number(value):
            continue
        if value.source == "constant":
            found.append(value.moments)
        elif index in flow.views and operation.index in flow.kept:
            tensor = held(flow, index)
            found.append(None if tensor is None else constant_moments(tensor))
    return found


def _is_one_number(value: Value) -> bool:
    """Whether all elements of a fixed tensor are one number, as of zeros_like(x)."""
    if math.prod(value.shape) == 1 or value.moments is None or value.tensor is None:
        return math.prod(value.shape) == 1
    mean, second = value.moments
    return math.isclose(mean**2, second, rel_tol=1e-9) and bool((value.tensor == value.tensor.flatten()[0]).all())


def multiplied_by(flow: Flow, operation: Operation) -> float | None:
    """The second moment of the fixed numbers that a product multiplies parameters by; None where none is at hand."""
    numbers = [arg for arg in operation.args if isinstance(arg, int | float) and not isinstance(arg, bool)]
    fixed = [value for value in operation.inputs if value not in flow.views]
    if len(numbers) + len(fixed) != 1:
        return None
    tensor = torch.tensor(float(numbers[0])) if numbers else held(flow, fixed[0])
    if tensor is None:  # too large to hold: what its sample says
        moments = flow.value(fixed[0]).moments if operation.kind == "mul" else None
    else:
        moments = constant_moments(tensor if operation.kind == "mul" else 1 / tensor)
    return None if moments is None else moments[1]


def held(flow: Flow, index: int) -> torch.Tensor | None:
    """The numbers of a constant, of a parameter, or of what is computed from them alone; None when not at hand.

    They are on the CPU, as all that rules compute with, wherever the model is.
    """
    value = flow.value(index)
    if value.tensor is not None or value.producer is None:
        return None if value.tensor is None else on_host(value.tensor)
    if ("held", index) not in flow.cache:
        flow.cache["held", index] = _computed(flow, flow.graph.operations[value.producer], index)
    found = flow.cache["held", index]
    return found if isinstance(found, torch.Tensor) else None


def _computed(flow: Flow, op: Operation, output: int) -> torch.Tensor | None:
    """One output of an operation whose inputs are all at hand; None where they are not."""
    read = {value: held(flow, value) for value in op.inputs}
    if op.function is None or op.traits.random or any(tensor is None for tensor in read.values()):
        return None
    try:
        tensor = made_again(op, lambda value: read[value])[output]  # type: ignore[arg-type,return-value]  # none is None
    except Exception:  # an operation that cannot be run alone: of a signal's shape, or of a type that casts made
        return None
    plain = tensor.layout == torch.strided  # a sparse one may have more places than there is memory for
    return tensor if plain and bool(torch.isfinite(tensor).all()) else None


def stand_ins(flow: Flow, operations: list[Operation]) -> dict[int, torch.Tensor]:
    """The tensors that operations read besides signals; a parameter whose numbers do not matter is a constant one.

    So is a single number that nobody has, as a fixed factor on the meta device.
    """
    found: dict[int, torch.Tensor] = {}
    for op in operations:
        for value in op.inputs:
            any_numbers = value in flow.views and op.index not in flow.kept
            tensor = None if value in flow.signals or any_numbers else held(flow, value)
            single = flow.value(value).source == "constant" and math.prod(flow.value(value).shape) == 1
            if tensor is None and single and flow.value(value).dtype.is_floating_point:
                tensor = torch.ones(flow.value(value).shape, device="cpu")
            if value in flow.views and tensor is None:
                tensor = torch.full(flow.value(value).shape, op.traits.start, device="cpu")
            if tensor is not None:
                found[value] = tensor
    return found


def made_again(op: Operation, read: Callable[[int], torch.Tensor]) -> dict[int, torch.Tensor]:
    """What `call` makes, by value."""
    with torch.no_grad():
        result = call(op, read)
    made = [result] if isinstance(result, torch.Tensor) else [item for item in result if isinstance(item, torch.Tensor)]
    return dict(zip(op.outputs, made, strict=False))


def prepared(op: Operation, known: Container[int] = ()) -> Callable[[dict[int, torch.Tensor]], None]:
    """`made_again` for an operation that is run many times: reads numbers by value, and puts what it makes beside them.

    Args:
        op: the operation.
        known: values that stay as they are, whoever makes them.
    """
    asked = [(place, value) for place, value in enumerate(op.outputs) if value not in known]
    places = [(place, arg.value) for place, arg in enumerate(op.args) if isinstance(arg, Ref)]
    plain = len(places) == len(list(refs((op.args, op.kwargs)))) and not (_changes_its_own(op) or op.traits.skipped)
    args, kwargs, function = list(op.args), op.kwargs, op.function

    def general(numbers: dict[int, torch.Tensor]) -> None:
        made = made_again(op, numbers.__getitem__)
        numbers.update({value: made[value] for _, value in asked if value in made})

    def simple(numbers: dict[int, torch.Tensor]) -> None:
        for place, value in places:
            args[place] = numbers[value]
        assert function is not None
        result = function(*args, **kwargs)
        made = [result] if isinstance(result, torch.Tensor) else [x for x in result if isinstance(x, torch.Tensor)]
        for place, value in asked:
            if place < len(made):
                numbers[value] = on_host(made[place])

    return simple if plain else general


def _changes_its_own(op: Operation) -> bool:
    assert op.function is not None
    return in_place(op.function) or bool(op.kwargs.get("inplace"))


def call(op: Operation, read: Callable[[int], torch.Tensor]) -> Any:
    """The operation again, on the tensors that `read` gives for the values it read; casts leave real numbers alone.

    What it makes on the device that its arguments name comes back to the CPU, or is made there if that is meta.
    """
    assert op.function is not None
    args: tuple[Any, ...] = tuple(map(_with_values, filled(op.args, read)))
    kwargs: dict[str, Any] = {name: _with_values(item) for name, item in filled(op.kwargs, read).items()}
    if _changes_its_own(op):
        args = (mapped(args[0], lambda own: _held_apart(own, op, args[1:])), *args[1:]) if args else args
    if op.traits.skipped and (not torch.is_tensor(args[0]) or args[0].is_floating_point() or args[0].is_complex()):
        return torch.as_tensor(args[0])
    result = op.function(*args, **kwargs)
    return args[0] if result is None else mapped(result, on_host)


def _with_values(item: Any) -> Any:
    """An argument, with the CPU in place of the meta device, where nothing has numbers."""
    is_meta = item == "meta" if isinstance(item, str) else isinstance(item, torch.device) and item.type == "meta"
    return torch.device("cpu") if is_meta else item


def _held_apart(own: torch.Tensor, op: Operation, others: tuple[Any, ...]) -> torch.Tensor:
    """What an operation is to change, of its own memory; a lone number added to has room for what is added to it."""
    numbers = [item for item in others if isinstance(item, torch.Tensor)] if op.traits.pointwise else []
    shape = torch.broadcast_shapes(own.shape, *(item.shape for item in numbers))  # type: ignore[no-untyped-call]
    return own.expand(shape).clone()


def filled(item: Any, read: Callable[[int], torch.Tensor]) -> Any:
    """Recorded arguments with what `read` gives in place of every value."""
    if isinstance(item, Ref):
        return read(item.value)
    if isinstance(item, tuple):
        return tuple(filled(part, read) for part in item)
    if isinstance(item, list):
        return [filled(part, read) for part in item]
    if isinstance(item, dict):
        return {key: filled(part, read) for key, part in item.items()}
    return item
