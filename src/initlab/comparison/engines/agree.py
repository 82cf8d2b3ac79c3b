"""Checks, before runs are stacked, that the stack computes what each run would compute alone."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import nn
from torch.func import functional_call
from torch.nn.parameter import is_lazy

from initlab.comparison.engines.batches import Source, orders
from initlab.comparison.engines.bundle import Bundle, take
from initlab.comparison.engines.optim import runs_that_fit
from initlab.comparison.engines.runs import forked_rng, forward_seed, hold_channels_last, loss_of, scalar
from initlab.comparison.task import RunSpec, Task
from initlab.errors import InputError

# Two orders of summation in fp32 differ by about 1e-6 of the loss; a wrong computation by far more than these.
LOSS_TOLERANCE = {torch.float32: 1e-3, torch.float64: 1e-8}
STEP_TOLERANCE = 0.02
# Runs of a stack that are checked at once.
CHECKED = 16


Make = Callable[[Task, Bundle], Any]


class CannotStack(Exception):
    """These runs cannot be trained as a stack; the message says why."""


def check_alike(models: Sequence[nn.Module]) -> None:
    """Refuse models that differ in their tensors' names, shapes or training, or whose tensors are not made yet."""
    if any(is_lazy(tensor) for model in models for tensor in _tensors(model).values()):
        raise CannotStack("its first forward pass makes parameters")
    signatures = {
        tuple((name, tuple(p.shape), p.requires_grad) for name, p in model.named_parameters())
        + tuple((name, tuple(b.shape), b.dtype) for name, b in model.named_buffers())
        for model in models
    }
    if len(signatures) > 1:
        raise CannotStack("build returns models whose parameters differ in name or shape")
    if not any(parameter.requires_grad for parameter in models[0].parameters()):
        raise CannotStack("it has no parameter to train")


def check_agreement(
    task: Task,
    source: Source,
    specs: Sequence[RunSpec],
    models: Sequence[nn.Module],
    bundle: Bundle,
    make: Make,
) -> None:
    """Refuse to stack unless the first loss of every run, and the gradient of the first run, are the run's own.

    Raises:
        CannotStack: the stack cannot be computed, or computes something else.
        InputError: the run alone cannot be computed either.
    """
    own = {spec.key: (spec, model) for spec, model in zip(specs, models, strict=True)}
    together = min(CHECKED, runs_that_fit(task, bundle))
    for start in range(0, len(bundle), together):
        places = range(start, min(start + together, len(bundle)))
        expected = [_first_loss(task, source, *own[bundle.specs[place].key]) for place in places]
        try:
            trainer = make(task, take(bundle, places))
            losses = trainer.advance(1)[0].tolist()
        except InputError:
            raise
        except Exception as problem:
            raise CannotStack(f"{type(problem).__name__}: {_first_sentence(problem)}") from problem
        tolerance = LOSS_TOLERANCE[task.dtype]
        for place, loss, alone in zip(places, losses, expected, strict=True):
            if not _close(loss, alone, tolerance):
                raise CannotStack(
                    f"run {bundle.specs[place].key!r} has loss {loss:.6g} in the stack and {alone:.6g} alone"
                )
    _check_step(task, source, *own[bundle.specs[0].key], make, bundle)


def _first_sentence(problem: Exception) -> str:
    return str(problem).strip().split("\n")[0].split(". ")[0][:200]


def _close(loss: float, alone: float, tolerance: float) -> bool:
    both = torch.tensor([loss, alone], dtype=torch.float64)
    if not bool(both.isfinite().all()):
        return not bool(both.isfinite().any())
    return abs(loss - alone) <= tolerance * max(1.0, abs(alone))


def _first_batch(task: Task, source: Source, spec: RunSpec) -> tuple[torch.Tensor, torch.Tensor]:
    order = next(iter(orders(task, [spec], len(source)).values()))
    return source.gather(order.batch(0))


def _first_loss(task: Task, source: Source, spec: RunSpec, model: nn.Module) -> float:
    x, y = _first_batch(task, source, spec)
    held = {name: value.detach().clone() for name, value in _tensors(model).items()}
    with forked_rng(forward_seed(task, spec), task.device), torch.no_grad():
        return float(scalar(loss_of(task, y)(functional_call(model, held, (x,)), y)))


def may_be_channels_last(task: Task, source: Source, spec: RunSpec, model: nn.Module) -> bool:
    """Whether channels last is worth a try: there are kernels of images, and no random numbers depend on the layout."""
    if task.device != "cpu" or any(is_lazy(tensor) for tensor in _tensors(model).values()):
        return False
    if not any(parameter.ndim == 4 for parameter in model.parameters()):
        return False
    other = hold_channels_last(copy.deepcopy(model))
    try:
        with forked_rng(0):
            losses = [_first_loss(task, source, spec, each) for each in (model, other)]
            x, _ = _first_batch(task, source, spec)
            before = torch.get_rng_state()
            with torch.no_grad():
                other(x)
            drew = not torch.equal(before, torch.get_rng_state())
    except RuntimeError:
        return False
    return not drew and _close(losses[1], losses[0], LOSS_TOLERANCE[task.dtype])


def _tensors(model: nn.Module) -> dict[str, torch.Tensor]:
    return {**dict(model.named_parameters()), **dict(model.named_buffers())}


def _check_step(task: Task, source: Source, spec: RunSpec, model: nn.Module, make: Make, bundle: Bundle) -> None:
    """Compare gradients, as a step of plain SGD with lr 1 shows them: Adam's would magnify those that are rounding."""
    alone = copy.deepcopy(model)
    x, y = _first_batch(task, source, spec)
    with forked_rng(forward_seed(task, spec), task.device):
        scalar(loss_of(task, y)(alone(x), y)).backward()  # type: ignore[no-untyped-call]  # torch ships it untyped
    plain = replace(task, optimizer="sgd", options={})
    trainer = make(plain, replace(take(bundle, [0]), specs=[replace(spec, lr=1.0, weight_decay=0.0)], slots={}))
    before = {name: value[0].clone() for name, value in bundle.parameters.items()}
    trainer.advance(1)
    gradients = {name: p.grad for name, p in alone.named_parameters() if p.grad is not None}
    largest = max((float(gradient.norm()) for gradient in gradients.values()), default=0.0)
    for name, start in before.items():
        own = gradients.get(name, torch.zeros_like(start))
        apart = float((start - trainer.bundle.parameters[name][0] - own).norm())
        # So small a step cannot be told from the weight's own rounding.
        rounding = 4 * torch.finfo(task.dtype).eps * float(start.norm())
        if apart > STEP_TOLERANCE * (float(own.norm()) + 0.01 * largest) + rounding:
            raise CannotStack(f"the gradient of {name!r} differs between the stack and the run alone")
