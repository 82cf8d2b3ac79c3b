"""One run's model, loss, random numbers and measurement: what every engine must do alike."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import nn

from initlab.errors import InputError, shown
from initlab.guest import check_built, modules
from initlab.guest.untouched import modes_kept
from initlab.interrupts import check
from initlab.rng import RandomStates, random_states, random_states_kept
from initlab.sampling import derive_seed
from initlab.training.engines.base import Score
from initlab.training.losses import class_axis, cross_entropy, left_out, squared
from initlab.training.optimizers import Optimizer, optimizer_of
from initlab.training.sources import Pair, Source
from initlab.training.task import Factors, Loss, RunSpec, Task


def data_named(task: Task, which: str) -> Pair | Source:
    """The task's data called "test" or "valid"."""
    if which not in ("test", "valid"):
        raise InputError(f"which must be 'test' or 'valid'; got {shown(which)}")
    data = task.test if which == "test" else task.valid
    if data is None:
        raise InputError("the task has no validation data: give valid=(X, Y)")
    return data


def unique_keys(specs: Sequence[RunSpec], taken: Sequence[str] = ()) -> None:
    """Refuse two runs with one key."""
    seen = set(taken)
    for spec in specs:
        if spec.key in seen:
            raise InputError(f"every run needs a key of its own; got {shown(spec.key)} twice")
        seen.add(spec.key)


def first_rng_state(task: Task, spec: RunSpec) -> RandomStates:
    """The state from which a run's forward passes begin to draw."""
    with random_states_kept(forward_seed(task, spec), task.device):
        return random_states()


def forward_seed(task: Task, spec: RunSpec) -> int:
    """The seed of a run's dropout and of any other random number that its forward pass draws."""
    return derive_seed(task.root_seed, "forward", spec.key)


def make_model(task: Task, spec: RunSpec) -> nn.Module:
    """The run's model at step 0: built under a seeded RNG, then initialized by its policy.

    Both derive from (root_seed, seed of the run), so that schemes are paired over seeds.
    """
    with random_states_kept(derive_seed(task.root_seed, "build", spec.seed), task.device):
        model = check_built(task.build())
    model = model.to(device=task.device)
    model._apply(lambda tensor: _cast(tensor, task.dtype))  # type: ignore[no-untyped-call]  # torch leaves it so
    if spec.policy is not None:
        from initlab.planning import init_

        init_(model, spec.policy, seed=derive_seed(task.root_seed, "weights", spec.seed))
    return in_mode(task, model, training=True)


def _cast(tensor: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Real numbers in `dtype`, complex ones in its complex partner: `Module.to` would drop their imaginary parts."""
    if tensor.is_complex():
        return tensor.to(dtype.to_complex()) if dtype in (torch.float32, torch.float64) else tensor
    return tensor.to(dtype) if tensor.is_floating_point() else tensor


def in_mode(task: Task, model: nn.Module, training: bool) -> nn.Module:
    """The model in training or in evaluation mode; as `build` left it where that is the task's."""
    return model if task.own_modes else modules.in_mode(model, training)


def make_models(task: Task, specs: Sequence[RunSpec]) -> list[nn.Module]:
    """The models of `specs` at step 0."""
    return [make_model(task, spec) for spec in specs]


def hold_channels_last(model: nn.Module) -> nn.Module:
    """The model, with the weights of 2-d convolutions held channels last.

    The strides are written anew: with one channel a weight passes for channels last as it is, and the convolution then
    takes its images the other way, with all that follows it up to the next convolution.
    """
    for parameter in model.parameters():
        if parameter.ndim == 4:
            last = torch.empty_like(parameter, memory_format=torch.channels_last, requires_grad=False)
            parameter.data = last.copy_(parameter.data)
    return model


def loss_of(task: Task, targets: torch.Tensor) -> Loss:
    """The loss that `task.loss` means for these targets."""
    if callable(task.loss):
        return task.loss
    return squared if targets.is_floating_point() else cross_entropy


def scalar(loss: Any) -> torch.Tensor:
    """`loss`, if it is a scalar tensor; else an error that says what it is."""
    if isinstance(loss, torch.Tensor) and loss.numel() == 1:
        return loss.reshape(())
    shown = tuple(loss.shape) if isinstance(loss, torch.Tensor) else type(loss).__name__
    raise InputError(f"loss must return a scalar tensor; got {shown}")


class Steps(Protocol):
    """What one run is trained by."""

    def zero_grad(self, set_to_none: bool = True) -> None: ...

    def step(self) -> object: ...


@dataclass
class _Together:
    """Several optimizers as one, each of parameters of its own."""

    parts: Sequence[torch.optim.Optimizer]

    def zero_grad(self, set_to_none: bool = True) -> None:
        for part in self.parts:
            part.zero_grad(set_to_none)

    def step(self) -> None:
        for part in self.parts:
            part.step()


def make_optimizer(task: Task, spec: RunSpec, model: nn.Module) -> Steps | None:
    """The torch.optim optimizer of one run's model; None where nothing is trained."""
    trained = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    apart = {name: parameter for name, parameter in trained.items() if name in task.vectors}
    row = optimizer_of(task.optimizer)
    whole = {name: parameter for name, parameter in trained.items() if name not in apart}
    parts = [_made(task, spec, row, task.options, whole)] if whole else []
    if apart:
        other = optimizer_of(row.vectors)
        parts.append(_made(task, spec, other, other.options, apart))
    return None if not parts else parts[0] if len(parts) == 1 else _Together(parts)


def _made(
    task: Task, spec: RunSpec, row: Optimizer, options: Mapping[str, Any], parameters: Mapping[str, nn.Parameter]
) -> torch.optim.Optimizer:
    """One group for all parameters of equal factors."""
    assert row.made_by is not None
    by: dict[Factors, list[nn.Parameter]] = {}
    for name, parameter in parameters.items():
        by.setdefault(task.factors_of(name), []).append(parameter)
    groups = [{"params": held, **_settings(spec, factors, options)} for factors, held in by.items()]
    return row.made_by(groups, lr=spec.lr, weight_decay=spec.weight_decay, **options)


def _settings(spec: RunSpec, factors: Factors, options: Mapping[str, Any]) -> dict[str, Any]:
    lr, weight_decay = factors.on(spec)
    return {**factors.options(options), "lr": lr, "weight_decay": weight_decay}


Measured = tuple[torch.Tensor, torch.Tensor | None]


def has_classes(output: Any, targets: torch.Tensor) -> bool:
    """Whether an output holds logits of the classes that the targets are, along axis 1 or the last."""
    if targets.is_floating_point() or not isinstance(output, torch.Tensor) or output.ndim != targets.ndim + 1:
        return False
    return targets.shape in (output.shape[:1] + output.shape[2:], output.shape[:-1])


def batch_score(task: Task, output: Any, targets: torch.Tensor) -> Measured:
    """(loss of the batch, number of right classes or None), as tensors; what the loss leaves out is never right."""
    function = loss_of(task, targets)
    loss = function(output, targets)
    if not has_classes(output, targets):
        return loss, None
    return loss, ((output.argmax(class_axis(output, targets)) == targets) & (targets != left_out(function))).sum()


def slices(source: Source, batch: int, device: str) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """The samples of `source` in order, in batches."""
    for start in range(0, len(source), batch):
        check()
        yield source.gather(torch.arange(start, min(start + batch, len(source)), device=device))


class Tally:
    """Adds up loss and accuracy of K runs over the batches of an evaluation; targets that the loss leaves out are none.

    Args:
        task: names the loss.
        runs: K.
    """

    def __init__(self, task: Task, runs: int) -> None:
        self.task = task
        self.loss = [0.0] * runs
        self.right = [0.0] * runs
        self.samples = 0.0
        self.answers = 0

    def add(self, measured: Sequence[Measured], targets: torch.Tensor) -> None:
        """One batch: what `batch_score` gave for each run, on targets that are the same for all."""
        weight = float(len(targets))
        if measured and measured[0][1] is not None:
            kept = int((targets != left_out(loss_of(self.task, targets))).sum())
            if not kept:
                return  # its loss is the mean of nothing
            self.answers += kept
            weight *= kept / targets.numel()
        self.samples += weight
        for run, (loss, hits) in enumerate(measured):
            self.loss[run] += float(loss) * weight
            self.right[run] += 0.0 if hits is None else float(hits)

    def scores(self) -> list[Score]:
        """(mean loss, accuracy or None) of each run."""
        answers = self.answers
        return [
            (loss / self.samples if self.samples else math.nan, right / answers if answers else None)
            for loss, right in zip(self.loss, self.right, strict=True)
        ]


def lost_score(source: Source) -> Score:
    """What a run that diverged scores: nan, and nan or None for the accuracy."""
    targets = source.gather(torch.zeros(1, dtype=torch.int64))[1]
    return math.nan, None if targets.is_floating_point() else math.nan


def evaluate_model(task: Task, model: nn.Module, source: Source) -> Score:
    """(mean loss, accuracy or None) of a model over `source`, in evaluation mode; the mode is put back."""
    tally = Tally(task, 1)
    with modes_kept(model), torch.no_grad():
        in_mode(task, model, training=False)
        for x, y in slices(source, task.eval_batch, task.device):
            tally.add([batch_score(task, model(x), y)], y)
    return tally.scores()[0]
