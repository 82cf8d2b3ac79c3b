"""`initlab inspect MODEL`: one forward and backward pass, what is wrong, and whether it will train."""

from __future__ import annotations

import copy
from typing import Annotated

import typer

from initlab.cli import completing, models, options, output, samples, studies
from initlab.cli import weights as files
from initlab.cli.working import working
from initlab.errors import InputError

UNTRAINABLE = 3


def command(
    model: options.Model,
    shapes: samples.Input = None,
    data: samples.Data = None,
    target: samples.Target = None,
    images: samples.Images = None,
    batch: Annotated[int, typer.Option(help="Samples in the batch.")] = 256,
    policy: Annotated[
        str | None,
        typer.Option(help="Initialize so first; else inspect as built.", autocompletion=completing.policies),
    ] = None,
    select: options.Select = None,
    weights: files.Weights = None,
    optimizer: studies.Optimizer = "adamw",
    lr: Annotated[float | None, typer.Option(help="What training will use; else the best one is judged.")] = None,
    seed: options.Seed = 0,
    strict: Annotated[bool, typer.Option("--strict", help=f"Exit with {UNTRAINABLE} if untrainable.")] = False,
    as_json: options.Json = False,
    report: options.Report = None,
) -> None:
    """Say at step zero whether a model will train.

    Signals, gradients and findings of one forward and backward pass, and a verdict.

    Example: initlab inspect mymodel:build --data digits --report report.html
    """
    # lazy: it brings PyTorch, a second that a usage error and `initlab schemes` do without
    from initlab import inspection, planning

    page = output.checked_report(report)
    if data is None and shapes is None:
        raise InputError(f"give --input SHAPE, such as --input 3x32x32, or --data {samples.SOURCES}")
    with working(f"inspecting {model}", as_json=as_json):
        module = models.built(model, seed)
        inputs, targets = samples.batch_from(lambda: copy.deepcopy(module), shapes, data, target, images, batch, seed)
        if weights is not None:
            files.load(module, weights)
        if policy is not None or select:
            planning.init_(module, options.selected(policy or "auto", select), example_inputs=inputs, seed=seed)
        result = inspection.inspect(module, inputs, targets, optimizer=optimizer, lr=lr)
    output.deliver(result, as_json=as_json, report=page)
    if strict and result.verdict == "untrainable":
        raise typer.Exit(UNTRAINABLE)
