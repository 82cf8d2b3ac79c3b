"""What a loss is, decided once: `Loss(kind, call, words)`, one row of `KINDS` each.

The inspection and the fits, below the room of training, need the same table: this file imports nothing of the package
but `initlab.errors`, and a contract of lint-imports holds it there.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from initlab.errors import InputError, shown, unknown
from initlab.guest.doubles import doubled

Function = Callable[..., Any]


@dataclass(frozen=True)
class Loss:
    """A loss, chosen.

    Attributes:
        kind: a name in `KINDS`; "other" for a function that computes none of them; "random targets" for the distance
            from fixed random targets; "own" for a loss that the model returns itself.
        call: (output, targets) -> scalar tensor.
        words: what reports call it.
        scale: what `call` computes, over what the kind's own function does.
        minus: the kind of which a function of kind "other" computes a negative multiple; "" for none.
    """

    kind: str
    call: Function
    words: str
    scale: float = 1.0
    minus: str = ""


def squared(output: Any, targets: Tensor) -> Tensor:
    """The mean squared error, of targets that have as many numbers as the output.

    Raises:
        InputError: they have not.
    """
    if not isinstance(output, Tensor) or output.numel() != targets.numel():
        shown = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
        raise InputError(
            f"targets {tuple(targets.shape)} of floating-point numbers do not fit the model's output {shown}; "
            "class numbers must be integers, and another loss takes a function loss(output, targets)"
        )
    return F.mse_loss(output, targets.reshape(output.shape))


def _last_axis(function: Function) -> Function:
    """`function` on classes that lie on the last axis, as a language model's do."""
    return functools.partial(_on_the_last, function)


def _on_the_last(function: Function, output: Tensor, targets: Tensor) -> Tensor:
    value: Tensor = function(output.reshape(-1, output.shape[-1]), targets.reshape(-1))
    return value


def class_axis(output: Tensor, targets: Tensor) -> int:
    """Where an output's classes lie: on axis 1, as torch has it, or the last, where class numbers fit that alone.

    >>> class_axis(torch.zeros(8, 10, 4), torch.zeros(8, 4)), class_axis(torch.zeros(8, 4, 10), torch.zeros(8, 4))
    (1, -1)
    """
    return -1 if targets.shape[1:] == output.shape[1:-1] and targets.shape[1:] != output.shape[2:] else 1


def cross_entropy(output: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy on logits, of classes where they lie."""
    return _where_they_lie(F.cross_entropy, output, targets)


def nll(output: Tensor, targets: Tensor) -> Tensor:
    """Negative log-likelihood, of classes where they lie."""
    return _where_they_lie(F.nll_loss, output, targets)


def _where_they_lie(function: Function, output: Tensor, targets: Tensor) -> Tensor:
    last = not targets.is_floating_point() and class_axis(output, targets) == -1
    value: Tensor = _on_the_last(function, output, targets) if last else function(output, targets)
    return value


def classes_last(loss: Any) -> Any:
    """A loss's name as the loss of classes on the last axis, where all but torch have them; anything else as it is.

    Raises:
        InputError: there is no loss of that name.
    """
    if not isinstance(loss, str) or loss == "auto":
        return loss
    found = named_loss(loss)
    return replace(found, call=KINDS[found.kind].also[0]) if found.kind in CLASSES else found


def bce(output: Tensor, targets: Tensor) -> Tensor:
    """Binary cross-entropy on probabilities; 0 and 1 may be integers."""
    return F.binary_cross_entropy(output, _alike(output, targets))


def bce_with_logits(output: Tensor, targets: Tensor) -> Tensor:
    """Binary cross-entropy on logits; 0 and 1 may be integers."""
    return F.binary_cross_entropy_with_logits(output, _alike(output, targets))


def _alike(output: Tensor, targets: Tensor) -> Tensor:
    return targets.to(output.dtype).reshape(output.shape if targets.numel() == output.numel() else targets.shape)


def _divergence(output: Tensor, targets: Tensor) -> Tensor:
    """KL(targets, exp(output)) a sample: the output is log-probabilities, the targets probabilities."""
    return F.kl_div(output, targets, reduction="batchmean")


def _divergence_of_logs(output: Tensor, targets: Tensor) -> Tensor:
    return F.kl_div(output, targets, reduction="batchmean", log_target=True)


@dataclass(frozen=True)
class Kind:
    """One kind of loss: a row of `KINDS`.

    Attributes:
        call: what its name stands for.
        names: other names of it.
        functions: torch's functions of it.
        modules: torch's modules of it.
        also: other forms that a function may compute.
        probabilities: whether it takes probabilities, and not any real number.
    """

    call: Function
    names: tuple[str, ...] = ()
    functions: tuple[Function, ...] = ()
    modules: tuple[type[nn.Module], ...] = ()
    also: tuple[Function, ...] = ()
    probabilities: bool = False


# Kind -> all that is known of it.
KINDS: dict[str, Kind] = {
    "cross_entropy": Kind(
        cross_entropy, (), (F.cross_entropy,), (nn.CrossEntropyLoss,), (_last_axis(F.cross_entropy),)
    ),
    "nll": Kind(nll, ("nll_loss",), (F.nll_loss,), (nn.NLLLoss,), (_last_axis(F.nll_loss),)),
    "mse": Kind(squared, ("mse_loss",), (F.mse_loss,), (nn.MSELoss,), (F.mse_loss,)),
    "l1": Kind(F.l1_loss, ("l1_loss",), (F.l1_loss,), (nn.L1Loss,)),
    "smooth_l1": Kind(F.smooth_l1_loss, ("smooth_l1_loss",), (F.smooth_l1_loss,), (nn.SmoothL1Loss,)),
    "huber": Kind(F.huber_loss, ("huber_loss",), (F.huber_loss,), (nn.HuberLoss,)),
    "bce_with_logits": Kind(
        bce_with_logits,
        ("binary_cross_entropy_with_logits",),
        (F.binary_cross_entropy_with_logits,),
        (nn.BCEWithLogitsLoss,),
    ),
    "bce": Kind(
        bce,
        ("binary_cross_entropy",),
        (F.binary_cross_entropy,),
        (nn.BCELoss,),
        probabilities=True,
    ),
    "kl": Kind(_divergence, ("kl_div",), also=(_divergence_of_logs,)),
}  # fmt: skip
NAMES: dict[str, str] = {name: kind for kind, row in KINDS.items() for name in (kind, *row.names)}
CLASSES = ("cross_entropy", "nll")  # kinds whose targets are class numbers
IGNORED = -100  # torch's own number for targets that cross-entropy leaves out
BINARY = ("bce_with_logits", "bce")
ABSOLUTE = ("l1", "smooth_l1", "huber")
FLOOR = 0.1  # nats: the least entropy that a constant prediction is credited with


def check_loss(loss: Any) -> None:
    """Refuse what is neither a loss's name nor a function.

    Raises:
        InputError: it is a class of losses, or no function.
    """
    if isinstance(loss, type):
        got = f"the class {loss.__name__}: give one of it, such as {loss.__name__}()"
    elif callable(loss) or isinstance(loss, str | Loss):
        return
    else:
        got = shown(loss)
    raise InputError(f"loss must be 'auto', a loss's name or a callable (output, target) -> scalar; got {got}")


def named_loss(name: str) -> Loss:
    """The loss of that name.

    >>> named_loss("mse_loss").kind
    'mse'

    Raises:
        InputError: there is none.
    """
    if name not in NAMES:
        raise unknown("loss", name, NAMES, "or give a callable (output, targets) -> scalar")
    kind = NAMES[name]
    return Loss(kind, KINDS[kind].call, name)


def left_out(function: Function) -> int:
    """The class number of targets that a loss of `CLASSES` leaves out, such as those of padding.

    >>> left_out(nn.CrossEntropyLoss(ignore_index=0)), left_out(F.cross_entropy)
    (0, -100)
    """
    if isinstance(function, functools.partial):
        return int(function.keywords.get("ignore_index", IGNORED))
    return int(getattr(function, "ignore_index", IGNORED))


def check_class_numbers(targets: Tensor, classes: int, argument: str = "targets", ignore: int | None = IGNORED) -> None:
    """Refuse class numbers for which an output has no class.

    Args:
        targets: whole numbers of any shape.
        classes: how many the output has.
        argument: what the message calls them.
        ignore: the number of targets that the loss leaves out; None where it leaves none out.

    Raises:
        InputError: with the lowest and the highest number.
    """
    kept = targets if ignore is None else targets[targets != ignore]
    if kept.numel() and not 0 <= int(kept.min()) <= int(kept.max()) < classes:
        raise InputError(
            f"{argument} must be class numbers in [0, {classes}) for an output of {classes} classes; "
            f"got {int(kept.min())} to {int(kept.max())}"
        )


def constant_loss(loss: Loss, targets: Any) -> float | None:
    """Loss of the best prediction that does not look at its input; None for a kind of which it is not known.

    Cross-entropy: the entropy of the class frequencies in the batch, targets that the loss leaves out taken away; None
    for one class; binary cross-entropy: that of each output's mean target. Mean squared error: the variance of the
    targets about their mean over the batch; absolute errors and Huber's: the loss of the targets' mean or median over
    the batch, the lower of both. Kullback and Leibler's divergence: that of the targets from their mean over the batch.
    """
    if loss.kind == "random targets":
        return 0.5
    if not isinstance(targets, Tensor) or targets.numel() == 0:
        return None
    if loss.kind in ABSOLUTE:
        return _of_the_middle(loss, targets)
    if loss.kind in CLASSES and not targets.is_floating_point():
        targets = targets[targets != left_out(loss.call)]
    found = _constant(loss.kind, targets)
    return None if found is None else loss.scale * found


def _of_the_middle(loss: Loss, targets: Tensor) -> float | None:
    if targets.ndim == 0 or targets.is_complex():
        return None
    real = targets.detach() if targets.is_floating_point() else doubled(targets)
    median = real.sort(0).values[(len(real) - 1) // 2]  # torch's own is no deterministic algorithm on CUDA
    with torch.no_grad():
        found = [float(loss.call(m.expand_as(real), real)) for m in (real.mean(0), median)]
    return min(found) if min(found) > 0 else None


def _constant(kind: str, targets: Tensor) -> float | None:
    if not targets.is_complex() and kind == "mse":
        spread = float((doubled(targets) - doubled(targets).mean(0, keepdim=True)).square().mean())
        return spread if spread > 0 else None
    if targets.is_floating_point() and kind == "kl" and targets.ndim > 0:
        shares = doubled(targets) if bool((targets >= 0).all()) else doubled(targets).exp()
        found = float((shares.xlogy(shares) - shares.xlogy(shares.mean(0))).sum() / len(shares))
        return found if found > 0 else None
    if not targets.is_complex() and kind in BINARY:
        share = doubled(targets).mean(0).clamp(0, 1)
        entropy = float((torch.special.entr(share) + torch.special.entr(1 - share)).mean())
        return max(entropy, FLOOR) if entropy > 0 else None
    if not targets.is_floating_point() and kind in CLASSES:
        _, counts = torch.unique(targets, return_counts=True)
        if counts.numel() < 2:
            return None
        share = doubled(counts) / int(counts.sum())
        return max(float(-(share * share.log()).sum()), FLOOR)
    return None
