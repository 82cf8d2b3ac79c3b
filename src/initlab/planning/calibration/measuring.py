"""Second moments: of what a pass made, and over all draws of the weight that made it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch

from initlab.guest.doubles import doubled
from initlab.guest.transformed import of_whole
from initlab.planning.plan import PlanEntry
from initlab.schemes.geometry import Geometry

_BLOCK = 1 << 16  # numbers whose squares are added in float32
SLACK = 1.2  # what a second moment may miss its target by before anything is corrected
NEAR = 0.75  # correlation with a weight from which a tensor is that weight, rounded
SPREADS = 3.0  # and by how many standard deviations of one draw of the weight, where the mean over draws is not known
NOTHING = 1e-8  # share of its target below which an output tells that its input is missing, and not how large it is
CENTRED = 0.1  # the square of a weight's mean, as a share of its second moment, from which it is not drawn around zero
ALIKE = frozenset({"normal", "truncated_normal", "uniform", "orthogonal"})  # laws with E[WᵀW] = σ²·fan_out·1


@of_whole
def second_moment(tensor: torch.Tensor) -> float | None:
    """E[y²] over the finite elements; None where there are none or all are zero."""
    if not tensor.is_floating_point() or tensor.numel() == 0:
        return None
    numbers = tensor.detach().float()
    found = _square_mean(numbers)
    if not math.isfinite(found):
        numbers = numbers[numbers.isfinite()]
        found = float(numbers.square().mean()) if numbers.numel() else 0.0
    return found if found > 0 and math.isfinite(found) else None


def _square_mean(numbers: torch.Tensor) -> float:
    """E[y²]; of many numbers by blocks, whose norms are taken without a copy and added in float64."""
    if numbers.numel() < 2 * _BLOCK or not numbers.is_contiguous():
        return float(numbers.square().mean())
    flat = numbers.view(-1)
    whole = len(flat) // _BLOCK * _BLOCK
    total = doubled(torch.linalg.vector_norm(flat[:whole].view(-1, _BLOCK), dim=1)).square().sum()
    return float(total + doubled(flat[whole:]).square().sum()) / len(flat)


@of_whole
def near(tensor: torch.Tensor, weight: torch.Tensor) -> bool:
    """Whether a tensor is a weight but for what rounding changes of it: even signs times one size are (r = 0.8)."""
    if not tensor.is_floating_point() or tensor.numel() < 2:
        return False
    made, own = tensor.detach().float(), weight.detach().float()
    power, base = float(made.square().mean()), float(own.square().mean())
    return base / 2 < power < 2 * base and float((made * own).mean()) > NEAR * math.sqrt(power * base)


@of_whole
def luck(
    func: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    entry: PlanEntry,
    made: torch.Tensor,
    own: float,
) -> float | None:
    """√(E[y²] over draws of W / E[y²] of this one) of y = W ∗ x; None where W is no plain matrix or kernel.

    E[y²] = σ² Σ x² over what a unit reads, for any law whose elements have mean zero and do not correlate. Few units
    spread by √(2/m) around it, which another draw does not repeat: what follows is measured on what all draws have.

    Args:
        func: the call that applies the weight.
        args: what it was given by position: x and W first.
        kwargs: and by name.
        entry: the weight's.
        made: y.
        own: the second moment of the law over that of what was drawn.
    """
    if entry.law is None or entry.law.family not in ALIKE or len(args) < 2 or entry.geometry is None:
        return None
    second = second_moment(made)
    signal, weight = args[:2]
    plain = isinstance(signal, torch.Tensor) and isinstance(weight, torch.Tensor) and signal.is_floating_point()
    if not plain or second is None:
        return None
    read = _read(func, signal.detach().float().square(), weight, args, kwargs, entry.geometry)
    sigma = second_moment(weight)
    if read is None or sigma is None or not _centred(weight, sigma):
        return None
    expected = own * sigma * read
    return math.sqrt(expected / second) if expected > 0 and math.isfinite(expected) else None


def _centred(weight: torch.Tensor, sigma: float) -> bool:
    """Whether elements are drawn around zero: the mean of n of them squared is σ²/n, which three spread far around."""
    chance = SPREADS**2 / max(weight.numel(), 1)
    return float(weight.detach().float().mean()) ** 2 <= (CENTRED + chance) * sigma


def _read(
    func: Callable[..., Any], squares: torch.Tensor, weight: torch.Tensor, args: Any, kwargs: Any, geometry: Geometry
) -> float | None:
    """The sum of the squares that a unit reads, on average over places; a matrix may stand turned, as in x @ W."""
    kind = geometry.kind if len(geometry.shape) > 1 else ""
    if kind == "linear" and weight.dim() == 2 and squares.shape[-1] == geometry.shape[geometry.in_axis]:
        sums = squares.sum(-1)
    elif kind in ("conv", "conv_transpose") and weight.dim() > 2:
        groups = int(kwargs.get("groups", args[6] if len(args) > 6 else 1) if kind == "conv" else 0)
        if not groups:
            return None
        one = torch.ones(groups, *weight.shape[1:], device=weight.device)
        named = {name: value for name, value in kwargs.items() if name != "bias"}
        sums = func(squares, one, None, *args[3:], **named)
    else:
        return None
    sums = sums.flatten()
    found = float(sums.mean()) if sums.numel() else None
    if found is None or math.isfinite(found):
        return found
    sums = sums[sums.isfinite()]
    return float(sums.mean()) if sums.numel() else None


def units(made: torch.Tensor, entry: PlanEntry) -> int:
    """How many units of the layer one draw of its weight makes."""
    geometry = entry.geometry
    if geometry is None or entry.role == "embedding" or len(geometry.shape) < 2:
        return max(1, made.shape[-1] if made.dim() else 1)
    return max(1, geometry.shape[geometry.out_axis])


def feature_axis(made: torch.Tensor, entry: PlanEntry) -> int:
    """The axis of a layer's units in what it makes."""
    return 1 if entry.geometry is not None and entry.geometry.kind.startswith("conv") and made.dim() > 2 else -1


@of_whole
def spread(made: torch.Tensor, entry: PlanEntry) -> float:
    """The standard deviation of E[y²] over draws of its weight, as a share of it: units are draws of one unit.

    It tells from a few units how alike what they read is: of m units that read one direction it is √(2/m).
    """
    each = made.detach().float().movedim(feature_axis(made, entry), 0).flatten(1).square().mean(1)
    each = each[each.isfinite()]
    if len(each) < 2:
        return math.sqrt(2.0)
    return float(each.std() / each.mean()) / math.sqrt(len(each))


def misses(ratio: float, drawn: int = 0) -> bool:
    """Whether a second moment misses by more than the slack, and by more than one draw's spread explains.

    The second moment over m Gaussian units spreads by √(2/m) from draw to draw where the inputs agree most.

    Args:
        ratio: the second moment over its target.
        drawn: m; 0 where the ratio is over all draws.
    """
    slack = max(SLACK, 1 + SPREADS * math.sqrt(2 / drawn)) if drawn else SLACK
    return ratio > slack or ratio < 1 / slack
