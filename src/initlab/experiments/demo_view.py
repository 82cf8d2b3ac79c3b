"""What of the demo to show: the table, the loss curves, every layer's activations, every finding."""

from __future__ import annotations

from collections import Counter
from typing import Any

from initlab.experiments import demo as told
from initlab.experiments.demo import Demo, Trial
from initlab.planning.pasted import copied
from initlab.reporting import (
    Callout,
    Column,
    HistogramGrid,
    LineFigure,
    Page,
    Panel,
    Section,
    Series,
    Table,
    Text,
    View,
    format_number,
    on_one_axis,
    shows,
    table_text,
    wrapped,
)
from initlab.reporting.blocks import Level
from initlab.reporting.finding import callout

HISTOGRAMS = (
    "The output of each activation on one batch of digits, before any training. Healthy layers spread; saturated ones "
    "pile up at the ends; collapsed ones stand as one spike, where every digit looks alike."
)


def text(demo: Demo, width: int = 80) -> str:
    """The table and the sentence under it, for a terminal."""
    return "\n".join([table_text(results(demo), width), "", *wrapped(agreement(demo), width)])


def results(demo: Demo) -> Table:
    """One row a start: what was found, and under each optimizer the prediction and the accuracy that came of it."""
    columns = [Column("start", keep=9), Column("found at step 0", keep=5)]
    for optimizer in told.OPTIMIZERS:
        columns += [Column(f"{optimizer}: verdict", kind="status", keep=8), Column("acc.", "right", "number", 7)]
    rows = []
    for start in told.STARTS:
        trials = demo.of(start)
        cells = [cell for trial in trials for cell in (trial.inspection.verdict, f"{trial.accuracy:.0%}")]
        rows.append((start.name, found(trials[0]), *cells))
    return Table(f"Eight starts of a {told.LAYERS}-layer network on digits", columns, rows)


def found(trial: Trial) -> str:
    """The kinds of finding, most severe first."""
    return ", ".join(dict.fromkeys(finding.kind for finding in trial.inspection.findings)) or "–"


def agreement(demo: Demo) -> str:
    """How often the prediction held, in a sentence."""
    came = Counter(trial.prediction for trial in demo.trials)
    return (
        f"Of {len(demo.trials)} verdicts {came['right']} were right, {came['wrong']} wrong and {came['uncertain']} "
        f"uncertain (learned = more than {told.LEARNED:.0%} of held-out digits right after {told.STEPS} steps; "
        "chance is 10%)."
    )


def record(demo: Demo) -> dict[str, Any]:
    """The demo in what JSON holds."""
    trials = [
        {
            "start": t.start.name,
            "activation": t.start.activation,
            "scheme": t.start.policy().label,
            "optimizer": t.optimizer,
            "lr": told.OPTIMIZERS[t.optimizer],
            "verdict": t.inspection.verdict,
            "findings": t.inspection.findings,
            "accuracy": t.accuracy,
            "learned": t.learned,
            "prediction": t.prediction,
            "steps": t.steps,
            "losses": t.losses,
        }
        for t in demo.trials
    ]
    return {"seed": demo.seed, "seconds": round(demo.seconds, 2), "trials": trials}


def page(demo: Demo) -> Page:
    """The report: the table, the loss curves, and every layer's activations."""
    facts = (
        ("data", "digits, 1,442 to train on, 355 held out"),
        ("network", f"{told.LAYERS} layers of {told.WIDTH} units"),
        ("training", f"{told.STEPS} steps of {told.BATCH}"),
        ("optimizers", ", ".join(f"{name}, lr {lr:g}" for name, lr in told.OPTIMIZERS.items())),
        ("seed", str(demo.seed)),
    )
    lead = "One network, eight ways to begin. The verdicts were made before the first step, and then each was trained."
    sections = [
        Section(
            "What was predicted, and what training did",
            [*_remarks(demo), results(demo), *copied("auto", "Copy the start that suits a model of yours")],
        ),
        Section("Training", [_curves(demo, optimizer) for optimizer in told.OPTIMIZERS]),
        Section("Activations at step zero", histograms(demo), HISTOGRAMS),
    ]
    return Page("How a network begins decides whether it learns", lead, [*sections, *_findings(demo)], facts)


def _remarks(demo: Demo) -> list[Callout]:
    open_ones = [trial for trial in demo.trials if trial.prediction != "right"]
    remarks = [Callout("good" if not open_ones else "info", agreement(demo))]
    for trial in open_ones:
        words = f"{trial.inspection.verdict} was predicted, and training reached {trial.accuracy:.0%}"
        level: Level = "warning" if trial.prediction == "wrong" else "info"
        remarks.append(Callout(level, f"{trial.start.name}, {trial.optimizer}", words))
    return remarks


def _curves(demo: Demo, optimizer: str) -> LineFigure:
    series = [Series(t.start.name, t.steps, t.losses) for t in demo.trials if t.optimizer == optimizer]
    return LineFigure(f"Training loss, {optimizer}", "step", "cross-entropy", series, log_y=True)


def histograms(demo: Demo) -> list[HistogramGrid]:
    """Every start's activations, layer by layer, on one axis."""
    return on_one_axis([_grid(demo.of(start)[0]) for start in told.STARTS])


def _grid(trial: Trial) -> HistogramGrid:
    layers = [layer for layer in trial.inspection.layers if layer.activation]
    panels = [
        Panel(f"layer {number}", layer.edges, layer.counts, note=f"std {format_number(layer.std, 2)}")
        for number, layer in enumerate(layers, start=1)
    ]
    return HistogramGrid(trial.start.name, panels, columns=told.LAYERS)


def _findings(demo: Demo) -> list[Section]:
    blocks: list[Any] = []
    for trial in demo.trials:
        of = f"{trial.start.name}, {trial.optimizer}"
        blocks += [callout(finding, of) for finding in trial.inspection.findings]
    return [Section("Every finding", blocks or [Text("Nothing was found.")])]


shows(Demo, View(table=results, text=text, page=page, data=record))
