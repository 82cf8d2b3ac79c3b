"""A weight as a linear map: its fans, its axes, its groups and its packed blocks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from initlab.errors import InputError, finite_number, shown, unknown

FAN_MODES = ("fan_in", "fan_out", "fan_avg", "fan_geo_avg")

KINDS = (
    "linear",
    "conv",
    "conv_transpose",
    "transformers_conv1d",
    "bilinear",
    "embedding",
    "recurrent",
    "recurrent_bias",
    "attention",
    "attention_bias",
    "attention_bias_kv",
    "bias",
    "norm_weight",
    "norm_bias",
    "prelu",
    "other",
)


@dataclass(frozen=True)
class Fans:
    """How many inputs one output unit sums over (`fan_in`), and how many outputs one input unit reaches (`fan_out`).

    Args:
        fan_in: a positive number; a float, since a strided convolution has an average.
        fan_out: a positive number.

    Raises:
        InputError: a fan that is zero, negative, nan or infinite.

    >>> Fans(256, 128).mode("fan_avg")
    192.0
    """

    fan_in: float
    fan_out: float

    def __post_init__(self) -> None:
        for name in ("fan_in", "fan_out"):
            object.__setattr__(self, name, _positive(name, getattr(self, name)))

    def mode(self, mode: str) -> float:
        """The one number that a variance rule divides by: n, m, (n+m)/2 or √(nm) for n = fan_in, m = fan_out.

        Raises:
            InputError: a mode that does not exist.

        >>> Fans(4, 16).mode("fan_geo_avg")
        8.0
        """
        if mode == "fan_in":
            return self.fan_in
        if mode == "fan_out":
            return self.fan_out
        if mode == "fan_avg":
            return (self.fan_in + self.fan_out) / 2
        if mode == "fan_geo_avg":
            return math.sqrt(self.fan_in) * math.sqrt(self.fan_out)
        raise unknown("fan mode", mode, FAN_MODES)


@dataclass(frozen=True)
class Packing:
    """Several weights stored as one tensor: LSTM gates, q/k/v.

    Args:
        axis: the axis along which the blocks lie.
        sizes: the blocks' lengths along it; they add up to the tensor's.
        labels: a name for each block, such as ("input", "forget", "cell", "output"); () for none.
        fans: each block's own fans where they differ (grouped-query attention); () when all have the geometry's.
    """

    axis: int
    sizes: tuple[int, ...]
    labels: tuple[str, ...] = ()
    fans: tuple[Fans, ...] = ()

    def __post_init__(self) -> None:
        if not self.sizes or any(size <= 0 for size in self.sizes):
            raise InputError(f"packing sizes must be positive; got {self.sizes}")
        for name, items in (("labels", self.labels), ("fans", self.fans)):
            if items and len(items) != len(self.sizes):
                raise InputError(
                    f"packing {name} must be one for each of the {len(self.sizes)} blocks; got {len(items)}"
                )


@dataclass(frozen=True)
class Geometry:
    """A weight as a linear map.

    Args:
        shape: the tensor's shape.
        fan_in: inputs that one output unit sums over, per block when packed.
        fan_out: outputs that one input unit reaches (an average where a stride makes it vary), per block when packed.
        out_axis: the axis of the output channels.
        in_axis: the axis of the input channels; every other axis is the kernel's.
        groups: independent maps stored one after another along `group_axis`.
        packing: the blocks of a packed tensor, or None.
        kind: what the tensor is to its layer, one of `KINDS`; `torch_default` reads it.
        native_fan_in: the number that the framework's own `reset_parameters` takes for its fan (torch's fan of the
            layer's weight for a bias, hidden_size for recurrent tensors); None = found from the shape.
        group_axis: the axis along which groups lie (0 in torch for plain and for transposed convolutions).

    Raises:
        InputError: axes outside the shape, groups that do not divide it, blocks that do not add up, bad fans.
    """

    shape: tuple[int, ...]
    fan_in: float
    fan_out: float
    out_axis: int = 0
    in_axis: int = 1
    groups: int = 1
    packing: Packing | None = None
    kind: str = "linear"
    native_fan_in: float | None = None
    group_axis: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", _shape(self.shape))
        for name in ("fan_in", "fan_out"):
            object.__setattr__(self, name, _positive(name, getattr(self, name)))
        if self.kind not in KINDS:
            raise unknown("geometry kind", self.kind, KINDS)
        if self.matrix_like:
            self._check_axes()
        self._check_blocks()

    @classmethod
    def from_shape(cls, shape: Sequence[int]) -> Geometry:
        """The fallback when nothing but the shape is known: torch's layout (out, in, *kernel).

        Raises:
            InputError: fewer than two axes, or an axis of length zero: such a tensor has no fans.

        >>> Geometry.from_shape((16, 8, 3, 3)).fan_in
        72.0
        """
        dims = _shape(shape)
        if len(dims) < 2:
            raise InputError(
                f"a tensor of shape {dims} has no fan_in and fan_out: a fan rule needs at least 2 axes (out, in); "
                "use zeros, ones, constant, uniform or normal for it, or pass fans=(fan_in, fan_out)"
            )
        if 0 in dims:
            raise InputError(f"a tensor of shape {dims} has no elements, so no fans; every axis must be at least 1")
        kernel = math.prod(dims[2:])
        return cls(dims, dims[1] * kernel, dims[0] * kernel)

    @classmethod
    def bare(cls, shape: tuple[int, ...]) -> Geometry:
        """The geometry of a parameter that no layer explains: torch's layout where its shape allows that."""
        if len(shape) >= 2:
            return cls.from_shape(shape) if 0 not in shape else cls(shape, 1.0, 1.0)
        return cls(shape, 1.0, 1.0, kind="other")

    @classmethod
    def from_fans(cls, fans: Fans, shape: Sequence[int] | None = None) -> Geometry:
        """A geometry with these fans: of a dense layer (fan_out, fan_in) unless a shape is given."""
        plain = tuple(max(1, round(fan)) for fan in (fans.fan_out, fans.fan_in))
        dims = plain if shape is None else _shape(shape)
        return cls(dims, fans.fan_in, fans.fan_out)

    @property
    def fans(self) -> Fans:
        """The pair of fans (of one block when packed)."""
        return Fans(self.fan_in, self.fan_out)

    @property
    def matrix_like(self) -> bool:
        """Whether the tensor has both an output and an input axis."""
        return len(self.shape) >= 2

    def block(self, length: int, axis: int, fans: Fans) -> Geometry:
        """One block, `length` along `axis`, of a packed or grouped geometry: neither packed nor grouped itself."""
        shape = tuple(length if i == axis else size for i, size in enumerate(self.shape))
        return replace(self, shape=shape, fan_in=fans.fan_in, fan_out=fans.fan_out, groups=1, packing=None)

    def _check_axes(self) -> None:
        rank = len(self.shape)
        for name in ("out_axis", "in_axis", "group_axis"):
            axis = getattr(self, name)
            if not -rank <= axis < rank:
                raise InputError(f"{name} must be an axis of the shape {self.shape}; got {axis}")
            object.__setattr__(self, name, axis % rank)
        if self.out_axis == self.in_axis:
            raise InputError(f"out_axis and in_axis must differ; got {self.out_axis} for both")

    def _check_blocks(self) -> None:
        if isinstance(self.groups, bool) or not isinstance(self.groups, int) or self.groups < 1:
            raise InputError(f"groups must be a positive integer; got {shown(self.groups)}")
        if self.groups > 1 and (not self.matrix_like or self.shape[self.group_axis] % self.groups):
            size = self.shape[self.group_axis] if self.matrix_like else self.shape
            raise InputError(f"groups must divide the channels; got groups={self.groups} for {size} channels")
        if self.packing is None:
            return
        axis, total = self.packing.axis, sum(self.packing.sizes)
        if not 0 <= axis < len(self.shape) or self.shape[axis] != total:
            raise InputError(
                f"packed blocks of sizes {self.packing.sizes} do not fill axis {axis} of shape {self.shape}"
            )


def as_geometry(fans: Fans | Geometry | Sequence[float]) -> Geometry:
    """A geometry from what a user may pass for `fans`: `Fans`, a `Geometry`, or the pair (fan_in, fan_out).

    >>> as_geometry((4, 2)).shape
    (2, 4)
    """
    if isinstance(fans, Geometry):
        return fans
    return Geometry.from_fans(as_fans(fans))


def as_fans(fans: Fans | Geometry | Sequence[float]) -> Fans:
    """The pair of fans from `Fans`, a `Geometry` or (fan_in, fan_out); anything else is an `InputError`."""
    if isinstance(fans, Geometry):
        return fans.fans
    if isinstance(fans, Fans):
        return fans
    try:
        fan_in, fan_out = fans
    except (TypeError, ValueError):
        raise InputError(
            f"fans must be Fans, a Geometry or (fan_in, fan_out); got {shown(fans)} (for a shape: "
            f"Geometry.from_shape(shape))"
        ) from None
    return Fans(fan_in, fan_out)


def _positive(name: str, value: object) -> float:
    number = finite_number(name, value)
    if number <= 0:
        raise InputError(f"{name} must be greater than 0; got {number:g}")
    return number


def _shape(shape: Sequence[int]) -> tuple[int, ...]:
    if type(shape) is tuple and set(map(type, shape)) <= {int} and min(shape, default=0) >= 0:
        return shape
    try:
        dims = tuple(int(size.__index__()) for size in shape)
    except (TypeError, AttributeError):
        raise InputError(f"shape must be a sequence of integers; got {shown(shape)}") from None
    if any(size < 0 for size in dims):
        raise InputError(f"shape must have no negative axis; got {dims}")
    return dims
