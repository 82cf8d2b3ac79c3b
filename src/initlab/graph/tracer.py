"""Listens to one forward pass: every torch function that makes a tensor, and which tensors it read and wrote."""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from initlab.graph.operations import TABLE
from initlab.graph.operations.dropping import drops_in_place, mask_of
from initlab.graph.operations.products import permutation
from initlab.graph.recording import Operation, Ref, Value, constant_moments, refs
from initlab.graph.spelling import in_place, name_of
from initlab.guest.inputs import mapped, on_host, plain_shape, tensors_in
from initlab.guest.transformed import Outside, batch_axis, behind, is_transformed, of_whole

_HELD = 65_536  # elements of a constant that are kept, so that what was computed with it can be computed again


class Tracer(TorchFunctionMode):
    """Records while it is entered. `values` and `operations` are the recording.

    Args:
        parameters: id -> name.
        numbers: a tensor with the numbers that the model would have; None where these are not known.
    """

    def __init__(
        self,
        parameters: dict[int, str],
        numbers: Callable[[torch.Tensor], torch.Tensor | None] = lambda tensor: tensor,
    ) -> None:
        super().__init__()
        self.parameters = parameters
        self.numbers = numbers
        self.values: dict[int, Value] = {}
        self.operations: list[Operation] = []
        self._rearranged: dict[int, str] = {}  # values that are parameters in another arrangement
        self.made_of_parameters: set[int] = set()
        self.stack: list[tuple[str, str]] = []
        self._live: dict[int, tuple[weakref.ref[torch.Tensor], int, int]] = {}
        self._written: dict[int, tuple[weakref.ref[torch.Tensor], int, int]] = {}
        self._outside = Outside()

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        kind = TABLE.kind_of(func)
        if kind == "einsum" and (order := permutation(args)) is not None:
            func, args, kind = torch.permute, (next(tensors_in(args)), order), "permute"
        if not kind or TABLE[kind].reads_only:
            return func(*args, **kwargs)
        given = mapped((args, kwargs), self._ref)
        before = {id(tensor): _version(tensor) for tensor in tensors_in(args)}
        result = func(*args, **kwargs)
        drops = TABLE[kind].drops and result is args[0] and mask_of(kind, args, kwargs) is not None
        over = drops and drops_in_place(args, kwargs)
        if drops and not over:
            result = result.view_as(result)  # in training it is another signal than what it came from
        made = list(tensors_in(result))
        returned = [tensor for tensor in made if id(tensor) in before]
        writes = over or in_place(func) or any(_version(tensor) != before[id(tensor)] for tensor in returned)
        if returned and not writes:
            return result  # `.to()` and `.contiguous()` that had nothing to do gave back what they got
        if not made and writes:
            made = list(tensors_in(args[:1]))
        if made:
            self._record(func, kind, given, made, writes)
        return result

    def add_input(self, tensor: torch.Tensor) -> int:
        """Registers one of the example inputs; returns its value."""
        return self._name(tensor, self._new(tensor, "input"))

    def value_of(self, tensor: torch.Tensor) -> int:
        """The value that a tensor holds now."""
        return self._lookup(tensor)

    @property
    def held(self) -> set[int]:
        """The values of tensors that something holds still."""
        return {value for tensor, value, _ in self._live.values() if tensor() is not None}

    def _record(
        self, func: Callable[..., Any], kind: str, given: tuple[Any, Any], made: list[torch.Tensor], writes: bool
    ) -> None:
        args, kwargs = self._without_shapes(kind, *given)
        inputs = tuple(refs((args, kwargs)))
        index = len(self.operations)
        signals = inputs if not TABLE[kind].random_like else tuple(refs(given))  # noise beside a signal is one too
        constant = TABLE[kind].shape_only or all(self._is_constant(value, TABLE[kind].random_like) for value in signals)
        outputs = []
        for tensor in made:
            value = self._new(tensor, "constant" if constant else "operation", producer=None if constant else index)
            outputs.append(self._name(tensor, value, written=writes))
        if constant:
            return
        if all(self._is_constant(value, True) for value in inputs) and not TABLE[kind].random_like:
            self.made_of_parameters.update(outputs)
        module, module_type = self.stack[-1] if self.stack else ("", "")
        names = dict.fromkeys(name for value in inputs if (name := self._parameter(value)))
        if len(names) == 1 and TABLE[kind].rearranges and all(self._parameter(value) for value in inputs):
            self._rearranged.update(dict.fromkeys(outputs, next(iter(names))))
        self.operations.append(
            Operation(
                index, kind, name_of(func), module, inputs, tuple(outputs), tuple(names),
                _attributes(args, kwargs), module_type, func, args, kwargs, TABLE[kind],
            )
        )  # fmt: skip

    def _without_shapes(self, kind: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        """The arguments, with a tensor of zeros for one of which only the shape is read: it says nothing of numbers."""
        if (place := TABLE[kind].shaped_like) is None:
            return args, kwargs
        position, name = place
        args = tuple(self._empty(arg) if at == position else arg for at, arg in enumerate(args))
        return args, {key: self._empty(arg) if key == name else arg for key, arg in kwargs.items()}

    def _is_constant(self, value: int, or_of_parameters: bool) -> bool:
        """Whether neither inputs nor parameters make a value; or, where that counts as well, parameters alone."""
        source = self.values[value].source
        return source == "constant" or (
            or_of_parameters and (source == "parameter" or value in self.made_of_parameters)
        )

    def _empty(self, arg: Any) -> Any:
        if not isinstance(arg, Ref):
            return arg
        value = self.values[arg.value]
        return torch.zeros((), dtype=value.dtype, device="cpu").expand(value.shape)

    def _ref(self, tensor: torch.Tensor) -> Ref:
        return Ref(self._lookup(tensor))

    def _lookup(self, tensor: torch.Tensor) -> int:
        found = self._live.get(id(tensor))
        if found is None or found[0]() is not tensor:
            return self._name(tensor, self._first_seen(tensor))
        _, value, version = found
        now = _version(tensor)
        return value if now == version else self._after_alias_write(tensor, value, now)

    def _parameter(self, value: int) -> str:
        """The parameter that a value is, as it is or rearranged; "" for any other."""
        known = self.values[value]
        return known.name if known.source == "parameter" else self._rearranged.get(value, "")

    def _first_seen(self, tensor: torch.Tensor) -> int:
        name = self.parameters.get(id(tensor))
        if name is not None:
            return self._new(tensor, "parameter", name)
        if is_transformed(tensor):
            return self._entered(tensor)
        inside = self._outside.get(tensor)
        return self._new(tensor, "constant") if inside is None else self._left(tensor, inside)

    def _entered(self, tensor: torch.Tensor) -> int:
        """What a tensor that a transform made of another is: one sample of it, or itself."""
        outer, axis = self._lookup(behind(tensor)), batch_axis(tensor)
        if axis is None:
            return outer
        if self._is_constant(outer, False):
            return self._new(tensor, "constant")
        return self._made("select", torch.select, (Ref(outer), axis, 0), tensor, tuple(tensor.shape))

    def _left(self, tensor: torch.Tensor, inside: int) -> int:
        """What a transform returned of a value that was made inside of it: as many of it as there are samples."""
        shape, one = tuple(tensor.shape), self.values[inside].shape
        if shape == one:
            return inside
        if self._is_constant(inside, False):
            return self._new(tensor, "constant")
        axis = next((at for at in range(len(shape)) if shape[:at] + shape[at + 1 :] == one), 0)
        every = (shape[axis], *shape[:axis], *shape[axis + 1 :])
        made = self._made("expand", torch.Tensor.expand, (Ref(inside), every), tensor, every)
        return self._made("movedim", torch.movedim, (Ref(made), 0, axis), tensor, shape) if axis else made

    def _made(
        self, kind: str, func: Callable[..., Any], args: tuple[Any, ...], tensor: torch.Tensor, shape: tuple[int, ...]
    ) -> int:
        """A value that a transform made without a call of a torch function."""
        index, (given,) = len(self.operations), refs(args)
        value = self._new(tensor, "operation", producer=index, shape=shape)
        module, module_type = self.stack[-1] if self.stack else ("", "")
        name = self._parameter(given)
        if self._is_constant(given, True):
            self.made_of_parameters.add(value)
        self.operations.append(
            Operation(
                index, kind, kind, module, (given,), (value,), (name,) if name else (), _attributes(args, {}),
                module_type, func, args, traits=TABLE[kind],
            )
        )  # fmt: skip
        return value

    def _after_alias_write(self, tensor: torch.Tensor, old: int, version: int) -> int:
        """Something that shares this tensor's memory was written since: it now mixes the old value and the write."""
        written = self._written.get(_storage(tensor))
        if written is None or written[1] == old or self.values[old].source in ("parameter", "constant"):
            return old
        index = len(self.operations)
        value = self._new(tensor, "operation", producer=index)
        module, module_type = self.stack[-1] if self.stack else ("", "")
        args = (Ref(old), Ref(written[1]))
        self.operations.append(
            Operation(
                index, "alias", "alias", module, (old, written[1]), (value,), (), {}, module_type, None, args,
                traits=TABLE["alias"],
            )
        )  # fmt: skip
        return self._name(tensor, value)

    def _name(self, tensor: torch.Tensor, value: int, written: bool = False) -> int:
        version = _version(tensor)
        self._live[id(tensor)] = (weakref.ref(tensor), value, version)
        self._outside.add(tensor, value)
        if written:
            self._written[_storage(tensor)] = (weakref.ref(tensor), value, version)
        return value

    def _new(
        self,
        tensor: torch.Tensor,
        source: str,
        name: str = "",
        producer: int | None = None,
        shape: tuple[int, ...] | None = None,
    ) -> int:
        index, shape = len(self.values), plain_shape(tensor) if shape is None else shape
        moments, held = (None, None)
        known = self.numbers(tensor) if source in ("constant", "input") else None
        if source == "constant" and known is not None:
            moments = constant_moments(known)
            held = on_host(known.detach()) if _may_hold(known) else _one_number(known, moments)
        elif source == "input" and known is not None and not known.is_floating_point() and _may_hold(known):
            held = on_host(known.detach())  # token ids and masks, which say what attention reads
        elif source == "input" and known is not None and tensor.is_meta:
            moments = constant_moments(known)  # which no pass will measure
        elif source == "parameter" and not tensor.is_meta:
            held = tensor.detach()
        frozen = source == "parameter" and not tensor.requires_grad
        self.values[index] = Value(index, source, name, producer, shape, tensor.dtype, moments, held, frozen)
        return index


def _one_number(tensor: torch.Tensor, moments: tuple[float, float] | None) -> torch.Tensor | None:
    """A large tensor whose elements are one number, held as that number; None for any other."""
    if moments is None or not math.isclose(moments[0] ** 2, moments[1], rel_tol=1e-9):
        return None
    return _repeated(tensor, tuple(tensor.shape))


@of_whole
def _repeated(tensor: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor | None:
    """The first element in a shape, where all are like it."""
    first = tensor.detach().flatten()[0].clone()
    return on_host(first).expand(shape) if bool((tensor == first).all()) else None


def _may_hold(tensor: torch.Tensor) -> bool:
    return tensor.numel() <= _HELD and not is_transformed(tensor)


def _attributes(args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    named = {**{str(i): arg for i, arg in enumerate(args)}, **kwargs}
    return {key: value for key, value in named.items() if not any(True for _ in refs(value))}


def _version(tensor: torch.Tensor) -> int:
    return -1 if tensor.is_inference() else tensor._version


def _storage(tensor: torch.Tensor) -> int:
    base = tensor._base if tensor._is_view() else None
    return id(tensor if base is None else base)
