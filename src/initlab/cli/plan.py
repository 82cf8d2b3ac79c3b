"""`initlab plan MODEL`: the law of every parameter, with the reason, before anything is written."""

from __future__ import annotations

from typing import Annotated

import typer

from initlab.cli import models, options, output
from initlab.reporting import print_page


def command(
    model: options.Model,
    shapes: options.Input = None,
    policy: options.Policy = "auto",
    select: options.Select = None,
    batch: Annotated[int, typer.Option(help="Samples in the random input.")] = 32,
    explain: Annotated[str | None, typer.Option(metavar="PARAMETER", help="Explain one parameter.")] = None,
    seed: options.Seed = 0,
    as_json: options.Json = False,
    report: options.Report = None,
) -> None:
    """Show every parameter's law, and why; write nothing."""
    # lazy: it brings PyTorch, a second that a usage error and `initlab schemes` do without
    from initlab import planning
    from initlab.planning.view import plan_section  # lazy: as above

    target = output.checked_report(report)
    inputs = options.example_inputs(shapes, batch, seed)
    chosen = options.selected(policy, select)
    plan = planning.plan(models.builder(model)(), inputs, chosen)
    if explain is not None:
        output.emit(plan.explain(explain))
    elif as_json:
        output.deliver(plan, as_json=True, report=None)
    else:
        print_page(plan_section(plan))
    if target is not None:
        output.said(plan.save(target))
