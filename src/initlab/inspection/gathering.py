"""One look at a model: the watched pass, the loss along the first step, and the statistics of layers and parameters."""

from __future__ import annotations

import math
from typing import Any

from torch import nn

from initlab.guest.batch import batch_of
from initlab.guest.inputs import check_values
from initlab.inspection.evidence import Evidence
from initlab.inspection.inputs import batch_size, samples_alike
from initlab.inspection.line import line_of
from initlab.inspection.optimizers import Step
from initlab.inspection.passes import Pass, Problem, names_of, watched
from initlab.inspection.predicted import predicted
from initlab.inspection.probe import learning_rate_of, probed
from initlab.inspection.recorder import Record
from initlab.inspection.results import LayerStats, ParameterStats
from initlab.inspection.updates import Use, parameter_stats


def gathered(
    model: nn.Module, inputs: Any, targets: Any, loss: Any, step: Step, *, line_probe: bool = True, probe: int = 0
) -> Evidence:
    """Everything that is measured of `model` on a batch; the model is left as it was.

    Where the user chose no learning rate, the statistics are about the best one, by the line along the first step and
    by `probe` real steps on a copy.

    Raises:
        InputError: see `inspect`.
    """
    given = batch_of(model, inputs, targets)
    args, kwargs, targets = given.args, given.kwargs, given.targets
    check_values(args, kwargs)
    batch = batch_size(args, kwargs, targets)
    alike = samples_alike(args, kwargs, batch)
    problem = Problem(model, args, kwargs, targets, loss, batch)
    seen = watched(problem)
    line = line_of(problem, seen, step) if line_probe else None
    seen.output = seen.output_gradient = None
    window = learning_rate_of(line, step) if line is not None else None
    if window is not None and probe:
        window = probed(window, problem, seen, step, probe)
    if window is not None and window.best is not None and not step.given:
        step = step.at(window.best)
    parameters = _parameters(model, seen, step, 1 if alike else batch)
    layers = _layers(seen, parameters)
    read = (*given.notes, f"targets: {given.coded}") if given.coded else given.notes
    return Evidence(model, given.inputs, seen, layers, parameters, step, batch, alike, problem, line, window, read)


def _parameters(model: nn.Module, seen: Pass, step: Step, batch: int | None) -> tuple[ParameterStats, ...]:
    first_use: dict[str, Record] = {}
    for record in seen.records:
        for name in record.parameters:
            first_use.setdefault(name, record)
    own = model.named_parameters()
    uses = [Use(name, p, seen.gradients.pop(name, None), first_use.get(name)) for name, p in own]
    return parameter_stats(uses, step, seen.loss, batch or 1)


def _layers(seen: Pass, parameters: tuple[ParameterStats, ...]) -> tuple[LayerStats, ...]:
    by_name = {p.name: p for p in parameters}
    named = zip(seen.records, names_of(seen.records), predicted(seen.records, parameters), strict=True)
    return tuple(
        _layer(record, name, [by_name[p] for p in record.parameters if p in by_name], expected)
        for record, name, expected in named
    )


def _layer(
    record: Record, name: str, own: list[ParameterStats], expected: tuple[float, float, float] | None
) -> LayerStats:
    moments = record.moments
    main = max(own, key=lambda p: (len(p.shape) > 1, math.prod(p.shape)), default=None)
    size = math.prod(record.shape)
    return LayerStats(
        index=record.index,
        name=name,
        kind=record.kind,
        activation=record.activation,
        parameters=record.parameters,
        shape=record.shape,
        batch_axis=record.moments.batch_axis,
        mean=moments.mean,
        std=moments.std,
        second_moment=moments.second_moment,
        saturated=moments.saturated,
        dead=moments.dead,
        between=moments.between,
        row_share=moments.row_share,
        edges=moments.edges,
        counts=moments.counts,
        grad_rms=None if record.grad_square is None or not size else (record.grad_square / size) ** 0.5,
        weight_rms=main.rms if main else None,
        weight_grad_rms=main.grad_rms if main else None,
        update_ratio=main.update_ratio if main else None,
        duplicated=main.duplicated if main else None,
        nonfinite=moments.nonfinite,
        predicted=expected,
    )
