"""What each of torch's random operations draws: a law of our own, and what is then done to every element."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch

from initlab.errors import InputError
from initlab.guest.doubles import doubles_at
from initlab.planning.memory.drawing import Job, write_one
from initlab.planning.memory.shards import Part
from initlab.planning.memory.tensors import DTYPES
from initlab.rng import random_states_kept
from initlab.sampling import derive_seed, laws, permutation
from initlab.sampling.truncation import cut_moments

Then = Callable[[torch.Tensor], torch.Tensor]
UNIT = laws.Uniform(0.0, 1.0)
_FAR = 8.0  # beyond so many sigma a cut takes nothing that float32 draws
_FLAT = 1e-6  # over an interval of so few sigma the density is one number to float32


@dataclass(frozen=True)
class Draw:
    """One random operation.

    Args:
        op: torch's name for it, without the trailing underscore.
        arguments: its arguments, after the target where it writes in place.
        named: its keyword arguments.
        func: the operation itself.
        in_place: whether `func` takes the target first.
    """

    op: str
    arguments: tuple[Any, ...] = ()
    named: dict[str, Any] = field(default_factory=dict, hash=False)
    func: Any = None
    in_place: bool = True

    def number(self, place: int, name: str, default: float) -> Any:
        value = self.arguments[place] if len(self.arguments) > place else self.named.get(name, default)
        return default if value is None else value

    @property
    def is_elementwise(self) -> bool:
        """Whether each value depends on its own place alone, so that any part can be drawn without the rest."""
        return self.op in RECIPES and not any(isinstance(value, torch.Tensor) for value in self.arguments)

    def describe(self) -> str:
        """The call as a reader would write it: `normal(0, 0.02)`."""
        rest = _DEFAULTS.get(self.op, ())[len(self.arguments) :]
        return f"{self.op}({', '.join(_shown(value) for value in (*self.arguments, *rest))})"


# torch's defaults, which its calls leave out.
_DEFAULTS = {
    "normal": (0.0, 1.0), "uniform": (0.0, 1.0), "log_normal": (1.0, 2.0), "exponential": (1.0,), "cauchy": (0.0, 1.0),
    "bernoulli": (0.5,),
}  # fmt: skip


def _shown(value: Any) -> str:
    if isinstance(value, bool | int):
        return str(value)
    return f"{value:.4g}" if isinstance(value, float) else "…"


def seed_of(seed: int, number: int) -> int:
    """The seed of a parameter's draw with this number: the first draw's is the seed itself, as `init_` uses it."""
    return seed if number == 0 else derive_seed(seed, "draw", number)


def write_draw(draw: Draw, name: str, tensor: torch.Tensor, part: Part, seed: int) -> None:
    """Write a draw into what this process holds of a tensor.

    Args:
        draw: what is drawn.
        name: whose stream it is.
        tensor: the tensor, whose version counts the write.
        part: what this process holds of it.
        seed: of this draw.
    """
    target = part.tensor
    if target.numel() == 0 or target.is_meta:
        return
    if target.is_complex():
        _write_complex(draw, name, tensor, part, seed)
        return
    if draw.op == "randperm":
        target.copy_(torch.from_numpy(permutation(target.numel(), seed=seed, name=name)))
        return
    if draw.op not in RECIPES:
        _write_by_torch(draw, name, part, seed)
        return
    law, then, wide = RECIPES[draw.op](draw, target.dtype)
    with torch.no_grad():
        if then is None and target.dtype in DTYPES:
            write_one(Job(name, tensor, part, law), seed)
            return
        kind = torch.float64 if wide or target.dtype == torch.float64 else torch.float32
        where = doubles_at(target.device) if kind == torch.float64 else target.device
        made = torch.empty(target.shape, dtype=kind, device=where)
        write_one(Job(name, made, Part(made, part.shape, part.blocks), law), seed)
        target.detach().copy_(made if then is None else then(made))


def _write_complex(draw: Draw, name: str, tensor: torch.Tensor, part: Part, seed: int) -> None:
    """torch draws both parts of a complex normal with std/√2 each."""
    pairs = torch.view_as_real(part.tensor.detach())
    both = slice(0, 2)
    blocks = tuple(((*local, both), (*whole, both)) for local, whole in part.blocks)
    real = draw
    if draw.op == "normal":
        real = Draw("normal", (draw.number(0, "mean", 0.0), draw.number(1, "std", 1.0) / math.sqrt(2)))
    write_draw(real, name, tensor, Part(pairs, (*part.shape, 2), blocks), seed)


def _write_by_torch(draw: Draw, name: str, part: Part, seed: int) -> None:
    """Any other random operation, by torch itself from a generator of this draw's own; its global one stays."""
    target = part.tensor
    key = derive_seed(seed, name, draw.op, tuple(target.shape)) >> 1
    named = {key: value for key, value in draw.named.items() if key != "generator"}
    with random_states_kept(key, str(target.device)), torch.no_grad():
        if draw.in_place:
            draw.func(target.detach(), *draw.arguments, **named)
        else:
            target.detach().copy_(draw.func(*draw.arguments, **named))


Recipe = tuple[laws.Law, Then | None, bool]


def _normal(draw: Draw, dtype: torch.dtype) -> Recipe:
    mean, std = draw.number(0, "mean", 0.0), draw.number(1, "std", 1.0)
    if isinstance(mean, torch.Tensor) or isinstance(std, torch.Tensor):
        return laws.Normal(), lambda z: z.mul_(std).add_(mean), True
    return laws.Normal(float(mean), float(std)), None, False


def _uniform(draw: Draw, dtype: torch.dtype) -> Recipe:
    return laws.Uniform(float(draw.number(0, "from", 0.0)), float(draw.number(1, "to", 1.0))), None, False


def truncated(mean: float, std: float, low: float, high: float) -> laws.Law:
    """N(mean, std²) cut to [low, high], mean and std being those BEFORE the cut, as torch counts them.

    Raises:
        InputError: an interval so far from the mean that no law of ours is that one.
    """
    below, above = (low - mean) / std, (high - mean) / std
    if below < -_FAR and above > _FAR:
        return laws.Normal(mean, std)
    if (above - below) * max(1.0, abs(below), abs(above)) < _FLAT:
        return laws.Uniform(low, high)
    shift, variance = cut_moments(max(below, -_FAR), min(above, _FAR))
    return laws.TruncatedNormal(mean + std * shift, std * math.sqrt(variance), low, high)


def _trunc_normal(draw: Draw, dtype: torch.dtype) -> Recipe:
    mean, std = float(draw.number(0, "mean", 0.0)), float(draw.number(1, "std", 1.0))
    return truncated(mean, std, float(draw.number(2, "a", -2.0)), float(draw.number(3, "b", 2.0))), None, False


def _exponential(draw: Draw, dtype: torch.dtype) -> Recipe:
    rate = float(draw.number(0, "lambd", 1.0))
    return UNIT, lambda u: u.neg_().log1p_().div_(-rate), True


def _log_normal(draw: Draw, dtype: torch.dtype) -> Recipe:
    law = laws.Normal(float(draw.number(0, "mean", 1.0)), float(draw.number(1, "std", 2.0)))
    return law, torch.Tensor.exp_, True


def _cauchy(draw: Draw, dtype: torch.dtype) -> Recipe:
    median, sigma = float(draw.number(0, "median", 0.0)), float(draw.number(1, "sigma", 1.0))
    return UNIT, lambda u: u.sub_(0.5).mul_(math.pi).tan_().mul_(sigma).add_(median), True


def _geometric(draw: Draw, dtype: torch.dtype) -> Recipe:
    p = float(draw.number(0, "p", 0.5))
    return UNIT, lambda u: u.neg_().log1p_().div_(math.log1p(-p)).ceil_().clamp_(min=1), True


def _bernoulli(draw: Draw, dtype: torch.dtype) -> Recipe:
    p = draw.arguments[0] if draw.arguments else draw.named.get("p", 0.5)
    return UNIT, lambda u: (u < p).to(u.dtype), True


# The largest whole number up to which a float type has all of them, which is how far `random_()` draws.
_WHOLE = {torch.float16: 2**11, torch.bfloat16: 2**8, torch.float32: 2**24, torch.float64: 2**53}


def _random(draw: Draw, dtype: torch.dtype) -> Recipe:
    given = [int(value) for value in draw.arguments if value is not None]
    top = _WHOLE[dtype] + 1 if dtype in _WHOLE else 2 if dtype == torch.bool else min(torch.iinfo(dtype).max, 2**53)
    low, high = (given[0], given[1]) if len(given) > 1 else (0, given[0]) if given else (0, top)
    return UNIT, lambda u: u.mul_(high - low).floor_().clamp_(max=high - low - 1).add_(low), True


RECIPES: dict[str, Callable[[Draw, torch.dtype], Recipe]] = {
    "normal": _normal,
    "uniform": _uniform,
    "trunc_normal": _trunc_normal,
    "exponential": _exponential,
    "log_normal": _log_normal,
    "cauchy": _cauchy,
    "geometric": _geometric,
    "bernoulli": _bernoulli,
    "random": _random,
}


def is_known(draw: Draw, dtype: torch.dtype) -> bool:
    """Whether a law of our own is what this draw asks for."""
    try:
        return draw.op in RECIPES and RECIPES[draw.op](draw, dtype) is not None
    except (InputError, ZeroDivisionError):
        return False


_SHAPED = {"randn": "normal", "randn_like": "normal", "rand": "uniform", "rand_like": "uniform"}
_WHOLE_NUMBERS = ("randint", "randint_like")


def factory_draw(op: str, args: tuple[Any, ...], named: dict[str, Any], func: Any) -> Draw:
    """What a random operation that makes a new tensor draws."""
    if op in _SHAPED:
        return Draw(_SHAPED[op])
    if op in _WHOLE_NUMBERS:
        return Draw("random", tuple(value for value in args if isinstance(value, int)))
    if op == "normal":
        return Draw("normal", args[:2])
    if op == "randperm":
        return Draw("randperm")
    return Draw(op, args, named, func, in_place=False)
