"""What of a plan to show: the table, the explanation of one entry, and the rows for a data frame."""

from __future__ import annotations

import random
from typing import Any

from initlab.planning.plan import Plan, PlanEntry
from initlab.reporting import Block, Callout, Column, Section, Table, Text, block_html, clean, format_number, table_text

RECORD_FIELDS = (
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
    "action",
    "reason",
    "tied_to",
)

_COLUMNS = (
    Column("parameter", kind="code", keep=9),
    Column("shape", kind="text", keep=7),
    Column("fans", "right", kind="text", keep=4),
    Column("law", kind="text", keep=8),
    Column("std", "right", "number", keep=6),
    Column("reason", kind="text", keep=5),
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
        "action": entry.action,
        "reason": entry.reason,
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
    return Table(f"Plan for {plan.model}: {plan.policy}", _COLUMNS, rows, summary(plan))


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
    blocks: list[Block] = [Callout("warning", clean(warning, 2000)) for warning in plan.warnings]
    return Section("Plan", (*blocks, plan_table(plan)))


def plan_text(plan: Plan, width: int = 80) -> str:
    """The table and the warnings, at most `width` cells wide where the names allow it."""
    state = random.getstate()
    try:
        lines = [table_text(plan_table(plan), width)]
    finally:
        # rich draws link ids from Python's global generator when it is first imported.
        random.setstate(state)
    lines.extend(f"warning: {clean(warning, 2000)}" for warning in plan.warnings)
    return "\n".join(lines)


def plan_html(plan: Plan) -> str:
    section = plan_section(plan)
    return "".join(block_html(block) for block in section.blocks)


def explanation(entry: PlanEntry) -> str:
    """The whole reason for one entry, as text."""
    shape = "×".join(map(str, entry.shape)) or "scalar"
    lines = [f"{clean(entry.name)} ({entry.layer or 'parameter'}, {shape}, {entry.dtype}): {entry.action}"]
    if entry.tied_to:
        lines.append("tied to: " + ", ".join(clean(name) for name in entry.tied_to))
    if entry.fans is not None:
        lines.append(f"fans: {_fans_in_words(entry)}")
    if entry.law is not None and entry.std is not None:
        lines.append(f"law: {entry.law.describe()}, std {format_number(entry.std)}")
    if entry.gain is not None:
        undone = f", which undoes a second moment of {format_number(entry.gain**-2)}" if entry.gain > 0 else ""
        lines.append(f"gain: {format_number(entry.gain)}{undone}")
    lines.append(f"reason: {clean(entry.reason, 2000)}")
    if entry.recipe is not None:
        lines.append(f"scheme: {entry.scheme}")
        lines.append(f"formula: {entry.recipe.formula}")
        lines.append(f"why: {entry.recipe.why}")
        lines.append(f"source: {entry.recipe.source} ({entry.recipe.year})")
    return "\n".join(lines)


def explanation_block(entry: PlanEntry) -> Text:
    return Text(explanation(entry), mono=True)


def _fans(entry: PlanEntry) -> str:
    return "" if entry.fans is None else f"{_count(entry.fans.fan_in)} / {_count(entry.fans.fan_out)}"


def _fans_in_words(entry: PlanEntry) -> str:
    assert entry.fans is not None
    text = f"fan_in {_count(entry.fans.fan_in)}, fan_out {_count(entry.fans.fan_out)}"
    geometry = entry.geometry
    if geometry is None:
        return text
    if geometry.packing is not None:
        packed = geometry.packing
        names = f" ({', '.join(packed.labels)})" if packed.labels else ""
        text += f" in each of {len(packed.sizes)} packed blocks{names}"
    if geometry.groups > 1:
        text += f", {geometry.groups} groups"
    return text


def _count(number: float) -> str:
    return f"{int(number)}" if float(number).is_integer() else format_number(number)


def _reason(entry: PlanEntry) -> str:
    ties = f" (tied to {', '.join(entry.tied_to)})" if entry.tied_to else ""
    return entry.reason + ties
