"""One step and one evaluation before a study, on a model of their own: what cannot work is said in a line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from initlab.errors import InitlabError, InputError, said, told
from initlab.guest.run import run
from initlab.inspection.outputs import main_output
from initlab.rng import random_states_kept
from initlab.training.answers import Answering, answering
from initlab.training.engines.runs import has_classes, in_mode, loss_of, make_model, make_optimizer, scalar
from initlab.training.losses import check_class_numbers, class_axis
from initlab.training.sources import Pair, prepared
from initlab.training.task import RunSpec, Task, first_samples


@dataclass(frozen=True)
class Rehearsal:
    """What a study goes on with.

    Args:
        build: makes its models: the task's, or one whose models return their main output alone.
        maximize: whether runs are scored by their accuracy: targets are classes, and the output holds logits.
        remarks: for its reader.
    """

    build: Callable[[], nn.Module]
    maximize: bool
    remarks: tuple[str, ...]


def rehearse(task: Task, first: nn.Module) -> Rehearsal:
    """Take one step on the first samples of `train`, and measure the first of the other data.

    Args:
        task: what is to be trained; runs as `build` makes them.
        first: a model that `build` made; the rehearsal's own must share no parameter with it.

    Raises:
        InputError: model, data, loss and optimizer do not go together; names the module or the loss, and the shapes.
    """
    spec = RunSpec("rehearsal", "as_built", None, 0, 1e-3, 0.0)
    model = make_model(replace(task, root_seed=0), spec)
    check_new(model, first)
    remarks: list[str] = []
    with random_states_kept(0, task.device):
        x, y = _samples(task, "train")
        output = _output(model, x, "train")
        if not callable(task.loss) and not isinstance(output, torch.Tensor):
            path, output = main_output(output)
            remarks = [f"the loss is computed on {path}, the main one of what the model returns"]
            task, model = replace(task, build=Answering(task.build)), answering(model)
        _check_classes(task, output)
        loss = _loss(task, output, y, "train")
        if any(parameter.requires_grad for parameter in model.parameters()):
            _step(task, spec, loss, model)
        in_mode(task, model, training=False)
        with torch.no_grad():
            for name in ("test", "valid"):
                if getattr(task, name) is not None:
                    x, y = _samples(task, name)
                    output = _output(model, x, name)
                    _loss(task, output, y, name)
    return Rehearsal(task.build, has_classes(output, y), tuple(remarks))


def frozen(model: nn.Module) -> list[str]:
    """A remark on parameters that no run trains, if there are any.

    >>> frozen(nn.Linear(2, 2).requires_grad_(False))
    ['every parameter is frozen (requires_grad=False): nothing is trained, each run stays at its start']
    """
    named = dict(model.named_parameters())
    kept = [name for name, parameter in named.items() if not parameter.requires_grad]
    if not kept:
        return []
    if len(kept) == len(named):
        return ["every parameter is frozen (requires_grad=False): nothing is trained, each run stays at its start"]
    return [f"{len(kept)} of {len(named)} parameters are frozen and stay at their start, such as {kept[0]!r}"]


def check_new(model: nn.Module, first: nn.Module) -> None:
    """Refuse two models of one `build` that share what is trained.

    Raises:
        InputError: names the parameter.
    """
    others = {id(parameter) for parameter in first.parameters() if parameter.requires_grad}
    shared = next((name for name, p in model.named_parameters() if p.requires_grad and id(p) in others), None)
    if shared is not None or model is first:
        what = "the same model" if model is first else f"models that share the parameter {shared!r}"
        raise InputError(f"build must return a new model at each call; it returned {what} twice")


def _samples(task: Task, name: str) -> Pair:
    x, y = first_samples(getattr(task, name), task.batch_size)
    return prepared(x, task.dtype, task.device), prepared(y, task.dtype, task.device)


def _output(model: nn.Module, x: torch.Tensor, name: str) -> Any:
    try:
        return model(x)
    except InitlabError:
        raise
    except (Exception, SystemExit) as error:
        run(model, (x,), {}, name)  # again, to find which module failed on which shapes
        raise InputError(f"{name}: the forward pass failed on inputs {tuple(x.shape)}: {said(error)}") from error


def _loss(task: Task, output: Any, y: torch.Tensor, name: str) -> torch.Tensor:
    loss = loss_of(task, y)
    try:
        return scalar(loss(output, y))
    except InitlabError:
        raise
    except (Exception, SystemExit) as error:
        word = getattr(loss, "__name__", type(loss).__name__).lstrip("_")
        shapes = f"an output {_shape(output)} and targets {_shape(y)}"
        raise InputError(f"{name}: loss {word} failed on {shapes}: {said(error)}") from error


def _step(task: Task, spec: RunSpec, loss: torch.Tensor, model: nn.Module) -> None:
    if not loss.requires_grad:
        raise InputError("loss must depend on the model's output in a way that can be differentiated; it does not")
    with told(f"a step of {task.optimizer}"):
        optimizer = make_optimizer(task, spec, model)
        assert optimizer is not None
        loss.backward()  # type: ignore[no-untyped-call]  # torch ships it untyped
        optimizer.step()


def _check_classes(task: Task, output: Any) -> None:
    """Targets of cross-entropy, in all of the data that is held in memory."""
    for name in ("train", "test", "valid"):
        data = getattr(task, name)
        if callable(task.loss) or not isinstance(data, tuple) or data[1].is_floating_point():
            continue
        y = data[1]
        if isinstance(output, torch.Tensor) and output.ndim == y.ndim + 1:
            check_class_numbers(y, output.shape[class_axis(output, y)], f"{name} targets")


def _shape(value: Any) -> str:
    if isinstance(value, torch.Tensor):
        return f"{tuple(value.shape)} {str(value.dtype).removeprefix('torch.')}"
    return f"of type {type(value).__name__}"
