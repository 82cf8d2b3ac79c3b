"""`inspect`: one forward and one backward pass on a batch, then the findings and the verdict."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from initlab.inspection.evidence import Evidence
from initlab.inspection.findings import findings_of
from initlab.inspection.inputs import batch_size, call_arguments, model_of, optimizer_of, samples_alike, targets_of
from initlab.inspection.notes import notes_of
from initlab.inspection.passes import Pass, names_of, run
from initlab.inspection.recorder import Record
from initlab.inspection.results import Inspection, LayerStats, ParameterStats
from initlab.inspection.updates import Step, parameter_stats
from initlab.inspection.verdict import verdict_of


def inspect(
    model: nn.Module,
    inputs: Any,
    targets: Any = None,
    loss: Callable[..., Any] | str | None = None,
    *,
    optimizer: Any = "adamw",
    lr: float | None = None,
) -> Inspection:
    """How signals and gradients travel through `model` at step zero, what is wrong, and whether it will train.

    One forward and one backward pass on a batch, in training mode. Every call that reads a parameter and every
    activation function is a layer, wherever it stands in the model's code. Nothing of the model is changed:
    parameters, `.grad`, buffers, modes, hooks and random states are as before.

    Args:
        model: any module whose forward pass runs on `inputs`.
        inputs: a batch as training would see it: tensor or array, tuple (positional) or dict (keyword arguments).
        targets: what the loss takes beside the output.
        loss: callable (output, targets) -> scalar, or a name: "cross_entropy", "mse", … . None guesses and says so:
            integer targets mean cross-entropy on logits, float targets of the output's shape mean squared error, no
            targets a mean squared distance from fixed random targets.
        optimizer: "sgd", "adam", "adamw", … , or a torch.optim.Optimizer: the verdict is about training with it.
        lr: its learning rate; None takes 1e-3 for Adam and its kin, 1e-2 for SGD.

    Returns:
        An `Inspection`: `verdict`, `findings`, `layers`, `parameters`, `notes`.

    Raises:
        InputError: inputs of the wrong shape or device (names the failing module), targets out of range, a loss that
            is no scalar, a model whose forward pass raises or returns no tensor.

    Source:
        Glorot & Bengio 2010 (signal and gradient by layer); Schoenholz et al. 2017 (correlation of inputs with
        depth); Yang et al. 2023, "A spectral condition for feature learning" (size of an update).

    >>> import torch, initlab
    >>> model = torch.nn.Sequential(torch.nn.Linear(8, 32), torch.nn.ReLU(), torch.nn.Linear(32, 3))
    >>> x, y = torch.randn(64, 8), torch.randint(0, 3, (64,))
    >>> initlab.inspect(model, x, y).verdict
    'healthy'
    """
    model = model_of(model)
    step = Step(*optimizer_of(optimizer, lr))
    args, kwargs = call_arguments(inputs)
    targets = targets_of(targets)
    batch = batch_size(args, kwargs, targets)
    alike = samples_alike(args, kwargs, batch)
    seen = run(model, args, kwargs, targets, loss, batch)
    parameters = _parameters(model, seen, step, 1 if alike else batch)
    layers = _layers(seen, parameters)
    evidence = Evidence(model, kwargs or args, seen, layers, parameters, step, batch, alike)
    findings = findings_of(evidence)
    return Inspection(
        verdict=verdict_of(findings, any(p.trainable for p in parameters)),
        findings=findings,
        layers=layers,
        parameters=parameters,
        notes=notes_of(evidence),
        model=type(model).__name__,
        loss=seen.loss if abs(seen.loss) < float("inf") else None,
        loss_name=seen.loss_name,
        optimizer=step.name,
        lr=step.lr,
        batch_size=batch,
        steps=evidence.outlook.steps,
    )


def _parameters(model: nn.Module, seen: Pass, step: Step, batch: int | None) -> tuple[ParameterStats, ...]:
    first_use: dict[str, Record] = {}
    for record in seen.records:
        for name in record.parameters:
            first_use.setdefault(name, record)
    return tuple(
        parameter_stats(name, p, seen.gradients.pop(name, None), first_use.get(name), step, seen.loss, batch or 1)
        for name, p in model.named_parameters()
    )


def _layers(seen: Pass, parameters: tuple[ParameterStats, ...]) -> tuple[LayerStats, ...]:
    by_name = {p.name: p for p in parameters}
    names = names_of(seen.records)
    return tuple(
        _layer(record, name, [by_name[p] for p in record.parameters if p in by_name])
        for record, name in zip(seen.records, names, strict=True)
    )


def _layer(record: Record, name: str, own: list[ParameterStats]) -> LayerStats:
    moments = record.moments
    main = max(own, key=lambda p: (len(p.shape) > 1, _size(p.shape)), default=None)
    size = _size(record.shape)
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
    )


def _size(shape: tuple[int, ...]) -> int:
    size = 1
    for length in shape:
        size *= length
    return size
