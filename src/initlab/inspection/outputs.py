"""From what a model returns to one scalar: which tensor is the output, which loss is meant, and what it is called."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch.nn import functional as F

from initlab.errors import InputError
from initlab.guest.inputs import dense, named_tensors
from initlab.training.given_losses import given_loss
from initlab.training.losses import (
    CLASSES,
    KINDS,
    Loss,
    check_class_numbers,
    check_loss,
    class_axis,
    left_out,
    named_loss,
    squared,
)

Tensor = torch.Tensor
_LOGITS = (
    "loss binary_cross_entropy takes probabilities in [0, 1], and the model's output runs from {low:.3g} to "
    "{high:.3g}: it gives logits; use binary_cross_entropy_with_logits"
)
PREFERRED = ("logits", "prediction", "predictions", "output", "outputs", "last_hidden_state")


def main_output(value: Any) -> tuple[str, Tensor]:
    """The tensor that a loss is computed on: the output itself, one named logits (or the like), else the first.

    Complex numbers come as their two parts, along a last axis.

    Raises:
        InputError: there is no floating-point tensor in the output.
    """
    found = [(path, parts(t)) for path, t in named_tensors(value) if t.is_floating_point() or t.is_complex()]
    if not found:
        shown = "None" if value is None else type(value).__name__
        raise InputError(f"the model returned {shown}, which holds no floating-point tensor; return its output")
    for wanted in PREFERRED:
        for path, tensor in found:
            if path.endswith((f"['{wanted}']", f".{wanted}")):
                return path, tensor
    return next(((path, t) for path, t in found if t.ndim > 0), found[0])


def parts(tensor: Tensor) -> Tensor:
    """A complex tensor as its real and imaginary parts, along a last axis; a sparse one dense; any other as it is."""
    tensor = dense(tensor)
    return torch.view_as_real(tensor.resolve_conj()) if tensor.is_complex() else tensor


def loss_on(output: Any, targets: Any, loss: Any, last_kind: str | None) -> tuple[Tensor, Loss]:
    """(scalar loss, which loss that is).

    Args:
        output: what the model returned.
        targets: tensor, or anything the loss takes; None without targets.
        loss: callable (output, targets) -> scalar; a name in `losses.NAMES`, "auto" or None to guess.
        last_kind: the last recorded call, to see a log_softmax at the output.

    Raises:
        InputError: the loss raised, is not a scalar, or targets are out of range.
    """
    if isinstance(loss, str):
        loss = None if loss == "auto" else named_loss(loss)
    if loss is not None:
        check_loss(loss)
        return _given(output, targets, loss)
    own = own_loss(output) if targets is None else None
    if own is not None and own[1].requires_grad:
        words = "what the model returns (one number alone)" if own[0] == "output" else f"the model's own {own[0]}"
        return own[1], Loss("own", lambda output, _: dict(named_tensors(output))[own[0]], words)
    path, tensor = main_output(output)
    shown = "" if path == "output" else f" of {path}"
    if targets is None:
        words = f"mean squared distance{shown} from fixed random targets (no targets and no loss given)"
        return probe(tensor), Loss("random targets", lambda output, _: probe(output), words)
    if not isinstance(targets, Tensor):
        raise InputError(f"targets must be a tensor when no loss is given; got {type(targets).__name__}")
    value, found = _guess(tensor, parts(targets), last_kind)
    return value, replace(found, words=f"{found.words}{shown} (guessed from the targets)")


def own_loss(output: Any) -> tuple[str, Tensor] | None:
    """The loss that a model returns and its path: what is called so, or one number and nothing else."""
    for path, tensor in named_tensors(output):
        if tensor.numel() == 1 and (path.endswith(("['loss']", ".loss")) or (path == "output" and tensor.ndim == 0)):
            return path, tensor.reshape(())
    return None


def probe(output: Tensor) -> Tensor:
    """Half the mean squared distance from targets drawn once from N(0, 1), each sample its own."""
    generator = torch.Generator().manual_seed(0)
    targets = torch.randn(output.shape, generator=generator, device="cpu", dtype=torch.float32).to(output)
    return 0.5 * (output - targets).square().mean()


def _guess(output: Tensor, targets: Tensor, last_kind: str | None) -> tuple[Tensor, Loss]:
    if targets.is_floating_point():
        if targets.numel() == output.numel():
            return squared(output, targets.to(output.dtype)), Loss("mse", squared, "mean squared error")
        numbers = targets.shape == output.shape[:-1] and bool((targets == targets.round()).all())
        right = "class numbers are integers: targets.long()" if numbers else "give the loss that takes them"
        raise InputError(
            f"targets of shape {tuple(targets.shape)} do not fit the model's output of shape {tuple(output.shape)}; "
            f"{right}"
        )
    targets = targets.long()
    if targets.shape == output.shape or (output.shape[-1:] == (1,) and targets.numel() == output.numel()):
        check_class_numbers(targets, 2)
        call = F.binary_cross_entropy_with_logits
        value = call(output.reshape(targets.shape), targets.to(output.dtype))
        return value, Loss("bce_with_logits", call, "binary cross-entropy on logits")
    function = F.nll_loss if last_kind == "log_softmax" else F.cross_entropy
    found = (
        Loss("nll", F.nll_loss, "negative log-likelihood")
        if function is F.nll_loss
        else Loss("cross_entropy", F.cross_entropy, "cross-entropy on logits")
    )
    if targets.shape == output.shape[:-1]:
        check_class_numbers(targets, output.shape[-1])
        return function(output.reshape(-1, output.shape[-1]), targets.reshape(-1)), found
    if output.ndim > 2 and targets.shape == (output.shape[0], *output.shape[2:]):
        check_class_numbers(targets, output.shape[1])
        return function(output, targets), found
    raise InputError(
        f"targets of shape {tuple(targets.shape)} do not fit the model's output of shape {tuple(output.shape)}; "
        f"one class number a sample would be shape {tuple(output.shape[:-1])}"
    )


def _given(output: Any, targets: Any, loss: Callable[..., Any] | Loss) -> tuple[Tensor, Loss]:
    known = loss if isinstance(loss, Loss) else given_loss(loss)
    classes = _classes(known, output, targets)
    if classes is not None:
        check_class_numbers(targets, classes, ignore=left_out(known.call))
    attempts = [output] if isinstance(output, Tensor) else [output, main_output(output)[1]]
    failure: Exception | None = None
    for attempt in attempts:
        try:
            value = known.call(attempt) if targets is None else known.call(attempt, targets)
        except InputError:
            raise
        except Exception as error:
            failure = error if known.kind in KINDS else failure or error  # torch's own take a tensor
            continue
        if not isinstance(value, Tensor) or value.numel() != 1:
            got = f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
            hint = " (reduce it with .mean())" if isinstance(value, Tensor) else ", through which no gradient flows"
            raise InputError(f"loss {known.words} must return a scalar tensor; got {got}{hint}")
        return value.reshape(()), given_loss(known.call, attempt, targets) if known.kind == "other" else known
    if known.kind == "bce" and isinstance(output, Tensor) and not _probabilities(output):
        raise InputError(_LOGITS.format(low=float(output.detach().min()), high=float(output.detach().max())))
    shapes = f"output {_shape(output)}, targets {_shape(targets)}"
    hint = "; it was called without targets, since none were given" if targets is None else ""
    if known.kind in CLASSES and isinstance(attempts[-1], Tensor) and isinstance(targets, Tensor):
        last = attempts[-1].ndim > 2 and class_axis(attempts[-1], targets) == -1
        hint = f"; classes on the last axis are found by the name, loss={known.kind!r}" if last else hint
    raise InputError(f"loss {known.words} failed on {shapes}: {type(failure).__name__}: {failure}{hint}") from failure


def _probabilities(output: Tensor) -> bool:
    return bool(((output >= 0) & (output <= 1)).all())


def _classes(loss: Loss, output: Any, targets: Any) -> int | None:
    """Number of classes when `loss` is torch's cross-entropy or negative log-likelihood on class numbers."""
    if loss.kind not in CLASSES or not isinstance(targets, Tensor) or targets.is_floating_point():
        return None
    return int(output.shape[class_axis(output, targets)]) if isinstance(output, Tensor) and output.ndim > 1 else None


def _shape(value: Any) -> str:
    return str(tuple(value.shape)) if isinstance(value, Tensor) else type(value).__name__
