"""What of an inspection to show: the page, the terminal text, the JSON record; in the primitives of `reporting`."""

from __future__ import annotations

import math
from dataclasses import asdict, replace
from typing import Any

from initlab.errors import InputError
from initlab.inspection.results import Finding, Inspection, LayerStats, LearningRate
from initlab.reporting import (
    Block,
    Callout,
    Code,
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
    block_html,
    clean,
    folded,
    format_number,
    on_one_axis,
    shows,
    table_text,
    wrapped,
)
from initlab.reporting.blocks import Level, Tone
from initlab.reporting.finding import callout
from initlab.reporting.status import SEVERITIES

MAX_TEXT_ROWS = 40
MAX_PANELS = 120
MAX_POINTS = 2_000
VERDICTS: dict[str, tuple[Level, str]] = {
    "healthy": ("good", "healthy: training is predicted to get going at once"),
    "slow": ("warning", "slow: training is predicted to start late or unsteadily"),
    "untrainable": ("error", "untrainable: training is predicted not to get anywhere"),
    "uncertain": ("warning", "uncertain: neither that it trains nor that it does not is likely enough"),
}
_FIELDS = ("index", "name", "kind", "activation", "parameters", "shape", "mean", "std", "second_moment", "saturated",
           "dead", "between", "row_share", "grad_rms", "weight_rms", "weight_grad_rms", "update_ratio", "duplicated",
           "nonfinite")  # fmt: skip


def layer_record(layer: LayerStats) -> dict[str, Any]:
    """One row of the frame."""
    return {name: getattr(layer, name) for name in _FIELDS}


def page(inspection: Inspection) -> Page:
    """The report: findings first, then histograms layer by layer, profiles against depth, and the table."""
    level, words = VERDICTS[inspection.verdict]
    findings: list[Block] = [Callout(level, words, _lead(inspection)), *map(callout, inspection.findings)]
    sections = [Section("Findings", [*findings, *_code(inspection)])]
    if inspection.learning_rate is not None:
        sections.append(Section("Learning rates", [line_figure(inspection), Text(_rates(inspection.learning_rate))]))
    if inspection.notes:
        sections.append(Section("Notes", [Text("\n\n".join(inspection.notes))]))
    if inspection.layers:
        signal, gradient, shares = profile_figure(inspection), gradient_figure(inspection), share_figure(inspection)
        sections += [
            Section("What each layer puts out", histograms(inspection)),
            Section("Signal and gradient against depth", [signal, gradient, shares]),
            Section("Layers", [layer_table(inspection)]),
        ]
    facts = [("model", inspection.model), ("optimizer", f"{inspection.optimizer}, {_rate(inspection)}")]
    facts += [("probability", _probability(inspection))]
    facts += [("loss", f"{_number(inspection.loss)} ({inspection.loss_name})"), ("layers", str(len(inspection.layers)))]
    facts += [("batch", str(inspection.batch_size)), ("cost", _cost(inspection))]
    return Page(f"Inspection of {clean(inspection.model)}", _lead(inspection), sections, facts)


def _code(inspection: Inspection) -> list[Code]:
    """The fix, found by trying it, or for a healthy start the line that holds it so in a test."""
    held = "import initlab\n\ninitlab.inspect(model, inputs, targets).assert_healthy()"
    if not any(finding.severity != "info" for finding in inspection.findings):
        return [Code("Copy this into a test, so that it stays so", held)]
    try:
        fix = inspection.fix()
    except InputError:  # a stored report, whose model is not at hand
        return []
    after = f": the start is then {fix.after}" if fix.after else ""
    return [Code(f"Copy the fix{after}", fix.code)] if fix.code else []


def profile_figure(inspection: Inspection) -> LineFigure:
    """Root mean square of what each layer puts out, and of the gradient there, against depth."""
    layers = _spread(inspection.layers)
    return LineFigure(
        "Signal by layer", "layer", "root mean square",
        [_line("signal", layers, [x.second_moment**0.5 for x in layers]),
         *_theory(layers),
         _line("gradient of the loss", layers, [x.grad_rms for x in layers])],
        log_y=True, markers=len(layers) <= 60, name="signals",
        note="Level lines are what an initialization aims for; a straight slope is a factor a layer. The band about "
        "theory holds 19 of 20 draws.",
    )  # fmt: skip


def line_figure(inspection: Inspection) -> LineFigure:
    """The loss after one step of each learning rate, and after the real steps of a probe."""
    found = inspection.learning_rate
    tried = found.tried if found is not None else ()
    rates, losses = [lr for lr, _ in tried], [loss if math.isfinite(loss) else None for _, loss in tried]
    series = [
        Series("after one step", rates, losses),
        Series("now", rates, [inspection.loss] * len(rates), dash="dash"),
    ]
    if found is not None and found.probed:
        ends = {lr: curve[-1] for lr, curve in sorted(found.probed.items())}
        after = [end if math.isfinite(end) else None for end in ends.values()]
        series.append(Series(f"after {len(next(iter(found.probed.values())))} steps", list(ends), after))
    note = "Rates whose step lowers the loss are stable; beyond, the loss shoots up."
    return LineFigure(
        "Loss along the first step", "learning rate", "loss", series, True, True, note, markers=True, name="rates"
    )


def gradient_figure(inspection: Inspection) -> LineFigure:
    """Gradient of each weight, and what the first step does to it."""
    layers = _spread(tuple(x for x in inspection.layers if x.weight_rms is not None))
    return LineFigure(
        "Weights by layer", "layer", "root mean square, or ratio",
        [_line("weight", layers, [x.weight_rms for x in layers]),
         _line("gradient of the weight", layers, [x.weight_grad_rms for x in layers]),
         _line("first step over weight", layers, [x.update_ratio for x in layers])],
        log_y=True, markers=len(layers) <= 60, name="weights",
    )  # fmt: skip


def share_figure(inspection: Inspection) -> LineFigure:
    """Share of the second moment that differs between samples."""
    layers = _spread(inspection.layers)
    return LineFigure(
        "How far apart inputs stay", "layer", "share between samples",
        [_line("between samples", layers, [x.between for x in layers])],
        log_y=True, markers=len(layers) <= 60, name="spread", note="Share of the second moment that differs "
        "between samples. 1: inputs stay apart. Towards 0: they become one.",
    )  # fmt: skip


def histograms(inspection: Inspection) -> list[HistogramGrid]:
    """One small histogram a layer, all on one axis and then each on its own.

    At most `MAX_PANELS`, those that findings name among them.
    """
    named = {f.where: f.severity for f in inspection.findings}
    layers = _spread(inspection.layers, MAX_PANELS, {x.index for x in inspection.layers if x.name in named})
    note = "" if len(layers) == len(inspection.layers) else f"{len(layers)} of {len(inspection.layers)} shown."
    grid = HistogramGrid("All on one axis", [_panel(x, named.get(x.name)) for x in layers], note=note)
    shapes = replace(grid, title="Each on its own axis", name="shapes", note=f"{note} Shapes alone compare.".strip())
    return [replace(one, name="histograms") for one in on_one_axis([grid])] + [shapes]


def layer_table(inspection: Inspection) -> Table:
    """One row a layer."""
    columns = (
        Column("layer", kind="code", keep=9), Column("function", kind="code", keep=3),
        Column("mean", "right", "number", 4), Column("std", "right", "number", 8),
        Column("between", "right", "number", 7), Column("saturated", "right", "number", 5),
        Column("dead", "right", "number", 5), Column("gradient", "right", "number", 8),
        Column("weight", "right", "number", 2), Column("weight gradient", "right", "number", 2),
        Column("step/weight", "right", "number", 6), Column("duplicated", "right", "number", 1),
    )  # fmt: skip
    return Table("Layers", columns, [_row(x) for x in inspection.layers])


def text(inspection: Inspection, width: int = 80) -> str:
    """For a terminal: verdict, findings, notes, then the table with its middle left out."""
    lines = [*wrapped(f"{clean(inspection.model)}: {inspection.verdict}. {_lead(inspection)}", width), ""]
    if inspection.learning_rate is not None:
        lines += [*wrapped(_rates(inspection.learning_rate), width), ""]
    for finding in inspection.findings:
        lines += [*wrapped(f"{SEVERITIES[finding.severity]} {_sentence(finding)}", width, after="  "), ""]
    lines += [line for note in inspection.notes for line in wrapped(f"note: {clean(note)}", width, after="  ")]
    lines += wrapped(f"cost: {_cost(inspection)}", width, after="  ")
    if not inspection.layers:
        return "\n".join(lines).rstrip()
    table = folded(layer_table(inspection))
    rows = list(table.rows)
    if left_out := max(0, len(rows) - MAX_TEXT_ROWS):
        middle = (f"… {left_out} layers", *[""] * (len(table.columns) - 1))
        rows = [*rows[: MAX_TEXT_ROWS // 2], middle, *rows[-MAX_TEXT_ROWS // 2 :]]
    return "\n".join(lines) + "\n" + table_text(Table("", table.columns, rows, table.note), width)


def html(inspection: Inspection) -> str:
    """For a notebook: callouts and the table, escaped."""
    level, words = VERDICTS[inspection.verdict]
    blocks: list[Block] = [Callout(level, words, _lead(inspection)), *map(callout, inspection.findings)]
    if inspection.layers:
        blocks.append(layer_table(inspection))
    return "".join(block_html(block) for block in blocks)


def _lead(inspection: Inspection) -> str:
    loss = "not finite" if inspection.loss is None else format_number(inspection.loss)
    lead = f"First loss {loss}; {inspection.optimizer} at {_rate(inspection)}. Probability {_probability(inspection)}."
    return f"{lead} {_sentence_case('; '.join(inspection.because))}." if inspection.because else lead


def _cost(inspection: Inspection) -> str:
    taken = inspection.passes.items()
    return ", ".join(f"{count} {kind} {'pass' if count == 1 else 'passes'}" for kind, count in taken)


def _rate(inspection: Inspection) -> str:
    return f"lr {inspection.lr:g}" if inspection.lr_given else f"the best lr, about {inspection.lr:g}"


def _probability(inspection: Inspection) -> str:
    return ", ".join(f"{name} {share:.2f}" for name, share in inspection.probability.items())


def _rates(found: LearningRate) -> str:
    """Largest stable rate and best guess, in words."""
    if found.largest_stable is None or found.best is None:
        return "No tried learning rate lowers the loss along the first step."
    words = f"Learning rates: best guess {found.best:g}, largest stable {found.largest_stable:g}"
    if found.smallest_useful is not None:
        words += f", smallest useful {found.smallest_useful:g}"
    return words + (". Warm the rate up: after the first steps ten times that is stable." if found.warm_up else ".")


def _sentence_case(text: str) -> str:
    return text[:1].upper() + text[1:]


def _sentence(finding: Finding) -> str:
    return clean(f"{finding.kind} at {clean(finding.where)}: {finding.evidence}. {finding.advice}.", 1200)


def _theory(layers: tuple[LayerStats, ...]) -> list[Series]:
    """What theory expects of the signal, with two standard deviations of one draw as a band."""
    bands = [x.predicted or (None, None, None) for x in layers]
    if all(middle is None for _, middle, _ in bands):
        return []
    low, middle, high = (list(column) for column in zip(*bands, strict=True))
    name = "signal by theory"
    return [Series(name, [x.index for x in layers], middle, low, high, dash="dash")]


def _line(name: str, layers: tuple[LayerStats, ...], values: list[float | None]) -> Series:
    labels = [clean(x.name) for x in layers]
    return Series(name, [x.index for x in layers], values, labels=labels)


def _panel(layer: LayerStats, severity: str | None) -> Panel:
    tone: Tone = "error" if severity == "error" else "warning" if severity == "warning" else "neutral"
    note = f"{layer.kind}, std {_number(layer.std)}"
    return Panel(clean(layer.name), layer.edges, layer.counts, note, tone)


def _row(layer: LayerStats) -> tuple[Any, ...]:
    numbers = (layer.mean, layer.std, layer.between, layer.saturated, layer.dead, layer.grad_rms, layer.weight_rms,
               layer.weight_grad_rms, layer.update_ratio, layer.duplicated)  # fmt: skip
    return (layer.name, layer.kind, *map(_short, numbers))


def _short(value: float | None) -> str:
    return "" if value is None else format_number(float(value), 3)


def _number(value: float | None) -> str:
    return "–" if value is None else format_number(value)


def _spread(
    layers: tuple[LayerStats, ...], limit: int = MAX_POINTS, always: set[int] | None = None
) -> tuple[LayerStats, ...]:
    """At most about `limit` layers, evenly spaced, with those in `always` among them."""
    if len(layers) <= limit:
        return layers
    even = {round(i * (len(layers) - 1) / (limit - 1)) for i in range(limit)}
    wanted = sorted(always or ())[: limit // 4]
    chosen = sorted(even | set(wanted))
    return tuple(layers[i] for i in chosen if i < len(layers))


shows(
    Inspection,
    View(
        table=layer_table,
        text=text,
        html=html,
        page=page,
        data=asdict,
        figure=profile_figure,
        rows=lambda inspection: [layer_record(layer) for layer in inspection.layers],
    ),
)
