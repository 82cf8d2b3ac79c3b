"""Questions on a parameter's own values alone, each of which a plan asks once (`Slot.told`)."""

from __future__ import annotations

import torch

from initlab.planning.memory.shards import local_tensor, readable
from initlab.planning.memory.zeros import all_zero

LEAST = 1e-4  # a factor below it, or above its inverse, is a branch that begins closed, or memory that nobody wrote
FORBIDS = 1e3  # added to a score, it leaves no share
SIGNS = 16  # numbers that hardly share a sign by chance
PATTERN = 64  # different numbers that a tensor which was made by a rule may have; draws hardly repeat themselves


def is_zero(tensor: torch.Tensor) -> bool:
    return readable(tensor) and all_zero(tensor)


def is_pattern(tensor: torch.Tensor) -> bool:
    """Whether a tensor's values are a few numbers again and again, as an identity or a filter has, and not all one.

    Zeros one of which became no number are none.
    """
    if not readable(tensor) or tensor.numel() < 4 or not tensor.is_floating_point():
        return False
    flat = local_tensor(tensor).detach().flatten()  # all of it: DTensors know no unique
    if len(set(flat[: 4 * PATTERN].tolist())) > PATTERN:
        return False
    numbers = torch.unique(flat)
    return 1 < len(numbers) <= min(2 * flat.numel() // 3, PATTERN) and bool(numbers.isfinite().all())


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
