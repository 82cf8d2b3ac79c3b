"""One watched forward and backward pass: the model, the batch and the loss in; records and gradients out."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from initlab.errors import told
from initlab.guest.doubles import doubled
from initlab.guest.inputs import brought, tensors_in
from initlab.guest.modules import in_mode
from initlab.guest.run import Follower, hosted, run
from initlab.guest.tally import count_forward
from initlab.guest.untouched import Guest
from initlab.inspection.answer import ELEMENTWISE, Answer, answer_of, pulled_by
from initlab.inspection.backward import gradients
from initlab.inspection.events import Events
from initlab.inspection.moments import batch_axis, effective_rank
from initlab.inspection.outputs import loss_on, main_output, own_loss
from initlab.inspection.readable import readable
from initlab.inspection.recorder import Readout, Record, Recorder
from initlab.training.losses import BINARY, Loss, constant_loss

Tensor = torch.Tensor


@dataclass(frozen=True)
class Problem:
    """What training is to solve, at one batch: a model, what it is called with, and the loss.

    Attributes:
        model: the model.
        args: what it is called with by place.
        kwargs: what it is called with by name.
        targets: what the loss takes beside the output; None for none.
        loss: what the user gave as loss.
        batch: number of samples; None where the inputs do not tell.
    """

    model: nn.Module
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    targets: Any
    loss: Any
    batch: int | None

    def beside(self, output: Any) -> Any:
        """The targets, on the device of what the model answers."""
        return brought(self.targets, main_output(output)[1].device)


@dataclass
class Pass:
    """What one pass saw.

    `bare` says whether the model returns nothing but that output, one tensor of real numbers; `graded` whether the loss
    of an output that carries a gradient carries one too; `pulled` is the kind of loss that pulls the output towards the
    targets, beside whatever else a function that is none of the known kinds sums; `pushed` the kind whose negative
    pushes it away.
    """

    records: list[Record]
    loss: float
    loss_name: str
    gradients: dict[str, Tensor | None] = field(repr=False)
    output_path: str
    output_shape: tuple[int, ...]
    constant_loss: float | None
    offset: float
    restored: tuple[str, ...]
    events: Events = field(repr=False)
    answer: Answer = field(repr=False)
    batch: int | None = None
    last_kind: str | None = None
    own_loss: bool = False
    bare: bool = True
    graded: bool = True
    pulled: str = ""
    pushed: str = ""
    output: Tensor | None = field(default=None, repr=False)
    output_gradient: Tensor | None = field(default=None, repr=False)
    readable: float | None = None


def watched(problem: Problem) -> Pass:
    """Forward under the recorder, the loss, and the backward pass; the model is left as it was.

    A pass whose values leave single precision, or are not finite, is taken once more with statistics that bear it.

    Raises:
        InputError: the forward pass, the loss or the backward pass raised, or the output cannot be used.
    """
    seen, recorder = _watched(problem, wide=False)
    if not recorder.settle():
        del seen, recorder
        seen, recorder = _watched(problem, wide=True)
        recorder.settle()
    _read(recorder.readout, seen)
    return seen


def _watched(problem: Problem, *, wide: bool) -> tuple[Pass, Recorder]:
    with in_training(problem.model) as guest:
        output, recorder = recorded(problem.model, problem.args, problem.kwargs, problem.batch, wide=wide)
        path, tensor = main_output(output)
        targets = problem.beside(output)
        last = recorder.records[-1].kind if recorder.records else None
        last = _last_kind(tensor, last)
        value, known = loss_on(output, targets, problem.loss, last)
        seen = Pass(
            records=recorder.records,
            loss=float(value.detach()),
            loss_name=known.words,
            gradients={},
            output_path=path,
            output_shape=tuple(tensor.shape),
            constant_loss=constant_loss(known, targets),
            offset=mean_offset(tensor, targets, known),
            restored=guest.written,
            batch=problem.batch,
            last_kind=last,
            own_loss=known.kind == "own",
            bare=tensor is output,
            graded=value.requires_grad or not tensor.requires_grad,
            output=tensor.detach(),
            events=recorder.events,
            answer=answer_of(
                tensor, targets, known, problem.loss, float(value.detach()), None if tensor is output else output
            ),
        )
        _keep_gradient(tensor, seen)
        del output, tensor
        seen.gradients = gradients(value, problem.model, hooked=recorder.hooked)
        if known.kind == "other":
            seen.pulled, seen.pushed = pulled_by(seen.answer.output, targets, seen.output_gradient)
    return seen, recorder


def _read(readout: Readout | None, seen: Pass) -> None:
    """What arrives at the read-out: in how many directions samples differ, and what it tells of what the loss asks."""
    if readout is None:
        return
    readout.record.input_rank = effective_rank(readout.source, readout.axis)
    if seen.output_gradient is not None:
        seen.readable = readable(readout.source, seen.output_gradient, batch_axis(seen.output_shape, seen.batch))


def recorded(
    model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], batch: int | None, *, wide: bool = False
) -> tuple[Any, Recorder]:
    """What the model returns, and what was seen on the way; `Recorder.settle` brings its numbers.

    Raises:
        InputError: the forward pass raised.
    """
    follower = Follower(model)
    recorder = Recorder(model, batch, follower, wide=wide)
    recorder.watch(tensors_in((args, kwargs)))
    with follower, recorder:
        return run(model, args, kwargs, "inputs", follower), recorder


@contextlib.contextmanager
def in_training(model: nn.Module) -> Iterator[Guest]:
    """`model` may run inside in training mode with gradients on, from a fixed seed; afterwards all is as it was.

    One that is in training mode already keeps the modes of its parts, so that a frozen batch-norm stays frozen.
    """
    with hosted(model, gradients=True, seed=0) as guest:
        if not model.training:
            in_mode(model, True)
        yield guest


def value_on(output: Any, problem: Problem, seen: Pass) -> Tensor:
    """The loss of another output of the model, as the pass `seen` computed it."""
    own = own_loss(output) if seen.own_loss else None
    return loss_on(output, problem.beside(output), problem.loss, seen.last_kind)[0] if own is None else own[1]


def again(problem: Problem, seen: Pass) -> tuple[Any, Tensor]:
    """(what the model returns, its loss as the pass `seen` computed it) at the weights as they are now.

    Raises:
        InputError: the forward pass or the loss raised.
    """
    with told("a further forward pass"):
        count_forward()
        output = problem.model(*problem.args, **problem.kwargs)
        return output, value_on(output, problem, seen)


def _keep_gradient(output: Tensor, seen: Pass) -> None:
    """Have the backward pass leave the gradient of the loss at the output in `seen`."""

    def hook(gradient: Tensor | None) -> None:
        seen.output_gradient = None if gradient is None else gradient.detach()

    if output.requires_grad:
        output.register_hook(hook)  # type: ignore[no-untyped-call]  # torch leaves it so


def _last_kind(output: Tensor, fallback: str | None) -> str | None:
    node = output.grad_fn
    return "log_softmax" if node is not None and "LogSoftmax" in type(node).__name__ else fallback


def mean_offset(output: Tensor, targets: Any, loss: Loss) -> float:
    """Mean square over outputs of the difference between the batch means of targets and output; 0 for classes."""
    if (
        loss.kind in BINARY
        or not isinstance(targets, Tensor)
        or not (targets.is_floating_point() or loss.kind in ELEMENTWISE)
        or targets.shape != output.shape
    ):
        return 0.0
    return loss.scale * float((doubled(targets).mean(0) - doubled(output.detach()).mean(0)).square().mean())


def names_of(records: list[Record]) -> list[str]:
    """A name for each record: the module's where it is the module's only call, else with the function and a count."""
    per_module = Counter(r.module for r in records)
    bare = [r.module if per_module[r.module] == 1 and r.module else _joined(r) for r in records]
    total, seen = Counter(bare), Counter[str]()
    names = []
    for name in bare:
        seen[name] += 1
        names.append(f"{name}#{seen[name]}" if total[name] > 1 else name)
    return names


def _joined(record: Record) -> str:
    return f"{record.module}.{record.kind}" if record.module else record.kind
