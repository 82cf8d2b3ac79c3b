"""`torch.nn.init`, function for function, drawn from named streams.

Every function takes torch's own arguments and two more: `name`, whose stream the values come from, and `seed`. Within
`initlab.streams` both may be left out: the name is found from the tensor. So a function of this module serves where a
library takes a callable of one tensor: torchtitan's `param_init`, Megatron's `init_method`, Lightning's
`configure_model`.

    >>> import torch, initlab
    >>> w = initlab.nn.init.normal_(torch.empty(3, 5), std=0.02, name="fc.weight", seed=0)
    >>> v = initlab.nn.init.normal_(torch.empty(3, 5), std=0.02, name="fc.weight", seed=0)
    >>> torch.equal(w, v)
    True
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn.init import calculate_gain

from initlab.errors import InputError, finite_number, seed_number, shown, told
from initlab.guest.check import dtype_name
from initlab.planning.memory.drawing import Job, write_one
from initlab.planning.memory.shards import part_of
from initlab.planning.memory.tensors import DTYPES, check_writable
from initlab.planning.named_streams.active import active
from initlab.planning.named_streams.draws import Draw, truncated, write_draw
from initlab.planning.named_streams.mode import aside
from initlab.sampling import canonical_name, laws
from initlab.sampling.request import check_range
from initlab.theory.quadrature import LARGEST

FanMode = Literal["fan_in", "fan_out"]


def uniform_(
    tensor: Tensor,
    a: float = 0.0,
    b: float = 1.0,
    generator: torch.Generator | None = None,
    *,
    name: str | None = None,
    seed: int | None = None,
) -> Tensor:
    """U(a, b), in place. See `torch.nn.init.uniform_`.

    Args:
        tensor: of any shape; a DTensor is drawn shard by shard.
        a, b: the bounds.
        generator: must be None: values come from the stream.
        name: the parameter's name; within `initlab.streams` it is found from the tensor.
        seed: an integer in [0, 2^64); default 0, or within `initlab.streams` that block's.

    Raises:
        InputError: a bad argument, a tensor that cannot be written, or no name outside `initlab.streams`.
    """
    law = laws.Uniform(finite_number("a", a), finite_number("b", b))
    return _drawn(tensor, law, Draw("uniform", (law.low, law.high), func=torch.nn.init.uniform_), generator, name, seed)


def normal_(
    tensor: Tensor,
    mean: float = 0.0,
    std: float = 1.0,
    generator: torch.Generator | None = None,
    *,
    name: str | None = None,
    seed: int | None = None,
) -> Tensor:
    """N(mean, std²), in place. See `torch.nn.init.normal_`; the other arguments are those of `uniform_`."""
    law = laws.Normal(finite_number("mean", mean), finite_number("std", std, low=0))
    return _drawn(tensor, law, Draw("normal", (law.mean, law.std), func=torch.nn.init.normal_), generator, name, seed)


def trunc_normal_(
    tensor: Tensor,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator: torch.Generator | None = None,
    *,
    name: str | None = None,
    seed: int | None = None,
) -> Tensor:
    """N(mean, std²) cut to [a, b], in place: a, b are values, and mean, std those before the cut, as torch has them.

    See `torch.nn.init.trunc_normal_`; the other arguments are those of `uniform_`.
    """
    numbers = finite_number("mean", mean), finite_number("std", std, low=0), _edge("a", a), _edge("b", b)
    if not numbers[2] < numbers[3]:
        raise InputError(f"a must be below b; got a={a!r}, b={b!r}")
    law = laws.Constant(min(max(numbers[0], numbers[2]), numbers[3])) if numbers[1] == 0 else truncated(*numbers)
    return _drawn(tensor, law, Draw("trunc_normal", numbers, func=torch.nn.init.trunc_normal_), generator, name, seed)


def constant_(tensor: Tensor, val: float, *, name: str | None = None, seed: int | None = None) -> Tensor:
    """Every element `val`, in place, as `torch.nn.init.constant_`; nothing is drawn, so name and seed say nothing."""
    return _as_torch(torch.nn.init.constant_, tensor, val)


def ones_(tensor: Tensor, *, name: str | None = None, seed: int | None = None) -> Tensor:
    """Every element 1, in place, as `torch.nn.init.ones_`."""
    return _as_torch(torch.nn.init.ones_, tensor)


def zeros_(tensor: Tensor, *, name: str | None = None, seed: int | None = None) -> Tensor:
    """Every element 0, in place, as `torch.nn.init.zeros_`."""
    return _as_torch(torch.nn.init.zeros_, tensor)


def eye_(tensor: Tensor, *, name: str | None = None, seed: int | None = None) -> Tensor:
    """The identity matrix, in place, as `torch.nn.init.eye_`."""
    return _as_torch(torch.nn.init.eye_, tensor)


def dirac_(tensor: Tensor, groups: int = 1, *, name: str | None = None, seed: int | None = None) -> Tensor:
    """The kernel that keeps its inputs, in place, as `torch.nn.init.dirac_`."""
    return _as_torch(torch.nn.init.dirac_, tensor, groups)


def xavier_uniform_(
    tensor: Tensor,
    gain: float = 1.0,
    generator: torch.Generator | None = None,
    *,
    name: str | None = None,
    seed: int | None = None,
) -> Tensor:
    """U(−a, a), a = gain · √(6 / (fan_in + fan_out)), the fans being those of the tensor's shape.

    See `torch.nn.init.xavier_uniform_`; the other arguments are those of `uniform_`.
    """
    bound = math.sqrt(3.0) * _xavier_std(tensor, gain)
    return uniform_(tensor, -bound, bound, generator, name=name, seed=seed)


def xavier_normal_(
    tensor: Tensor,
    gain: float = 1.0,
    generator: torch.Generator | None = None,
    *,
    name: str | None = None,
    seed: int | None = None,
) -> Tensor:
    """N(0, std²), std = gain · √(2 / (fan_in + fan_out)), the fans being those of the tensor's shape.

    See `torch.nn.init.xavier_normal_`; the other arguments are those of `uniform_`.
    """
    return normal_(tensor, 0.0, _xavier_std(tensor, gain), generator, name=name, seed=seed)


def kaiming_uniform_(
    tensor: Tensor,
    a: float = 0,
    mode: FanMode = "fan_in",
    nonlinearity: Any = "leaky_relu",
    generator: torch.Generator | None = None,
    *,
    name: str | None = None,
    seed: int | None = None,
) -> Tensor:
    """U(−b, b), b = gain(nonlinearity, a) · √(3 / fan). See `torch.nn.init.kaiming_uniform_`, and `uniform_` here."""
    if 0 in _checked(tensor).shape:
        return _nothing(tensor)
    bound = math.sqrt(3.0) * _kaiming_std(tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound, generator, name=name, seed=seed)


def kaiming_normal_(
    tensor: Tensor,
    a: float = 0,
    mode: FanMode = "fan_in",
    nonlinearity: Any = "leaky_relu",
    generator: torch.Generator | None = None,
    *,
    name: str | None = None,
    seed: int | None = None,
) -> Tensor:
    """N(0, gain(nonlinearity, a)² / fan). See `torch.nn.init.kaiming_normal_`, and `uniform_` here."""
    if 0 in _checked(tensor).shape:
        return _nothing(tensor)
    std = _kaiming_std(tensor, a, mode, nonlinearity)
    return normal_(tensor, 0.0, std, generator, name=name, seed=seed)


def orthogonal_(
    tensor: Tensor,
    gain: float = 1,
    generator: torch.Generator | None = None,
    *,
    name: str | None = None,
    seed: int | None = None,
) -> Tensor:
    """gain · Q with orthonormal rows or columns, the trailing axes flattened.

    See `torch.nn.init.orthogonal_`; the other arguments are those of `uniform_`. Not elementwise: a shard is cut from
    the whole, which each process makes.
    """
    if _checked(tensor).ndimension() < 2:
        raise InputError(f"tensor must have at least 2 axes; got shape {tuple(tensor.shape)}")
    law = laws.Orthogonal(finite_number("gain", gain))
    return _drawn(tensor, law, Draw("orthogonal", (law.gain,), func=torch.nn.init.orthogonal_), generator, name, seed)


def sparse_(
    tensor: Tensor,
    sparsity: float,
    std: float = 0.01,
    generator: torch.Generator | None = None,
    *,
    name: str | None = None,
    seed: int | None = None,
) -> Tensor:
    """N(0, std²) with ⌈sparsity · rows⌉ zeros in each column.

    See `torch.nn.init.sparse_`; the other arguments are those of `uniform_`.
    """
    if _checked(tensor).ndimension() != 2:
        raise InputError(f"tensor must have 2 axes; got shape {tuple(tensor.shape)}")
    law = laws.Sparse(finite_number("std", std, low=0), finite_number("sparsity", sparsity, low=0, high=1))
    draw = Draw("sparse", (law.sparsity, law.std_nonzero), func=torch.nn.init.sparse_)
    return _drawn(tensor, law, draw, generator, name, seed)


def _as_torch(function: Callable[..., Tensor], tensor: Tensor, *arguments: Any) -> Tensor:
    """One of torch's functions that draw nothing; what it raises is said in a line."""
    with told(function.__name__):
        return function(_checked(tensor), *arguments)


def _checked(tensor: Tensor) -> Tensor:
    if not isinstance(tensor, Tensor):
        raise InputError(f"tensor must be a torch.Tensor; got {type(tensor).__name__}")
    return tensor


def _drawn(tensor: Tensor, law: laws.Law, draw: Draw, generator: Any, name: str | None, seed: int | None) -> Tensor:
    """A law written into a tensor; within `streams` it counts as that block's, by the name found there."""
    _checked(tensor)
    if generator is not None:
        raise InputError("generator must be None: the values come from the stream of name and seed")
    if tensor.is_meta:
        return tensor
    mode = active()
    if name is None and mode is not None:
        with aside():
            found = mode.drawn_by_law(tensor, law, draw, seed)
        return tensor if found else draw.func(tensor, *draw.arguments)
    if name is None:
        raise InputError("name must be the parameter's name, whose stream is drawn; only within streams is it found")
    with aside():
        _write(tensor, law, draw, canonical_name(name), seed_number(0 if seed is None else seed))
    return tensor


def _write(tensor: Tensor, law: laws.Law, draw: Draw, name: str, seed: int) -> None:
    part = part_of(name, tensor)
    check_writable(name, part.tensor)
    if tensor.is_complex() and draw.is_elementwise:
        write_draw(draw, name, tensor, part, seed)
        return
    if tensor.dtype not in DTYPES:
        raise InputError(f"{name!r} is {dtype_name(tensor.dtype)}: only {', '.join(DTYPES.values())} can be drawn")
    if tensor.numel() == 0:
        return
    law.check(part.shape)
    check_range(law, DTYPES[tensor.dtype])
    write_one(Job(name, tensor, part, law), seed)


def _nothing(tensor: Tensor) -> Tensor:
    warnings.warn("Initializing zero-element tensors is a no-op", stacklevel=3)
    return tensor


def _fans(tensor: Tensor) -> tuple[int, int]:
    if _checked(tensor).dim() < 2:
        raise InputError(f"tensor must have at least 2 axes for its fans; got shape {tuple(tensor.shape)}")
    field = math.prod(tensor.shape[2:])
    return int(tensor.shape[1]) * field, int(tensor.shape[0]) * field


def _edge(name: str, value: float) -> float:
    """A cut point: a number, or an infinite one."""
    return value if isinstance(value, float) and math.isinf(value) else finite_number(name, value)


def _xavier_std(tensor: Tensor, gain: float) -> float:
    return finite_number("gain", gain) * math.sqrt(2.0 / max(1, sum(_fans(tensor))))


def _kaiming_std(tensor: Tensor, a: float, mode: str, nonlinearity: Any) -> float:
    fans = dict(zip(("fan_in", "fan_out"), _fans(tensor), strict=True))
    if not isinstance(mode, str) or mode.lower() not in fans:
        raise InputError(f"mode must be 'fan_in' or 'fan_out'; got {shown(mode)}")
    if not isinstance(nonlinearity, str):
        raise InputError(f"nonlinearity must be a name that calculate_gain knows; got {shown(nonlinearity)}")
    slope = finite_number("a", a, low=-LARGEST, high=LARGEST)
    try:
        gain = calculate_gain(nonlinearity, slope)  # type: ignore[arg-type]
    except ValueError as error:
        raise InputError(f"nonlinearity: {' '.join(str(error).split())[:200]}") from None
    return float(gain) / math.sqrt(fans[mode.lower()])


__all__ = [
    "calculate_gain", "constant_", "dirac_", "eye_", "kaiming_normal_", "kaiming_uniform_", "normal_", "ones_",
    "orthogonal_", "sparse_", "trunc_normal_", "uniform_", "xavier_normal_", "xavier_uniform_", "zeros_",
]  # fmt: skip
