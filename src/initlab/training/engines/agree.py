"""Checks, before runs are stacked, that the stack computes what each run would compute alone."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import nn
from torch.func import functional_call
from torch.nn.parameter import is_lazy

from initlab.errors import InputError
from initlab.rng import random_states, random_states_kept
from initlab.training.batches import orders, source_of
from initlab.training.engines.bundle import Bundle, take
from initlab.training.engines.optim import runs_that_fit
from initlab.training.engines.runs import (
    evaluate_model,
    forward_seed,
    hold_channels_last,
    loss_of,
    make_model,
    scalar,
)
from initlab.training.optimizers import optimizer_of
from initlab.training.sources import Source
from initlab.training.task import RunSpec, Task, first_samples

# Two orders of summation in fp32 differ by about 1e-6 of the loss; a wrong computation by far more than these.
LOSS_TOLERANCE = {torch.float32: 1e-3, torch.float64: 1e-8}
STEP_TOLERANCE = 0.02
# Runs of a stack that are checked at once, and samples of its evaluation.
CHECKED = 16


Make = Callable[[Task, Bundle], Any]


class CannotStack(Exception):
    """These runs cannot be trained as a stack; the message says why."""


def check_alike(task: Task, models: Sequence[nn.Module]) -> None:
    """Refuse models that differ in their tensors' names, shapes or training, or whose tensors are not made yet."""
    if optimizer_of(task.optimizer).stacked is None:
        raise CannotStack(f"{task.optimizer} has no stacked update")
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


def check_repeatable(task: Task, source: Source, spec: RunSpec) -> None:
    """Refuse a model that keeps something between passes elsewhere than in its buffers: stacked runs would share it.

    A second pass of one model must give the loss of the first, and leave every number that its modules hold.

    Raises:
        CannotStack: names what changes.
    """
    model = make_model(task, spec)
    before = _numbers(model)
    first, second = (_first_loss(task, source, spec, model) for _ in range(2))
    after = _numbers(model)
    changed = next((name for (_, name), value in after.items() if before.get((_, name)) != value), None)
    if changed is not None:
        raise CannotStack(f"its forward pass changes the attribute {changed!r}, which stacked runs would share")
    if not _close(second, first, LOSS_TOLERANCE[task.dtype]):
        raise CannotStack("its forward pass depends on earlier ones by more than its buffers")


def _numbers(model: nn.Module) -> dict[tuple[str, str], object]:
    """The plain values among the attributes of its modules."""
    return {
        (path, name): value
        for path, module in model.named_modules()
        for name, value in vars(module).items()
        if name != "training" and isinstance(value, bool | int | float | str)
    }


def check_agreement(
    task: Task,
    source: Source,
    specs: Sequence[RunSpec],
    models: Sequence[nn.Module],
    bundle: Bundle,
    make: Make,
) -> None:
    """Refuse to stack unless the first loss of every run is its own, and of some also the gradient and the score.

    Raises:
        CannotStack: the stack cannot be computed, or computes something else.
        InputError: the run alone cannot be computed either.
    """
    own = {spec.key: (spec, model) for spec, model in zip(specs, models, strict=True)}
    together = min(CHECKED, runs_that_fit(task, bundle))
    for start in range(0, len(bundle), together):
        places = range(start, min(start + together, len(bundle)))
        expected = [_first_loss(task, source, *own[bundle.specs[place].key]) for place in places]
        with _stacking():
            losses = make(task, take(bundle, places)).advance(1)[0].tolist()
        tolerance = LOSS_TOLERANCE[task.dtype]
        for place, loss, alone in zip(places, losses, expected, strict=True):
            if not _close(loss, alone, tolerance):
                raise CannotStack(
                    f"run {bundle.specs[place].key!r} has loss {loss:.6g} in the stack and {alone:.6g} alone"
                )
    some = sorted({0, len(bundle) - 1})[:together]
    _check_step(task, source, make, take(bundle, some))
    _check_scores(task, make, take(bundle, some))


@contextlib.contextmanager
def _stacking() -> Iterator[None]:
    """What the stack cannot compute is no error of the user's."""
    try:
        yield
    except InputError:
        raise
    except Exception as problem:
        raise CannotStack(f"{type(problem).__name__}: {_first_sentence(problem)}") from problem


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
    with random_states_kept(forward_seed(task, spec), task.device), torch.no_grad():
        return float(scalar(loss_of(task, y)(functional_call(model, held, (x,)), y)))


def may_be_channels_last(task: Task, source: Source, spec: RunSpec, model: nn.Module) -> bool:
    """Whether channels last is worth a try: there are kernels of images, and no random numbers depend on the layout."""
    if task.device != "cpu" or any(is_lazy(tensor) for tensor in _tensors(model).values()):
        return False
    if not any(parameter.ndim == 4 for parameter in model.parameters()):
        return False
    model, other = make_model(task, spec), hold_channels_last(make_model(task, spec))
    try:
        with random_states_kept(0):
            losses = [_first_loss(task, source, spec, each) for each in (model, other)]
            x, _ = _first_batch(task, source, spec)
            before = random_states()
            with torch.no_grad():
                other(x)
            drew = not random_states().same_as(before)
    except RuntimeError:
        return False
    return not drew and _close(losses[1], losses[0], LOSS_TOLERANCE[task.dtype])


def _tensors(model: nn.Module) -> dict[str, torch.Tensor]:
    return {**dict(model.named_parameters()), **dict(model.named_buffers())}


def _check_step(task: Task, source: Source, make: Make, some: Bundle) -> None:
    """Compare gradients, as a step of plain SGD with lr 1 shows them: Adam's would magnify those that are rounding."""
    plain = replace(task, optimizer="sgd", options={}, factors={}, vectors=frozenset())
    specs = [replace(spec, lr=1.0, weight_decay=0.0) for spec in some.specs]
    with _stacking():
        trainer = make(plain, replace(take(some, range(len(some))), specs=specs, slots={}))
        trainer.advance(1)
    for place, spec in enumerate(some.specs):
        gradients = _first_gradients(task, source, spec)
        largest = max((float(gradient.norm()) for gradient in gradients.values()), default=0.0)
        for name, starts in some.parameters.items():
            start = starts[place]
            own = gradients.get(name, torch.zeros_like(start))
            apart = float((start - trainer.bundle.parameters[name][place] - own).norm())
            # So small a step cannot be told from the weight's own rounding.
            rounding = 4 * torch.finfo(task.dtype).eps * float(start.norm())
            if apart > STEP_TOLERANCE * (float(own.norm()) + 0.01 * largest) + rounding:
                raise CannotStack(f"the gradient of {name!r} differs between the stack and the run alone")


def _first_gradients(task: Task, source: Source, spec: RunSpec) -> dict[str, torch.Tensor]:
    """Of a new model: a copy would lack the hooks of its parameters."""
    model = make_model(task, spec)
    x, y = _first_batch(task, source, spec)
    with random_states_kept(forward_seed(task, spec), task.device):
        scalar(loss_of(task, y)(model(x), y)).backward()  # type: ignore[no-untyped-call]  # torch ships it untyped
    return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


def _check_scores(task: Task, make: Make, some: Bundle) -> None:
    """Evaluation takes other ways through a model than training does."""
    held_out = source_of(first_samples(task.test, CHECKED), task)
    expected = [evaluate_model(task, make_model(task, spec), held_out)[0] for spec in some.specs]
    with _stacking():
        measured = make(task, some).measure(held_out)
    for (loss, _), alone in zip(measured, expected, strict=True):
        if not _close(loss, alone, LOSS_TOLERANCE[task.dtype]):
            raise CannotStack(f"in evaluation its loss is {loss:.6g} in the stack and {alone:.6g} alone")
