"""The model's output as the loss gets it: which function made it, and whether the targets fit it."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from initlab.guest.doubles import doubled
from initlab.rng import random_states_kept
from initlab.training.losses import BINARY, CLASSES, KINDS, Loss

Tensor = torch.Tensor

ELEMENTWISE = ("mse", "l1", "smooth_l1", "huber")  # kinds of loss that compare number with number
_REARRANGES = ("View", "UnsafeView", "Reshape", "Squeeze", "Unsqueeze", "Transpose", "TBackward", "Permute", "Alias",
               "Clone", "ToCopy", "Slice", "Select", "Expand", "AsStrided", "Index", "Split", "Unbind")  # fmt: skip
_MADE_BY = {"Softmax": "softmax", "LogSoftmax": "log_softmax", "Sigmoid": "sigmoid", "Hardsigmoid": "hardsigmoid",
            "LogSigmoid": "logsigmoid", "Tanh": "tanh", "Hardtanh": "hardtanh", "Relu": "relu", "ClampMin": "relu",
            "Softplus": "softplus", "Elu": "elu", "Gelu": "gelu", "Silu": "silu", "Mish": "mish"}  # fmt: skip


@dataclass(frozen=True)
class Answer:
    """The output beside the targets.

    Attributes:
        loss: kind of the loss, a name in `losses.KINDS` or "other".
        function: the loss as it was given, a name, a function or None.
        output: its values, without gradient.
        targets: as they were given.
        activation: the function that made the output, "" for none that is known.
        spread: the shape to which the loss broadcasts output and targets; None where number meets number.
        minus: kind of the loss of which this is a negative multiple; "" for none.
    """

    loss: str
    function: Any = field(repr=False)
    output: Tensor = field(repr=False)
    targets: Any = field(repr=False)
    activation: str
    spread: tuple[int, ...] | None
    minus: str = ""

    @property
    def elementwise(self) -> bool:
        """Whether the loss compares number with number."""
        return self.loss in ELEMENTWISE

    @property
    def binary(self) -> bool:
        """Whether the loss is a binary cross-entropy."""
        return self.loss in BINARY

    @property
    def classes(self) -> bool:
        """Whether the loss takes class numbers."""
        return self.loss in CLASSES

    @property
    def real_targets(self) -> Tensor | None:
        """Targets that are numbers: floating-point ones, and whole ones that the loss takes for numbers."""
        t = self.targets
        if not isinstance(t, Tensor) or not t.numel() or t.is_complex():
            return None
        if t.is_floating_point():
            return t.detach()
        return t.to(self.output.dtype) if self.elementwise or self.spread is not None else None

    @property
    def class_targets(self) -> Tensor | None:
        """Targets that are class numbers, those that the loss leaves out (negative ones) taken away."""
        t = self.targets
        return t[t >= 0] if isinstance(t, Tensor) and not t.is_floating_point() and not t.is_complex() else None


def answer_of(output: Tensor, targets: Any, loss: Loss, given: Any, value: float, returned: Any = None) -> Answer:
    """What the findings about output, targets and loss rest on.

    Args:
        output: the tensor that is judged.
        targets: as they were given.
        loss: which loss that is.
        given: what was asked for.
        value: of the loss.
        returned: what the model returned, for a loss of the user's own that reads more of it; None for `output` alone.
    """
    values = output.detach()
    taken = values if returned is None or loss.kind != "other" else returned
    spread = _spread(values, taken, targets, loss, value)
    return Answer(loss.kind, given, values, targets, _activation(output, values), spread, loss.minus)


def as_compared(answer: Answer, targets: Any, value: float) -> Answer:
    """The same beside the targets that a model took to make the loss `value` itself, where that loss is a known one."""
    with torch.no_grad(), random_states_kept(), warnings.catch_warnings(action="ignore"):
        for kind, row in KINDS.items():
            for form in (row.call, *row.also):
                try:
                    same = math.isclose(float(form(answer.output, targets)), value, rel_tol=1e-5)
                except Exception:  # targets that this kind does not take
                    continue
                if same:
                    return replace(answer, loss=kind, targets=targets)
    return answer


def pulled_by(output: Tensor, targets: Any, gradient: Tensor | None) -> tuple[str, str]:
    """The kind of the loss that pulls an output to targets of its shape by that gradient; of one that pushes it off.

    "" for none that is known. It tells the part of a sum of losses, such as an autoencoder's beside a penalty, by which
    the output is compared.
    """
    if gradient is None or not isinstance(targets, Tensor) or not targets.is_floating_point():
        return "", ""
    if targets.shape != output.shape or not output.numel() or not bool(gradient.any()):
        return "", ""
    o, t, g = (doubled(x.detach()) for x in (output, targets, gradient))
    for kind, pull in (("mse", o - t), ("bce_with_logits", o.sigmoid() - t), ("l1", (o - t).sign())):
        along = float((g * pull).sum()) / max(float(g.norm() * pull.norm()), torch.finfo(g.dtype).tiny)
        if abs(along) > 1 - 1e-6:
            return (kind, "") if along > 0 else ("", kind)
    return "", ""


def _activation(output: Tensor, values: Tensor) -> str:
    if _sums_to_one(values):
        return "softmax"
    node = output.grad_fn
    while node is not None and node.name().startswith(_REARRANGES) and node.next_functions:
        node = node.next_functions[0][0]
    if node is None:
        return ""
    name = node.name().partition("Backward")[0]
    if name in _MADE_BY:
        return _MADE_BY[name]
    if name in ("Clamp", "Maximum") and bool((values >= 0).all()) and bool((values == 0).any()):
        return "relu"
    return "sigmoid" if name in ("Reciprocal", "Div", "Mul") and _logistic(node, values) else ""


def _sums_to_one(values: Tensor) -> bool:
    """Whether the outputs of each sample are probabilities of classes."""
    if values.ndim < 2 or values.numel() == 0 or bool((values[0] < 0).any()) or not bool((values >= 0).all()):
        return False
    for axis in {1, values.ndim - 1}:
        if values.shape[axis] > 1 and bool(((values.sum(axis) - 1).abs() < 1e-3).all()):
            return True
    return False


def _logistic(node: Any, values: Tensor) -> bool:
    """Whether the output is 1 / (1 + exp(-x)), written out."""
    if not (bool((values > 0).all()) and bool((values < 1).all())):
        return False
    waiting = [(node, 0)]
    while waiting:
        here, depth = waiting.pop()
        if here is not None and here.name().startswith("ExpBackward"):
            return True
        if here is not None and depth < 3:
            waiting += [(following, depth + 1) for following, _ in here.next_functions]
    return False


def _spread(output: Tensor, taken: Any, targets: Any, loss: Loss, value: float) -> tuple[int, ...] | None:
    """The shape that broadcasting makes of output and targets inside the loss; None where it makes none.

    `taken` is what the loss is called on.
    """
    if not isinstance(targets, Tensor) or targets.is_complex() or targets.shape == output.shape:
        return None
    shape = common_shape(output, targets)
    if shape is None or loss.kind in ("own", "random targets"):
        return None
    if output.numel() != targets.numel():
        return shape if loss.kind in ELEMENTWISE else None
    try:
        with torch.no_grad(), warnings.catch_warnings(action="ignore"):  # of shapes that only this trial makes
            matched = float(loss.call(taken, targets.reshape(output.shape)))
    except Exception:  # the user's function: one that takes no targets of the output's shape broadcasts nothing
        return None
    same = math.isclose(matched, value, rel_tol=1e-5, abs_tol=1e-12)
    return None if same or not math.isfinite(value) else shape


def common_shape(output: Tensor, targets: Tensor) -> tuple[int, ...] | None:
    """What torch broadcasts the two to; None where it would refuse."""
    try:
        return tuple(torch.broadcast_shapes(output.shape, targets.shape))  # type: ignore[no-untyped-call]  # torch's gap
    except RuntimeError:
        return None
