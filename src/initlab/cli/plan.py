"""`initlab plan MODEL`: the law of every parameter, with the reason, before anything is written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from initlab.cli import models, options, output, samples
from initlab.cli.working import working
from initlab.reporting import print_page

if TYPE_CHECKING:
    from initlab.planning import Plan


def command(
    model: options.Model,
    shapes: samples.Input = None,
    data: samples.Data = None,
    target: samples.Target = None,
    images: samples.Images = None,
    policy: options.Policy = "auto",
    select: options.Select = None,
    batch: Annotated[int, typer.Option(help="Samples of --input or --data.")] = 32,
    explain: Annotated[str | None, typer.Option(metavar="PARAMETER", help="Explain one parameter.")] = None,
    seed: options.Seed = 0,
    as_json: options.Json = False,
    report: options.Report = None,
) -> None:
    """Show every parameter's law, and why; write nothing.

    Example: initlab plan mymodel:build --input 1x8x8
    """
    # lazy: it brings PyTorch, a second that a usage error and `initlab schemes` do without
    from initlab import planning

    page = output.checked_report(report)
    chosen = options.selected(policy, select)
    with working(f"planning {model}", as_json=as_json):
        build = models.builder(model)
        inputs, _ = samples.batch_from(build, shapes, data, target, images, batch, seed)
        plan = planning.plan(build(), inputs, chosen)
    if explain is not None:
        output.emit(plan.explain(explain))
    else:
        show(plan, as_json=as_json)
    if page is not None:
        output.said(plan.save(page))


def show(plan: Plan, *, as_json: bool) -> None:
    """Print a plan: as JSON, or its blocks as wide as the terminal."""
    # lazy: it brings PyTorch, a second that a usage error and `initlab schemes` do without
    from initlab.planning.view import blocks

    if as_json:
        output.deliver(plan, as_json=True, report=None)
        return
    for block in blocks(plan):
        print_page(block)
