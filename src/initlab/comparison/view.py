"""What of a `Comparison` to show, in the primitives of reporting: results, tests, plans, stops, page and data."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from initlab.comparison.analysis import ArmSummary
from initlab.comparison.figures import loss_figure, measured_figure
from initlab.comparison.result import Comparison
from initlab.comparison.words import (
    counts_text,
    difference_text,
    gap_text,
    interval_text,
    p_text,
    score_text,
    time_text,
)
from initlab.errors import listed
from initlab.planning.pasted import copied_by_label
from initlab.planning.view import plan_table
from initlab.reporting import (
    Block,
    Brief,
    Callout,
    Column,
    Page,
    Section,
    Table,
    Text,
    View,
    counted,
    format_number,
    shows,
)
from initlab.training.records import LEFT_OUT, RunRecord

MOST_PLANS = 12


def results_table(result: Comparison) -> Table:
    """One row an arm, best first."""
    analysis = result.analysis
    metric = analysis.metric
    name = "test accuracy" if metric == "accuracy" else "test loss"
    columns = (
        Column("scheme", kind="text", keep=10),
        Column("runs", kind="text", keep=6),
        Column(name, kind="number", keep=9),
        Column("95% interval", kind="number", keep=8),
        Column("against best", kind="text", keep=7),
        Column("p best", align="right", kind="number", keep=4),
        Column(f"steps to loss {_number(analysis.target_loss)}", kind="number", keep=3),
    )
    rows = [
        (
            arm.label,
            counts_text(arm.counts),
            score_text(arm.score.mean, metric),
            interval_text(arm.score, metric),
            _against_best(result, arm),
            None if math.isnan(arm.odds) else f"{arm.odds:.2f}",
            time_text(arm.steps_to),
        )
        for arm in analysis.arms
    ]
    return Table(_title(result), columns, rows)


def _title(result: Comparison) -> str:
    seeds = len({run.seed for run in result.runs})
    return f"{counted(len(result.arms), 'start')}, {counted(seeds, 'seed')}, {counted(len(result.runs), 'run')}"


def _against_best(result: Comparison, arm: ArmSummary) -> str:
    analysis = result.analysis
    best = analysis.arms[0]
    if arm is best:
        return "best"
    test = analysis.between(arm.label, best.label)
    if test is None or math.isnan(test.p_holm):
        return next((s for s in LEFT_OUT if arm.counts.get(s)), "–")
    gap = gap_text(test.difference.mean, analysis.metric)
    return f"{gap}, {p_text(test.p_holm)}{' *' if test.significant else ''}"


def _number(value: float) -> str:
    return f"{value:.3g}" if math.isfinite(value) else "–"


def conclusion(result: Comparison) -> str:
    """One sentence: who is best, and whether that is shown."""
    analysis = result.analysis
    if not analysis.arms or not math.isfinite(analysis.arms[0].score.mean):
        return "No run was finished."
    best = analysis.arms[0]
    if not best.counts.get("finished"):
        return "No start trained: every run diverged." if best.counts.get("diverged") else "No run was finished."
    lead = f"{best.label} is best: {score_text(best.score.mean, analysis.metric)}"
    if len(analysis.arms) == 1:
        return f"{lead}."
    tests = {arm.label: analysis.between(best.label, arm.label) for arm in analysis.arms[1:]}
    out = [arm.label for arm in analysis.arms[1:] if arm.out]
    shown = [label for label, t in tests.items() if label in out or (t is not None and t.significant)]
    open_ones = [label for label in tests if label not in shown]
    if not open_ones:
        return f"{lead}; better than every other start beyond chance (paired over seeds, Holm-corrected)."
    return f"{lead}; not shown to be better than {listed(open_ones, 3)} (paired over seeds, Holm-corrected)."


def brief(result: Comparison) -> Brief:
    """The result at a glance, for a terminal and a notebook."""
    proof = f"* beyond chance at {result.level:.2g}: paired over seeds, Holm-corrected over all pairs"
    return Brief(
        conclusion(result),
        results_table(result),
        remarks=[proof] if any(t.significant for t in result.tests) else [],
        warnings=result.warnings,
        made=f"trained {result.engine}" if result.engine else "",
    )


def differences_table(result: Comparison) -> Table:
    """Every two arms: difference, interval, p values."""
    metric = result.analysis.metric
    columns = (
        Column("first", kind="code"),
        Column("second", kind="code"),
        Column("first − second", align="right", kind="number"),
        Column("95% interval", kind="number"),
        Column("p (paired t)", align="right", kind="number"),
        Column("p (sign flip)", align="right", kind="number"),
        Column("p (Holm)", align="right", kind="number"),
        Column("could be shown", align="right"),
    )
    scale = 100 if metric == "accuracy" else 1
    rows = [
        (
            t.first,
            t.second,
            gap_text(t.difference.mean, metric),
            f"{format_number(scale * t.difference.low, 3)} to {format_number(scale * t.difference.high, 3)}",
            f"{t.p:.2g}",
            f"{t.p_sign_flip:.2g}",
            f"{t.p_holm:.2g}{' *' if t.significant else ''}",
            difference_text(t.detectable, metric) if metric != "accuracy" or t.detectable < 1 else "none",
        )
        for t in result.tests
    ]
    note = (
        f"Differences over shared seeds. * beyond chance at {result.level:.2g} after Holm's correction over all pairs. "
        "Last column: the smallest true difference that these seeds show in four of five studies."
    )
    return Table("Differences between starts", columns, rows, note)


def runs_table(result: Comparison) -> Table:
    """One row a run."""
    names = ("arm", "seed", "status", "steps", "test loss", "test accuracy", "reason")
    kinds = {"arm": "code", "status": "status"}
    columns = tuple(Column(n, kind=kinds.get(n, "text")) for n in names)  # type: ignore[arg-type]  # literals above
    rows = [(r.arm, r.seed, r.status, r.steps, _or_none(r.loss), _or_none(r.accuracy), r.reason) for r in result.runs]
    return Table("Runs", columns, rows)


def _or_none(value: float) -> float | None:
    return value if math.isfinite(value) else None


def page(result: Comparison) -> Page:
    """The whole report."""
    figures: list[Block] = [loss_figure(result)]
    measured = measured_figure(result)
    if measured is not None:
        figures.append(measured)
    first: list[Block] = [results_table(result)]
    first += [Callout("warning", line) for line in result.warnings]
    if (best := result.analysis.best) is not None:
        first += copied_by_label(best.scheme, f"Copy the best start, {best.scheme}")
    sections = [Section("Results", first), Section("Curves", figures)]
    if result.tests:
        sections.append(Section("Which differences are real", [differences_table(result)]))
    stopped = [run for run in result.runs if run.status in LEFT_OUT]
    if stopped:
        sections.append(Section("Runs that were stopped, set aside or refused", [_stopped_table(stopped)]))
    if result.plans:
        sections.append(Section("Plans that were used", _plans(result)))
    sections.append(Section("All runs", [runs_table(result)]))
    facts = [(str(k), _shown(v)) for k, v in result.settings.items()]
    if result.engine:
        facts.append(("trained", result.engine))
    return Page("Which start wins", conclusion(result), sections, facts)


def _shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _stopped_table(runs: Sequence[RunRecord]) -> Table:
    columns = (Column("arm", kind="code"), Column("seed"), Column("status", kind="status"), Column("at step"),
               Column("why"))  # fmt: skip
    return Table("", columns, [(r.arm, r.seed, r.status, r.steps, r.reason) for r in runs])


def _plans(result: Comparison) -> list[Block]:
    used = [a.scheme for a in result.summaries]
    blocks: list[Block] = []
    labels = [label for label in dict.fromkeys(used) if label in result.plans]
    blocks += [
        replace(plan_table(result.plans[label]), title=f"{label}: {result.plans[label].model}")
        for label in labels[:MOST_PLANS]
    ]
    if len(result.plans) > MOST_PLANS:
        blocks.append(Text(f"The plans of the {MOST_PLANS} best starts are shown; {len(result.plans)} were used."))
    return blocks


def run_row(run: RunRecord) -> dict[str, Any]:
    """One run as a row of a data frame."""
    names = ("arm", "scheme", "seed", "lr", "weight_decay", "status", "steps", "loss", "accuracy", "reason", "key")
    return {name: getattr(run, name) for name in names}


def to_dict(result: Comparison) -> dict[str, Any]:
    """Everything for machines."""
    analysis = result.analysis
    return {
        "best": None if analysis.best is None else analysis.best.label,
        "conclusion": conclusion(result),
        "metric": analysis.metric,
        "target_loss": analysis.target_loss,
        "arms": [arm.__dict__ for arm in analysis.arms],
        "tests": [{**t.__dict__, "significant": t.significant} for t in analysis.tests],
        "warnings": list(result.warnings),
        "settings": dict(result.settings),
        "engine": result.engine,
        "missing": list(result.missing),
        "run_steps": result.run_steps,
        "seconds": result.seconds,
        "runs": [run.to_dict() for run in result.runs],
    }


shows(
    Comparison,
    View(
        table=results_table,
        brief=brief,
        page=page,
        data=to_dict,
        figure=loss_figure,
        rows=lambda result: [run_row(run) for run in result.runs],
    ),
)
