"""Functions found in a recording: elementwise ones as callables for theory, regions without weights run on noise."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from initlab.errors import InputError
from initlab.graph.kinds import in_place
from initlab.graph.signal_graph import Operation, Ref
from initlab.theory import ACTIVATIONS, activation, moments

if TYPE_CHECKING:
    from initlab.graph.signals import Flow, Signal

_LARGEST = 1 << 22  # elements of a region's root beyond which it is not run again
_ENOUGH = 1 << 17  # numbers behind a measured moment: its error is then below 1%
_REPEATS = 1024
_CLOSE = 0.003  # relative standard error at which a measurement stops early
_LONGEST = 128  # operations in a region
_RANDOM = frozenset({"rand_like", "randn_like", "bernoulli", "rrelu", "multinomial", "normal", "uniform"})


@dataclass(frozen=True)
class Moments:
    """Mean and second moment of a computed function."""

    mean: float
    second: float
    scale_free: bool = False


def scalar_function(flow: Flow, signal: Signal) -> Callable[[Any], Any]:
    """The elementwise function from a signal's root to it, by running its operations again.

    Takes and gives a tensor or a numpy array.
    """
    operations = [flow.graph.operations[i] for i in signal.ops]
    root, head = signal.root, signal.head
    heads = {value: flow.signals[value].head for op in operations for value in op.inputs if value in flow.signals}
    constants = _constants(flow, operations)

    def function(x: Any) -> Any:
        given = isinstance(x, np.ndarray | float | int)
        tensor = torch.as_tensor(x, dtype=torch.float64) if given else x
        values = {root: tensor}
        with torch.no_grad():
            for op in operations:
                values[op.outputs[0]] = _call(op, lambda value: _scalar(values, heads, constants, value, tensor.dtype))
        result = values[head]
        return result.numpy() if isinstance(x, np.ndarray) else result

    function.__name__ = name_of(operations)
    return function


def _scalar(
    values: dict[int, torch.Tensor],
    heads: dict[int, int],
    constants: dict[int, torch.Tensor],
    value: int,
    dtype: torch.dtype,
) -> torch.Tensor:
    if value in constants:
        constant = constants[value].reshape(-1)[0]
        return constant.to(dtype) if constant.is_floating_point() else constant
    return values[heads.get(value, value)]


def _constants(flow: Flow, operations: list[Operation]) -> dict[int, torch.Tensor]:
    found = {}
    for op in operations:
        for value in op.inputs:
            tensor = None if value in flow.signals else flow.held(value)
            if value in flow.views and (op.index not in flow.kept or tensor is None):
                tensor = torch.full(flow.value(value).shape, _START.get(op.kind, 1.0))
            if tensor is not None:
                found[value] = tensor
    return found


def from_held(flow: Flow, op: Operation, output: int) -> torch.Tensor | None:
    """One output of an operation whose inputs are all at hand; None where they are not."""
    read = {value: flow.held(value) for value in op.inputs}
    if op.function is None or op.kind in _RANDOM or any(tensor is None for tensor in read.values()):
        return None
    with torch.no_grad():
        result = _call(op, lambda value: read[value])  # type: ignore[arg-type,return-value]  # none of them is None
    tensors = [result] if isinstance(result, torch.Tensor) else list(result)
    tensor = tensors[op.outputs.index(output)]
    return tensor if bool(torch.isfinite(tensor).all()) else None


_START = {
    "add": 0.0,
    "sub": 0.0,
    "prelu": 0.25,
}  # what a parameter in a function is taken to be: a shift, a slope, a scale


def _call(op: Operation, read: Callable[[int], torch.Tensor]) -> Any:
    assert op.function is not None
    args: tuple[Any, ...] = _filled(op.args, read)
    kwargs: dict[str, Any] = _filled(op.kwargs, read)
    if in_place(op.function) or kwargs.get("inplace"):
        args = (args[0].clone(), *args[1:]) if args else args
    if op.kind in _DTYPES or op.kind == "dropout":
        return torch.as_tensor(args[0])
    result = op.function(*args, **kwargs)
    return args[0] if result is None else result


_DTYPES = frozenset({"to", "float", "half", "bfloat16", "double", "type_as", "type"})


def _filled(item: Any, read: Callable[[int], torch.Tensor]) -> Any:
    if isinstance(item, Ref):
        return read(item.value)
    if isinstance(item, tuple):
        return tuple(_filled(part, read) for part in item)
    if isinstance(item, list):
        return [_filled(part, read) for part in item]
    if isinstance(item, dict):
        return {key: _filled(part, read) for key, part in item.items()}
    return item


def function_moments(flow: Flow, signal: Signal) -> Moments | None:
    """E[φ] and E[φ²] of a signal's elementwise function on its Gaussian root; None when it is no scalar function."""
    root = flow.signals[signal.root]
    key = _key(flow, signal, root.center, root.spread)
    if key not in flow.cache:
        flow.cache[key] = _moments(scalar_function(flow, signal), root.center, root.spread)
    found = flow.cache[key]
    return found if isinstance(found, Moments) else None


def _moments(function: Callable[[Any], Any], center: float, spread: float) -> Moments | None:
    try:
        with torch.no_grad():
            found = moments(lambda z: function(center + spread * z))
    except (InputError, RuntimeError, ValueError, TypeError):
        return None
    return Moments(float(found.mean), float(found.second)) if math.isfinite(found.second) else None


def _key(flow: Flow, signal: Signal, center: float, spread: float) -> tuple[Any, ...]:
    """Names a composite function by its operations, so that a model with many equal layers computes it once."""
    places: dict[int, int] = {signal.root: -1}
    words: list[str] = []

    def word(value: int) -> str:
        head = flow.signals[value].head if value in flow.signals else value
        tensor = flow.value(value).tensor
        return (
            f"#{places[head]}" if head in places else f"={None if tensor is None else tensor.reshape(-1)[:1].tolist()}"
        )

    for place, index in enumerate(signal.ops):
        op = flow.graph.operations[index]
        words.append(f"{op.kind}/{op.name}({_filled(op.args, word)!r},{_filled(op.kwargs, word)!r})")  # type: ignore[arg-type]  # words, not tensors
        places[op.outputs[0]] = place
    return (tuple(words), f"#{places.get(signal.head, -1)}", round(center, 12), round(spread, 12))


# -- names --

_AFFINE = frozenset({"add", "sub", "rsub", "mul", "div", "neg", "positive"})


def affine(operations: list[Operation]) -> bool:
    """Whether the operations only scale and shift one signal by numbers."""
    return all(
        op.kind in _DTYPES or (op.kind in _AFFINE and sum(isinstance(arg, Ref) for arg in op.args) <= 1)
        for op in operations
    )


_PLAIN = {"hardtanh": "hardtanh", "square": "square", "atan": "arctan"}


def name_of(operations: list[Operation]) -> str:
    """What to call a function: its operation where it is one, else its operations in order."""
    kinds = [op.kind for op in operations if op.kind not in _DTYPES]
    return _PLAIN.get(kinds[0], kinds[0]) if len(kinds) == 1 else "composite of " + ", ".join(dict.fromkeys(kinds))


def known_name(function: Callable[[Any], Any]) -> str | None:
    """The usual name of a function written out by hand, found by its values; None when it is none of the known ones."""
    points = torch.linspace(-8.0, 8.0, 81, dtype=torch.float64) + 0.0137
    try:
        values = function(points).numpy()
    except (RuntimeError, TypeError, ValueError, AttributeError):
        return None
    for name in ACTIVATIONS:
        if name not in ("identity", "step", "sign") and np.allclose(
            values, activation(name)(points.numpy()), atol=2e-6
        ):
            return name
    return None


# -- regions --


def measure(flow: Flow, region: int, trail: frozenset[int], output: int) -> Moments | None:
    """The moments of `output` when the region's root is Gaussian noise of its recorded shape and of its moments.

    None when the region cannot be run again (random, too large, made on shapes alone) or gives no finite numbers.
    """
    root = flow.value(region)
    size = math.prod(root.shape)
    if len(trail) > _LONGEST:
        return None
    operations = [flow.graph.operations[i] for i in sorted(trail)]
    if not 0 < size <= _LARGEST or any(op.function is None or op.kind in _RANDOM for op in operations):
        return None
    signal = flow.signals[region]
    key = ("region", _region_key(flow, operations, region, output), signal.center, signal.spread, root.shape)
    if key not in flow.cache:
        flow.cache[key] = _measured(flow, operations, region, output, signal.center, signal.spread)
    found = flow.cache[key]
    return found if isinstance(found, Moments) else None


def _region_key(flow: Flow, operations: list[Operation], region: int, output: int) -> tuple[str, ...]:
    places = {region: "#root"}
    words = []
    for place, op in enumerate(operations):
        args = _filled((op.args, op.kwargs), lambda value: places.get(value, str(flow.value(value).moments)))  # type: ignore[arg-type,return-value]  # words, not tensors
        words.append(f"{op.name}{args!r}")
        places.update({value: f"#{place}.{i}" for i, value in enumerate(op.outputs)})
    return (*words, places.get(output, ""))


def _measured(
    flow: Flow, operations: list[Operation], region: int, output: int, center: float, spread: float
) -> Moments | None:
    shape = flow.value(region).shape
    generator = torch.Generator(device="cpu").manual_seed(0)
    constants = _constants(flow, operations)
    repeats = min(_REPEATS, max(1, _ENOUGH // max(math.prod(flow.value(output).shape), 1)))
    repeats = min(repeats, flow.budget // len(operations))
    if repeats == 0:
        return None
    means: list[float] = []
    seconds: list[float] = []
    try:
        for turn in range(repeats):
            if turn >= 8 and turn % 8 == 0 and np.std(seconds) / turn**0.5 <= _CLOSE * np.mean(seconds):
                break
            noise = center + spread * torch.randn(shape, generator=generator)
            values = _replayed(operations, region, noise, constants, output)
            means.append(float(values.real.double().mean()))
            seconds.append(_square_mean(values))
        loud = _square_mean(_replayed(operations, region, 4 * noise, constants, output))
    except Exception:  # an operation that this torch build, or a shape, does not allow to be run alone
        return None
    finally:
        flow.budget -= len(means) * len(operations)
    mean, second = float(np.mean(means)), float(np.mean(seconds))
    if not math.isfinite(mean + second):
        return None
    return Moments(mean, second, scale_free=second > 0 and abs(loud - seconds[-1]) < 0.02 * second)


def _square_mean(values: torch.Tensor) -> float:
    """E|x|², of complex numbers too."""
    return float((values.abs() if values.is_complex() else values).double().square().mean())


def _replayed(
    operations: list[Operation], region: int, noise: torch.Tensor, constants: dict[int, torch.Tensor], output: int
) -> torch.Tensor:
    values = {region: noise}
    with torch.no_grad():
        for op in operations:
            result = _call(op, lambda value: constants[value] if value in constants else values[value])
            tensors = (
                [result] if isinstance(result, torch.Tensor) else [t for t in result if isinstance(t, torch.Tensor)]
            )
            values.update(zip(op.outputs, tensors, strict=False))
    return values[output]
