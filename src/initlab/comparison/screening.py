"""Refuses a start that is certain not to train, before any training: what `race` and `search` call `inspect` for."""

from __future__ import annotations

from initlab.comparison.engines.batches import InMemory, order_seed, orders, source_of
from initlab.comparison.engines.runs import forked_rng, forward_seed, make_model
from initlab.comparison.task import RunSpec, Task
from initlab.errors import InputError
from initlab.inspection import Finding, Inspection, inspect

SAMPLES = 256
# An exact symmetry is kept by every step of training, and a number that is not finite spoils every step.
LASTING = ("symmetric", "non-finite")
# Predicted steps until the loss moves, over the steps that the run has.
HOPELESS = 20.0


def certain_not_to_train(task: Task, spec: RunSpec) -> str:
    """The finding for which this start is refused; '' where it may train.

    Only what does not depend on a threshold counts as certain: an exact symmetry, a number that is not finite, or a
    loss that is predicted not to move within twenty times the run's steps.
    """
    report = report_on(task, spec)
    if report is None or report.verdict != "untrainable":
        return ""
    errors = [finding for finding in report.findings if finding.severity == "error"]
    for finding in errors:
        if finding.kind in LASTING:
            return _words(finding)
    if report.steps > HOPELESS * task.steps and errors:
        return _words(errors[0])
    return ""


def _words(finding: Finding) -> str:
    return f"certain not to train: {finding.kind} at {finding.where}: {finding.evidence}"


def report_on(task: Task, spec: RunSpec) -> Inspection | None:
    """`inspect` of the run's start on its first batch; None for a model that cannot be inspected."""
    source = source_of(task.train, task)
    order = orders(task, [spec], len(source))[order_seed(task, spec)]
    x, y = source.gather(order.batch(0)[:SAMPLES]) if isinstance(source, InMemory) else source.gather(order.batch(0))
    loss = task.loss if callable(task.loss) else "mse" if y.is_floating_point() else "cross_entropy"
    try:
        with forked_rng(forward_seed(task, spec), task.device):
            return inspect(make_model(task, spec), x, y, loss, optimizer=task.optimizer, lr=spec.lr)
    except InputError:
        return None
