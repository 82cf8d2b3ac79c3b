"""`initlab audit MODEL`: what start the model has, parameter by parameter, and what is wrong with it."""

from __future__ import annotations

from typing import Annotated

import typer

from initlab.cli import completing, models, options, output, samples
from initlab.cli.working import working


def command(
    model: options.Model,
    shapes: samples.Input = None,
    data: samples.Data = None,
    target: samples.Target = None,
    images: samples.Images = None,
    reference: Annotated[
        str | None,
        typer.Option(
            metavar="POLICY|FILE",
            help="What the start should be: a policy, or a weight file.",
            autocompletion=completing.policies,
        ),
    ] = None,
    batch: Annotated[int, typer.Option(help="Samples of --input or --data.")] = 8,
    seed: options.Seed = 0,
    as_json: options.Json = False,
    report: options.Report = None,
) -> None:
    """Show the start a model has, and what is wrong with it.

    The law and the scheme of every parameter as built; nothing is written.

    Example: initlab audit mymodel:build --reference he_normal
    """
    # lazy: it brings PyTorch, a second that a usage error does without
    from initlab import planning

    page = output.checked_report(report)
    with working(f"auditing {model}", as_json=as_json):
        module = models.built(model, seed)
        inputs, _ = samples.batch_from(lambda: module, shapes, data, target, images, batch, seed)
        audit = planning.audit(module, reference, inputs)
    output.deliver(audit, as_json=as_json, report=page)
