"""What of a `Search` to show: the best trials, the history, what mattered, each parameter's slice, the curves."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from initlab.comparison.words import score_text
from initlab.planning.pasted import copied
from initlab.reporting import (
    Block,
    Brief,
    Callout,
    Column,
    LineFigure,
    Page,
    ScatterFigure,
    Section,
    Series,
    Table,
    Text,
    View,
    counted,
    shows,
)
from initlab.searching.plots import history, optuna_figures
from initlab.searching.result import Search, TrialRecord

SHOWN = 10
MOST_CURVES = 60
ENOUGH = (10, 4)  # complete trials in all, and for each parameter that varied, below which points are shown alone


def _ranked(result: Search) -> list[TrialRecord]:
    complete = [t for t in result.trials if t.state == "COMPLETE"]
    return sorted(complete, key=lambda t: -t.score(result.metric == "accuracy"))


def params_text(trial: TrialRecord) -> str:
    """The choices on one line."""
    return ", ".join(f"{k} {v:.3g}" if isinstance(v, float) else f"{k} {v}" for k, v in trial.params.items())


def trials_table(result: Search) -> Table:
    """The best complete trials."""
    columns = (
        Column("trial", align="right", kind="number", keep=6),
        Column(f"validation {result.metric}", align="right", kind="number", keep=9),
        Column("at step", align="right", kind="number", keep=3),
        Column("choices", kind="text", keep=10),
    )
    rows = [
        (t.number, score_text(t.value, result.metric), t.best_step, params_text(t)) for t in _ranked(result)[:SHOWN]
    ]
    complete = sum(t.state == "COMPLETE" for t in result.trials)
    title = f"{len(result.trials)} trials: {complete} run to the end, {len(result.trials) - complete} pruned or refused"
    return Table(title, columns, rows)


def conclusion(result: Search) -> str:
    """The best trial in a sentence."""
    if result.best is None:
        return "No trial was run to the end."
    score = score_text(result.best.value, result.metric)
    test = "" if math.isnan(result.test_score) else f", test {score_text(result.test_score, result.metric)}"
    return f"Best: {params_text(result.best)} (trial {result.best.number}): validation {score}{test}."


def brief(result: Search) -> Brief:
    """The result at a glance, for a terminal and a notebook."""
    thin = evidence(result)
    shares = ", ".join(f"{name} {share:.2f}" for name, share in result.importances.items())
    return Brief(
        conclusion(result),
        trials_table(result),
        remarks=[remark for remark in (thin, "" if thin or not shares else f"importance (fANOVA): {shares}") if remark],
        warnings=result.notes,
        made=f"trained {result.engine}" if result.engine else "",
    )


def curves_figure(result: Search) -> LineFigure:
    """Validation score against the check, of the best complete trials and some pruned ones."""
    pruned = [t for t in result.trials if t.state == "PRUNED" and t.curve]
    chosen = [*_ranked(result)[: MOST_CURVES // 2], *pruned[: MOST_CURVES // 2]]
    series = [
        Series(
            f"trial {t.number}", list(t.curve), list(t.curve.values()), dash="solid" if t.state == "COMPLETE" else "dot"
        )
        for t in chosen
    ]
    note = "Dotted: pruned."
    return LineFigure("Validation curves", "check", f"validation {result.metric}", series, note=note, name="curves")


def mattering(result: Search) -> list[Block]:
    """How the choices bear on the score: Optuna's figures where the trials suffice, else the trials themselves."""
    complete, thin = _ranked(result), evidence(result)
    if not complete:
        return []
    if not thin:
        rests = Text(f"What follows rests on {counted(len(complete), 'complete trial')} over {_varied(complete)}.")
        return [rests, *optuna_figures(result, ("importances", "slices", "contour", "parallel"))]
    return [Callout("warning", thin), *optuna_figures(result, ("slices",)), *_points(result, complete)]


def evidence(result: Search) -> str:
    """How thin the evidence for a parameter's effect is; "" where it is not."""
    complete = _ranked(result)
    wanted = max(ENOUGH[0], ENOUGH[1] * len(_varying(complete)))
    if len(complete) >= wanted:
        return ""
    return (
        f"Thin evidence: {counted(len(complete), 'complete trial')} over {_varied(complete)}. The points are shown as "
        f"they are; no surface and no importances are drawn from fewer than {wanted} trials."
    )


def _varying(trials: list[TrialRecord]) -> list[str]:
    return [name for name in dict.fromkeys(n for t in trials for n in t.params) if _values(trials, name) > 1]


def _varied(trials: list[TrialRecord]) -> str:
    return f"{counted(len(_varying(trials)), 'parameter')} that varied"


def _values(trials: list[TrialRecord], name: str) -> int:
    return len({str(trial.params.get(name)) for trial in trials})


def _points(result: Search, complete: list[TrialRecord]) -> list[ScatterFigure]:
    """Every complete trial over the first two numbers that were searched, its score beside it."""
    numbers = [n for n in sorted(complete[0].params) if all(isinstance(t.params.get(n), float) for t in complete)]
    varied = [name for name in numbers if _values(complete, name) > 1][:2]
    if len(varied) < 2:
        return []
    x, y = varied
    labels = [f"trial {t.number}: {score_text(t.value, result.metric)}" for t in complete]
    log = [all(float(t.params[name]) > 0 for t in complete) for name in varied]
    series = Series("complete trials", [t.params[x] for t in complete], [t.params[y] for t in complete], labels=labels)
    return [
        ScatterFigure(
            f"{x} and {y}", x, y, [series], log_x=log[0], log_y=log[1], note="A point is a trial.", name="points"
        )
    ]


def page(result: Search) -> Page:
    """The whole report."""
    first: list[Block] = [trials_table(result), *(Callout("info", line) for line in result.notes)]
    if result.best is not None:
        first += copied(result.policy, "Copy the best start")
    if thin := evidence(result):
        first.insert(1, Callout("warning", thin))
    figures: list[Block] = [*optuna_figures(result, ("history",)), curves_figure(result)]
    mattered = mattering(result)
    ended = [t for t in result.trials if t.reason]
    sections = [Section("Best trials", first), Section("How it went", figures)]
    if mattered:
        sections.append(Section("What mattered", mattered))
    if ended:
        sections.append(Section("Trials that ended early", [_ended_table(ended)]))
    sections.append(Section("What was searched", [_space_table(result.space)]))
    facts = [(str(k), str(v)) for k, v in result.settings.items()]
    if result.engine:
        facts.append(("trained", result.engine))
    return Page("Search", conclusion(result), sections, facts)


def _space_table(space: Mapping[str, Any]) -> Table:
    """The space as the command line takes it."""
    columns = (Column("parameter", kind="code"), Column("choices", kind="code"))
    return Table("", columns, [(name, space_text(value)) for name, value in space.items() if value is not None])


def space_text(value: Any) -> str:
    """Choices and ranges as the command line takes them.

    >>> space_text({"he_normal": {}, "normal": {"std": [0.01, 1.0]}}), space_text([0.0001, 0.1]), space_text([0.1, 0.1])
    ('he_normal, normal(std=(0.01,1))', '0.0001:0.1', '0.1')
    """
    if isinstance(value, Mapping):
        return ", ".join(name + _arguments(ranges) for name, ranges in value.items())
    return ":".join(dict.fromkeys(f"{end:g}" for end in value))


def _arguments(ranges: Mapping[str, Any]) -> str:
    inner = ", ".join(f"{name}=({low:g},{high:g})" for name, (low, high) in ranges.items())
    return f"({inner})" if inner else ""


def _ended_table(trials: list[TrialRecord]) -> Table:
    columns = (Column("trial", align="right", kind="number"), Column("steps", align="right", kind="number"),
               Column("why"), Column("choices"))  # fmt: skip
    return Table("", columns, [(t.number, t.steps, t.reason, params_text(t)) for t in trials])


def trial_row(trial: TrialRecord) -> dict[str, Any]:
    """One trial as a row of a data frame."""
    names = ("number", "state", "value", "steps", "best_step", "reason")
    return {**{name: getattr(trial, name) for name in names}, **trial.params}


def to_dict(result: Search) -> dict[str, Any]:
    """Everything for machines."""
    return {
        "conclusion": conclusion(result),
        "metric": result.metric,
        "best": None if result.best is None else _shown(result.best),
        "lr": result.lr,
        "weight_decay": result.weight_decay,
        "test_loss": result.test_loss,
        "test_accuracy": result.test_accuracy,
        "importances": dict(result.importances),
        "space": dict(result.space),
        "settings": dict(result.settings),
        "engine": result.engine,
        "notes": list(result.notes),
        "run_steps": result.run_steps,
        "seconds": result.seconds,
        "trials": [_shown(trial) for trial in result.trials],
    }


def _shown(trial: TrialRecord) -> dict[str, Any]:
    """What of a trial is for readers, not for Optuna."""
    return {name: value for name, value in trial.to_dict().items() if name not in ("distributions", "sampler")}


shows(
    Search,
    View(
        table=trials_table,
        brief=brief,
        page=page,
        data=to_dict,
        figure=history,
        rows=lambda result: [trial_row(trial) for trial in result.trials],
    ),
)
