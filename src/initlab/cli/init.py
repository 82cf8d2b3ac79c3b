"""`initlab init MODEL`: the planned values, drawn from the named streams and written to a file of weights."""

from __future__ import annotations

from typing import Annotated

import typer

from initlab.cli import models, options, output, samples, weights
from initlab.cli.plan import show
from initlab.cli.working import working


def command(
    model: options.Model,
    out: weights.Out,
    shapes: samples.Input = None,
    data: samples.Data = None,
    target: samples.Target = None,
    images: samples.Images = None,
    policy: options.Policy = "auto",
    select: options.Select = None,
    batch: Annotated[int, typer.Option(help="Samples of --input or --data.")] = 32,
    seed: options.Seed = 0,
    as_json: options.Json = False,
    report: options.Report = None,
) -> None:
    """Draw a model's start; write a .safetensors file.

    The same bits on every machine for one seed.

    Example: initlab init mymodel:build --input 1x8x8 --out start.safetensors
    """
    # lazy: it brings PyTorch, a second that a usage error and `initlab schemes` do without
    from initlab import planning

    page, file = output.checked_report(report), weights.checked_out(out)
    with working(f"initializing {model}", as_json=as_json):
        module = models.built(model, seed)
        inputs, _ = samples.batch_from(lambda: module, shapes, data, target, images, batch, seed)
        plan = planning.init_(module, options.selected(policy, select), example_inputs=inputs, seed=seed)
    show(plan, as_json=as_json)
    weights.write(module, file, seed)
    if page is not None:
        output.said(plan.save(page))
