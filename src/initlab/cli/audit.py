"""`initlab audit MODEL`: what start the model has, parameter by parameter, and what is wrong with it."""

from __future__ import annotations

from typing import Annotated

import typer

from initlab.cli import models, options, output


def command(
    model: options.Model,
    shapes: options.Input = None,
    reference: Annotated[
        str | None, typer.Option(metavar="POLICY|FILE", help="What the start should be: a policy, or a weight file.")
    ] = None,
    batch: Annotated[int, typer.Option(help="Samples in the random input.")] = 8,
    seed: options.Seed = 0,
    as_json: options.Json = False,
    report: options.Report = None,
) -> None:
    """Show the law and the scheme of every parameter as built, and what is wrong with them; write nothing."""
    # lazy: it brings PyTorch, a second that a usage error does without
    from initlab import planning

    target = output.checked_report(report)
    inputs = options.example_inputs(shapes, batch, seed)
    audit = planning.audit(models.built(model, seed), reference, inputs)
    output.deliver(audit, as_json=as_json, report=target)
