"""Refuses a start that is certain not to train: what `race` and `search` call `inspect` for, before they train it."""

from __future__ import annotations

from dataclasses import replace

from torch import nn

from initlab.errors import InputError
from initlab.inspection import Inspection, inspect
from initlab.rng import random_states_kept
from initlab.training.batches import order_seed, orders, source_of
from initlab.training.engines.machine import here
from initlab.training.engines.runs import forward_seed, loss_of, make_model
from initlab.training.engines.sequential import SequentialEngine
from initlab.training.optimizers import optimizer_of
from initlab.training.sources import InMemory
from initlab.training.task import RunSpec, Task

SAMPLES = 256
# Predicted steps until the loss moves, over the steps that the run has. Where Adam's eps holds gradients down, biases
# free them late: a start predicted to need 186 times its steps has trained.
HOPELESS = {"sgd": 20.0, "sign": 1000.0}  # by the optimizer's family
# Steps after which a start that looks hopeless is looked at again, at most a tenth of the run.
SECOND_LOOK = 20


def certain_not_to_train(task: Task, spec: RunSpec) -> str:
    """The finding for which this start is refused; '' where it may train.

    Certain are a number that is not finite, and a loss that is predicted not to move within many times the run's steps
    (20 with SGD, 1000 with others), both at step zero and after twenty steps of training: by then biases have opened
    what zeros or faint weights had closed. Units that stay equal are not certain to fail: one unit a layer can tell two
    classes apart.
    """
    task = replace(task, device=here(task.device))
    model = make_model(task, spec)
    finding, lasting = hopeless(task, spec, model)
    if not finding or lasting:
        return finding
    steps = min(SECOND_LOOK, max(1, task.steps // 10))
    session = SequentialEngine().begin(replace(task, steps=steps), [spec], [model])
    session.advance(steps)
    return finding if hopeless(task, spec, model)[0] else ""


def hopeless(task: Task, spec: RunSpec, model: nn.Module) -> tuple[str, bool]:
    """The finding that speaks against a model as it is, '' where there is none, and whether no step can mend it."""
    report = report_on(task, spec, model)
    harmful = [f for f in report.findings if f.severity != "info"] if report is not None else []
    if report is None or report.verdict not in ("untrainable", "uncertain") or not harmful:
        return "", False
    first = harmful[0]
    lasting = first.kind == "non-finite"
    if not lasting and report.steps <= HOPELESS[optimizer_of(task.optimizer).family] * task.steps:
        return "", False
    return f"certain not to train: {first.kind} at {first.where}: {first.evidence}", lasting


def report_on(task: Task, spec: RunSpec, model: nn.Module) -> Inspection | None:
    """`inspect` of the run's model on its first batch; None for a model that cannot be inspected."""
    source = source_of(task.train, task)
    order = orders(task, [spec], len(source))[order_seed(task, spec)]
    x, y = source.gather(order.batch(0)[:SAMPLES]) if isinstance(source, InMemory) else source.gather(order.batch(0))
    try:
        with random_states_kept(forward_seed(task, spec), task.device):
            return inspect(model, x, y, loss_of(task, y), optimizer=task.optimizer, lr=steady_lr(task, spec))
    except InputError:
        return None


def steady_lr(task: Task, spec: RunSpec) -> float:
    """The learning rate whose plain steps add up to what momentum's do in the end."""
    momentum = float(task.options.get("momentum", 0.0)) if optimizer_of(task.optimizer).family == "sgd" else 0.0
    return spec.lr / (1.0 - momentum) if momentum < 1.0 else spec.lr
