"""`initlab plan MODEL`: the law of every parameter, with the reason, before anything is written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from initlab.cli import models, options, output
from initlab.reporting import Callout, Page, Section, print_page, save_page

if TYPE_CHECKING:
    from initlab.planning import Plan


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

    target = output.checked_report(report)
    inputs = options.example_inputs(shapes, batch, seed)
    chosen = options.selected(policy, select)
    plan = planning.plan(models.builder(model)(), inputs, chosen)
    if explain is not None:
        output.emit(plan.explain(explain))
    elif as_json:
        output.print_json(_record(plan))
    else:
        print_page(_section(plan))
    if target is not None:
        output.said(save_page(Page(f"Plan for {plan.model}", "", [_section(plan)], (("policy", plan.policy),)), target))


def _section(plan: Plan) -> Section:
    # lazy: it brings PyTorch, a second that a usage error and `initlab schemes` do without
    from initlab.planning.view import plan_table

    return Section("Plan", [*(Callout("warning", line) for line in plan.warnings), plan_table(plan)])


def _record(plan: Plan) -> dict[str, Any]:
    # lazy: it brings PyTorch, a second that a usage error and `initlab schemes` do without
    from initlab.planning.view import record

    parameters = [record(entry) for entry in plan.entries]
    return {
        "model": plan.model,
        "policy": plan.policy,
        "warnings": plan.warnings,
        "parameters": parameters,
        "buffers": plan.buffers,
    }
