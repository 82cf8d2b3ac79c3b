"""Questions on a parameter's own values alone, each of which a plan asks once (`Slot.told`)."""

from __future__ import annotations

import math

import torch

from initlab.guest.check import is_strided
from initlab.guest.doubles import doubled
from initlab.planning.memory.shards import local_tensor, readable
from initlab.planning.memory.tensors import DTYPES, PARTS
from initlab.planning.memory.zeros import all_zero

LEAST = 1e-4  # a factor below it, or above its inverse, is a branch that begins closed, or memory that nobody wrote
FORBIDS = 1e3  # added to a score, it leaves no share
SIGNS = 16  # numbers that hardly share a sign by chance
PATTERN = 64  # different numbers that a tensor which was made by a rule may have; draws hardly repeat themselves
NOTHING = 0.05  # rms · √fan_in of such a matrix; torch's default is 0.58, GPT-2's 0.55, its branch ends' 0.11
RUNGS = 8  # drawn numbers that are hardly ever in order: once in 20,160 times
EVEN = 1e-4  # by which lengths that are equal differ, in single precision


def is_zero(tensor: torch.Tensor) -> bool:
    return readable(tensor) and all_zero(tensor)


def is_finite(tensor: torch.Tensor) -> bool:
    """Whether no value is nan or inf, as far as they can be read."""
    tensor = local_tensor(tensor).detach()
    if tensor.is_meta or tensor.numel() == 0 or not is_strided(tensor):
        return True
    if tensor.dtype in PARTS:
        tensor = torch.view_as_real(tensor.resolve_conj())
    if tensor.dtype not in DTYPES:
        return True
    low, high = torch.aminmax(tensor)
    return bool(torch.isfinite(low) & torch.isfinite(high))


def is_pattern(tensor: torch.Tensor) -> bool:
    """Whether a tensor's values are a few numbers again and again, as an identity or a filter has, and not all one.

    Zeros one of which became no number are none.
    """
    if not readable(tensor) or tensor.numel() < 4 or not tensor.is_floating_point():
        return False
    flat = local_tensor(tensor).detach().flatten()  # all of it: DTensors know no unique
    some = flat[: 4 * PATTERN], flat[:: len(flat) // (4 * PATTERN) or 1]  # a padding row of zeros may stand first
    if any(len(set(few.tolist())) > PATTERN for few in some):
        return False
    numbers = torch.unique(flat)
    return 1 < len(numbers) <= min(2 * flat.numel() // 3, PATTERN) and bool(numbers.isfinite().all())


def is_made(tensor: torch.Tensor) -> bool:
    """Whether an author made a tensor's values one by one or by a rule, which no draw gives."""
    return bool(made(tensor))


def made(tensor: torch.Tensor) -> str:
    """How an author made values that are not all one: as a pattern, a ladder or by hand; "" of what may be drawn."""
    if not readable(tensor) or not tensor.is_floating_point() or tensor.numel() < 2:
        return ""
    if is_pattern(tensor):
        return "a pattern of a few numbers"
    if max(tensor.shape, default=0) < tensor.numel():
        return ""
    values = doubled(local_tensor(tensor).detach()).flatten()
    if len(values) < 2 or not bool(values.isfinite().all()):
        return ""
    if _is_ladder(values):
        return f"numbers one after another from {float(values[0]):.4g} to {float(values[-1]):.4g}"
    exact = torch.finfo(tensor.dtype).eps < 1e-6
    return "numbers set by hand" if exact and len(values) <= PATTERN and _is_short(values) else ""


def _is_ladder(values: torch.Tensor) -> bool:
    """Whether eight numbers or more rise or fall from first to last, or fewer by one step or one factor."""
    steps = values.diff()
    if not bool((steps > 0).all() or (steps < 0).all()):
        return False
    if len(values) >= RUNGS:
        return True
    factors = (values[1:] / values[:-1]).log() if bool((values > 0).all() or (values < 0).all()) else steps
    return len(values) > 2 and any(float(s.std()) < 1e-5 * abs(float(s.mean())) for s in (steps, factors))


def _is_short(values: torch.Tensor) -> bool:
    """Whether all are decimals of three digits or fewer, and not all of them one."""
    sizes = values.abs()
    usual = bool((sizes[sizes > 0] > LEAST).all()) and bool((sizes < 1 / LEAST).all())
    if not usual or len(torch.unique(values)) < 2:
        return False
    last = 10.0 ** (sizes.clamp(min=LEAST).log10().floor() - 2)
    return bool(((values / last).round() * last - values).abs().le(2e-7 * sizes).all())


def has_even_rows(tensor: torch.Tensor) -> bool:
    """Whether the rows of a table have one length, as sines beside their cosines do; rows of zeros aside."""
    if not readable(tensor) or not tensor.is_floating_point() or tensor.dim() < 2 or tensor.shape[-1] < 2:
        return False
    rows = local_tensor(tensor).detach().flatten(0, -2)
    if len(rows) < 4 or bool((rows[1:16] == rows[0]).all()):
        return False
    for part in (rows[:16], rows):  # as of most: a few say so
        lengths = part.float().norm(dim=1)
        lengths = lengths[lengths > 0]
        if len(lengths) < 4 or not bool((lengths - lengths[0]).abs().max() < EVEN * lengths[0]):
            return False
    return True


def is_identity(tensor: torch.Tensor) -> bool:
    """Whether it is the identity matrix; most others are told by their first numbers."""
    if tensor.dim() != 2 or tensor.shape[0] != tensor.shape[1] or tensor.shape[0] < 2 or not tensor.is_floating_point():
        return False
    if tensor[0, :2].tolist() != [1.0, 0.0]:
        return False
    return bool(torch.equal(tensor, torch.eye(len(tensor), dtype=tensor.dtype, device=tensor.device)))


def is_rotation(tensor: torch.Tensor) -> bool:
    """Whether W Wᵀ = 1 for a square matrix or a convolution at single places; no draw's rows have equal lengths."""
    if not readable(tensor) or not tensor.is_floating_point() or tensor.dim() < 2 or tensor.shape[0] < 2:
        return False
    if tensor.shape[0] != tensor.shape[1] or tensor.shape[2:].numel() != 1:
        return False
    matrix = local_tensor(tensor).detach().flatten(1).float()
    if abs(float(matrix[0].norm()) - 1) > 2e-3:  # as of most: one row says so
        return False
    if not torch.allclose(matrix.norm(dim=1), torch.ones(len(matrix), device=matrix.device), atol=1e-3):
        return False
    return torch.allclose(matrix @ matrix.T, torch.eye(len(matrix), device=matrix.device), atol=1e-3)


def is_triangular(tensor: torch.Tensor) -> bool:
    """Whether a square matrix has nothing on one side of its diagonal and something on the other, as a factor does.

    >>> is_triangular(torch.randn(4, 4).tril()), is_triangular(torch.eye(4)), is_triangular(torch.randn(4, 4))
    (True, False, False)
    """
    if not readable(tensor) or tensor.ndim != 2 or tensor.shape[0] != tensor.shape[1] or tensor.shape[0] < 3:
        return False
    whole = local_tensor(tensor).detach()
    return whole.shape == tensor.shape and bool(whole.tril(-1).any()) != bool(whole.triu(1).any())


def holds_masks(tensor: torch.Tensor) -> bool:
    """Whether some numbers are so large that they forbid, as −10,000 among a chain's transitions; none is drawn so."""
    if not readable(tensor) or not tensor.is_floating_point():
        return False
    return bool((local_tensor(tensor).detach().abs() >= FORBIDS).any())


def is_next_to_nothing(tensor: torch.Tensor) -> bool:
    """Whether a matrix (out, in, …) makes next to nothing of numbers of unit size, and is not zero."""
    if not readable(tensor) or not tensor.is_floating_point() or tensor.dim() < 2 or tensor.numel() == 0:
        return False
    rms = float(local_tensor(tensor).detach().float().square().mean().sqrt())
    return 0 < rms * math.sqrt(math.prod(tensor.shape[1:])) < NOTHING


def is_off_zero(tensor: torch.Tensor) -> bool:
    values = local_tensor(tensor).detach().float()
    return abs(float(values.mean())) > 3 * float(values.std())


def constant_and_largest(tensor: torch.Tensor) -> tuple[bool, float]:
    """Whether all numbers of a tensor are one, and the largest absolute one."""
    values = tensor.detach().float()
    return bool((values == values.flatten()[0]).all()), float(values.abs().max())


def first_of(tensor: torch.Tensor) -> float:
    return float(tensor.detach().flatten()[0])


def is_one_number(tensor: torch.Tensor) -> bool:
    return tensor.numel() > 0 and bool((tensor.detach() == tensor.detach().flatten()[0]).all())


def chosen(tensor: torch.Tensor) -> str:
    """One number, or many of one sign, that an author chose: not memory that nobody wrote, nor a draw around zero."""
    values = tensor.detach().float()
    low, high = float(values.min()), float(values.max())
    if not LEAST < float(values.abs().min()) <= float(values.abs().max()) < 1 / LEAST:
        return ""
    if low == high:
        return f"a number, {low:.4g},"
    return f"numbers from {low:.4g} to {high:.4g}" if values.numel() >= SIGNS and low * high > 0 else ""
