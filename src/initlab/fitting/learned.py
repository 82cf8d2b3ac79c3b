"""What the methods that learn a scale for each parameter share: batches, a differentiable loss, and their result."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import TorchFunctionMode

from initlab.data import as_tensors
from initlab.errors import InputError, shown
from initlab.fitting.running import floating_in, generator, plain_kernels, run_model
from initlab.reporting import Column, Shown, Table
from initlab.training.losses import check_loss, named_loss

Loss = Callable[[Any, Tensor], Tensor]


@dataclass(frozen=True, repr=False)
class LearnedScales(Shown):
    """What a method that learns scales did.

    Args:
        method: its name.
        scales: parameter name -> factor by which it was multiplied.
        history: the objective at each step.
        note: what to know.
    """

    method: str
    scales: dict[str, float]
    history: tuple[float, ...]
    note: str = ""

    def table(self) -> Table:
        """The scales as a reporting table."""
        rows = list(self.scales.items())
        moved = f"objective {self.history[0]:.4g} → {self.history[-1]:.4g} in {len(self.history)} steps"
        note = "; ".join(text for text in (moved, self.note) if text)
        return Table(
            self.method, (Column("parameter", kind="code"), Column("scale", "right", "number")), rows, note=note
        )


class Batches:
    """Batches of (X, Y), drawn without replacement by a generator of their own, over and over."""

    def __init__(self, data: Any, batch_size: int, seed: int) -> None:
        self.x, self.y = as_tensors(data)
        self.size = min(batch_size, len(self.x))
        self._generator = generator(seed)
        self._left = torch.empty(0, dtype=torch.int64, device="cpu")

    def next(self) -> tuple[Tensor, Tensor]:
        """The next batch."""
        if len(self._left) < self.size:
            self._left = torch.randperm(len(self.x), generator=self._generator, device="cpu")
        rows, self._left = self._left[: self.size], self._left[self.size :]
        return self.x[rows], self.y[rows]


def loss_for(loss: str | Loss | None, y: Tensor) -> Loss:
    """The loss to use: the user's own, by name or as a function; else the one that the targets mean.

    Raises:
        InputError: no loss of that name, or no function.

    >>> loss_for("l1", torch.zeros(2)) is nn.functional.l1_loss
    True
    """
    if loss is None or (isinstance(loss, str) and loss == "auto"):
        loss = "mse" if y.is_floating_point() else "cross_entropy"
    if isinstance(loss, str):
        return named_loss(loss).call
    check_loss(loss)
    return loss


def scalar_loss(model: nn.Module, loss: Loss, x: Tensor, y: Tensor) -> Tensor:
    """The loss on a batch, a finite scalar with a graph.

    Raises:
        InputError: a forward or a loss that raises, a loss that is no scalar, or one that is not finite.
    """
    output = run_model(model, (x,), argument="data")
    first = output if isinstance(output, Tensor) else next(iter(floating_in(output)), None)
    if first is not None:
        y = y.to(first.device, first.dtype if y.is_floating_point() and first.is_floating_point() else None)
    try:
        value = loss(first, y)
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"loss raised {type(error).__name__}: {' '.join(str(error).split())[:200]}") from error
    if not isinstance(value, Tensor) or value.numel() != 1:
        raise InputError(f"loss must give one number; got {shown(getattr(value, 'shape', value))}")
    if not math.isfinite(float(value.detach())):
        raise InputError(f"loss must be finite at the start; got {float(value.detach())}: choose a smaller start first")
    return value.reshape(())


@contextlib.contextmanager
def twice_differentiable() -> Iterator[None]:
    """Inside, attention, recurrent layers and batch norms run in forms whose gradients can be differentiated twice."""
    try:
        with plain_kernels(), sdpa_kernel(SDPBackend.MATH), _BatchNormsWritten(), torch.enable_grad():
            yield
    except RuntimeError as error:
        text = " ".join(str(error).split())
        if "derivative" not in text and "double" not in text:
            raise
        raise InputError(f"the model must be differentiable twice; torch says: {text[:200]}") from error


class _BatchNormsWritten(TorchFunctionMode):
    """Batch and instance norms as their arithmetic: torch's own has no third derivative since 2.14.

    Statistics stay unmoved.
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        written: Callable[..., Any] = WRITTEN.get(func, func)
        return written(*args, **(kwargs or {}))


def _batch_norm(
    input: Tensor,  # as torch.nn.functional.batch_norm names it
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,  # of statistics, which are not moved
    eps: float = 1e-5,
) -> Tensor:
    """(x − mean) / √(var + eps) · weight + bias by channel, axis 1.

    >>> x = torch.arange(12.0).reshape(3, 2, 2)
    >>> torch.allclose(_batch_norm(x, None, None, training=True), F.batch_norm(x, None, None, training=True), atol=1e-6)
    True
    """
    axes = [axis for axis in range(input.ndim) if axis != 1]
    return _normalised(input, axes, running_mean, running_var, weight, bias, training, eps)


def _instance_norm(
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """The same by sample and channel.

    >>> x = torch.arange(12.0).reshape(1, 3, 4)
    >>> torch.allclose(_instance_norm(x), F.instance_norm(x), atol=1e-6)
    True
    """
    axes = list(range(2, input.ndim))
    return _normalised(input, axes, running_mean, running_var, weight, bias, use_input_stats, eps)


WRITTEN: dict[Any, Callable[..., Tensor]] = {F.batch_norm: _batch_norm, F.instance_norm: _instance_norm}


def _normalised(
    x: Tensor, axes: list[int], running_mean: Tensor | None, running_var: Tensor | None, weight: Tensor | None,
    bias: Tensor | None, own: bool, eps: float,
) -> Tensor:  # fmt: skip
    shape = (1, -1) + (1,) * (x.ndim - 2)
    if own or running_mean is None or running_var is None:
        variance, mean = torch.var_mean(x, axes, correction=0, keepdim=True)
    else:
        variance, mean = running_var.reshape(shape), running_mean.reshape(shape)
    out = (x - mean) * (variance + eps).rsqrt()
    out = out if weight is None else out * weight.reshape(shape)
    return out if bias is None else out + bias.reshape(shape)
