"""The page of recipes against each other, made from the lines that `python -m benchmarks recipes` kept."""

from __future__ import annotations

import json
import math
import statistics
from pathlib import Path
from typing import Any

from scipy.stats import t as student

Line = dict[str, Any]
LEVEL = 0.95


def kept(path: Path) -> list[Line]:
    """The lines of a file; none where it is not there."""
    return [json.loads(text) for text in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


def page(lines: list[Line], titles: dict[str, str], words: dict[str, str]) -> str:
    """A table for each architecture: the mean test loss of each start with its interval, the least first.

    Args:
        lines: what was kept.
        titles: architecture -> what it is.
        words: the page's words.
    """
    parts = [f"# {words['compared']}", words["compared_lead"]]
    for name, title in titles.items():
        own = [line for line in lines if line["architecture"] == name]
        runs = [line for line in own if line["status"] != "left out"]
        if runs:
            steps, seeds = runs[0]["steps"], len({line["seed"] for line in runs})
            counts = f"{words['steps'].format(steps)}, {words['of_seeds'].format(seeds)}"
            said = f"{counts}, AdamW, {words['rate']} {runs[0]['lr']:g}."
            parts += [f"## {title}", said, _table(runs, words), _left(own, words)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _table(runs: list[Line], words: dict[str, str]) -> str:
    starts: dict[str, list[float]] = {}
    for line in runs:
        loss = math.inf if line["loss"] is None else line["loss"]
        starts.setdefault(line["start"], []).append(loss)
    rows = sorted((statistics.fmean(losses), name, losses) for name, losses in starts.items())
    head = f"| {words['recipe']} | {words['loss']} | {words['interval']} |\n|---|---:|---:|"
    return "\n".join(
        (head, *(f"| {_shown(name, words)} | {_number(mean)} | {_interval(ls)} |" for mean, name, ls in rows))
    )


def _shown(name: str, words: dict[str, str]) -> str:
    return words["own"] if name == "own start" else f"`{name}`"


def _number(value: float) -> str:
    return f"{value:.4f}" if math.isfinite(value) else "–"


def _interval(losses: list[float]) -> str:
    """Student's interval of the mean; none for one run, or where a run diverged."""
    if len(losses) < 2 or not all(map(math.isfinite, losses)):
        return "–"
    half = student.ppf((1 + LEVEL) / 2, len(losses) - 1) * statistics.stdev(losses) / math.sqrt(len(losses))
    return f"± {half:.4f}"


def _left(own: list[Line], words: dict[str, str]) -> str:
    alike = [f"`{line['start']}` ({line['why'].removeprefix('the laws of ')})" for line in own if _alike(line)]
    lacking = [f"`{line['start']}`" for line in own if line["status"] == "left out" and not _alike(line)]
    said = [f"{words['alike']} {', '.join(alike)}."] if alike else []
    return " ".join([*said, *([f"{words['lacking']} {', '.join(lacking)}."] if lacking else [])])


def _alike(line: Line) -> bool:
    return line["status"] == "left out" and line["why"].startswith("the laws of ")
