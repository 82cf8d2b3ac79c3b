"""What of a plan to show: the table, the explanation of one entry, and the rows for a data frame."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from initlab.planning.pasted import copied_by_label
from initlab.planning.plan import MISSED, Plan, PlanEntry, fan_text
from initlab.reporting import (
    Block,
    Callout,
    Column,
    LineFigure,
    Page,
    Section,
    Series,
    Table,
    View,
    block_html,
    clean,
    shows,
    table_text,
    wrapped,
)

_FIELDS = (
    "parameter",
    "shape",
    "dtype",
    "layer",
    "role",
    "fan_in",
    "fan_out",
    "law",
    "std",
    "scheme",
    "gain",
    "known",
    "correction",
    "measured",
    "target",
    "action",
    "reason",
    "tied_to",
)

UNFOLDED = 20  # rows of a plan, each for itself; of more, equal blocks stand as one
_CHAIN = (
    "Rules derive each std from what feeds the weight; one pass on the example inputs draws every weight just before "
    "its first use and measures what it makes. Read-outs, gates and branch ends have targets of their own."
)

_COLUMNS = (
    Column("parameter", kind="code", keep=9),
    Column("shape", kind="text", keep=6),
    Column("fans", "right", kind="text", keep=4),
    Column("law", kind="text", keep=7),
    Column("std", "right", "number", keep=5),
    Column("reason", kind="text", keep=8),
)


def record(entry: PlanEntry) -> dict[str, Any]:
    """One entry as plain values."""
    fans = entry.fans
    return {
        "parameter": entry.name,
        "shape": entry.shape,
        "dtype": entry.dtype,
        "layer": entry.layer,
        "role": entry.role,
        "fan_in": None if fans is None else fans.fan_in,
        "fan_out": None if fans is None else fans.fan_out,
        "law": None if entry.law is None else entry.law.describe(),
        "std": entry.std,
        "scheme": entry.scheme,
        "gain": entry.gain,
        "known": entry.known,
        "correction": entry.correction,
        "measured": None if entry.measured is None else entry.measured[0],
        "target": None if entry.measured is None else entry.measured[1],
        "action": entry.action,
        "reason": str(entry.reason),
        "tied_to": ", ".join(entry.tied_to),
    }


def plan_table(plan: Plan) -> Table:
    rows = [
        (
            entry.name,
            "×".join(map(str, entry.shape)) or "scalar",
            _fans(entry),
            entry.scheme if entry.law is None else entry.law.describe(),
            entry.std,
            _reason(entry),
        )
        for entry in plan.entries
    ]
    return Table(f"Plan for {plan.model}: {plan.policy}", _COLUMNS, rows, summary(plan), UNFOLDED, steps=True)


def summary(plan: Plan) -> str:
    """One line: how many parameters and values are written, kept and refused."""
    parts = []
    for action, word in (("write", "to write"), ("keep", "kept"), ("refuse", "refused")):
        chosen = [entry for entry in plan.entries if entry.action == action]
        if chosen:
            parts.append(f"{len(chosen)} {word} ({sum(entry.numel for entry in chosen):,} values)")
    if plan.buffers:
        parts.append(f"{len(plan.buffers)} buffer{'s' if len(plan.buffers) > 1 else ''} kept")
    return "; ".join(parts)


def plan_section(plan: Plan) -> Section:
    """The plan and its warnings, for a page."""
    return Section("Plan", blocks(plan))


def blocks(plan: Plan) -> tuple[Block, ...]:
    """The plan's warnings and its table."""
    return (*(Callout("warning", clean(warning, 2000)) for warning in plan.warnings), plan_table(plan))


def text(plan: Plan, width: int = 80) -> str:
    """The table and the warnings, at most `width` cells wide."""
    warnings = [line for one in plan.warnings for line in wrapped(clean(one, 2000), width, "warning: ", "  ")]
    return "\n".join((table_text(plan_table(plan), width), *warnings))


def html(plan: Plan) -> str:
    """The warnings and the table, for a notebook."""
    return "".join(block_html(block) for block in blocks(plan))


def page(plan: Plan) -> Page:
    """The whole report."""
    chain = chain_figure(plan)
    sections = [plan_section(plan)]
    if chain is not None:
        sections.append(Section("Predicted beside measured", (Callout("info", agreement(plan)), chain), _CHAIN))
    sections[0] = replace(sections[0], blocks=(*sections[0].blocks, *copied_by_label(plan.policy)))
    return Page(f"Plan for {plan.model}", "", sections, (("policy", plan.policy),))


def chain_figure(plan: Plan) -> LineFigure | None:
    """What each weight's output measures with the std that rules derive, and what it is to be, in the model's order."""
    seen = [entry for entry in plan.entries if entry.measured is not None]
    if not seen:
        return None
    numbers, names = list(range(1, len(seen) + 1)), [entry.name for entry in seen]
    series = [
        Series("predicted", numbers, [entry.measured[1] for entry in seen if entry.measured], labels=names, dash="dot"),
        Series("measured", numbers, [entry.measured[0] for entry in seen if entry.measured], labels=names),
    ]
    title = "Second moment of every weight's output, before correction"
    return LineFigure(title, "weight", "E[y²]", series, log_y=True, markers=True, name="measured")


def agreement(plan: Plan) -> str:
    """How many of the measured weights lie near what the rules derive."""
    seen = [entry.measured for entry in plan.entries if entry.measured is not None]
    near = sum(abs(second / target - 1) <= MISSED for second, target in seen)
    corrected = sum(entry.correction != 1 for entry in plan.entries)
    return (
        f"{near} of {len(seen)} outputs measured within {MISSED:.0%} of their target with the std that rules derive; "
        f"{corrected} std{' was' if corrected == 1 else 's were'} corrected."
    )


def to_dict(plan: Plan) -> dict[str, Any]:
    """Everything for machines."""
    return {
        "model": plan.model,
        "policy": plan.policy,
        "warnings": plan.warnings,
        "parameters": _records(plan),
        "buffers": plan.buffers,
    }


def _records(plan: Plan) -> list[dict[str, Any]]:
    return [record(entry) for entry in plan.entries]


def _fans(entry: PlanEntry) -> str:
    return "" if entry.fans is None else f"{fan_text(entry.fans.fan_in)} / {fan_text(entry.fans.fan_out)}"


def _reason(entry: PlanEntry) -> str:
    ties = f" (tied to {', '.join(entry.tied_to)})" if entry.tied_to else ""
    return entry.reason + ties


shows(
    Plan,
    View(
        table=plan_table,
        text=text,
        html=html,
        page=page,
        data=to_dict,
        rows=_records,
        index="parameter",
        fields=_FIELDS,
    ),
)
