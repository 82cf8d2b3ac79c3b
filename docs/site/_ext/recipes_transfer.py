"""The page of best rates by width, made from the lines that `python -m benchmarks transfer` kept."""

from __future__ import annotations

import math
from typing import Any

import shows

from initlab.reporting import LineFigure, Series
from initlab.reporting.figures import to_plotly

Line = dict[str, Any]


def page(lines: list[Line], words: dict[str, str]) -> str:
    """For each model and rule: the best rate at each width, the factor between them, and the losses as a figure.

    Args:
        lines: what was kept.
        words: the page's words.
    """
    parts = [f"# {words['transfer']}", words["transfer_lead"]]
    for model, rule in dict.fromkeys((line["model"], line["rule"]) for line in lines):
        own = sorted(
            (line for line in lines if (line["model"], line["rule"]) == (model, rule)), key=lambda line: line["width"]
        )
        parts += [f"## {words[f'transfer_{model}']}, {words[f'rule_{rule}']}", _said(own, words), _table(own, words)]
        parts.append(f"```{{raw}} html\n{_figure(own, words)}\n```")
    return "\n\n".join(parts) + "\n"


def _said(own: list[Line], words: dict[str, str]) -> str:
    best = [line["best"] for line in own]
    first = own[0]
    counts = f"{words['steps'].format(first['steps'])}, {words['batch']} {first['batch']}"
    return f"{counts}, AdamW. {words['apart']}: {max(best) / min(best):.2f}."


def _table(own: list[Line], words: dict[str, str]) -> str:
    head = (
        f"| {words['width']} | {words['best_rate']} | {words['least_loss']} | {words['seeds']} |\n|---:|---:|---:|---:|"
    )
    rows = [f"| {line['width']:,} | {line['best']:.4g} | {min(_finite(line)):.4f} | {line['seeds']} |" for line in own]
    return "\n".join((head, *rows))


def _finite(line: Line) -> list[float]:
    return [loss for loss in line["losses"] if math.isfinite(loss)]


def _figure(own: list[Line], words: dict[str, str]) -> str:
    series = [
        Series(
            f"{words['width']} {line['width']}",
            line["lrs"],
            [loss if math.isfinite(loss) else None for loss in line["losses"]],
        )
        for line in own
    ]
    figure = LineFigure("", words["base_rate"], words["training_loss"], series, log_x=True, markers=True)
    return shows.figure(to_plotly(figure), f"figure-transfer-{own[0]['model']}-{own[0]['rule']}")
