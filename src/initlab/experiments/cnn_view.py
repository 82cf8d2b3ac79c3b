"""What of `cnn-optuna` to show: the answer in words, the finalists, the pairs, and the trials as scatters."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from initlab.experiments.claims import t_interval
from initlab.experiments.cnn_trials import CONV, LINEAR, RATE, SCHEMES, SELECTORS, std_of
from initlab.reporting import BarFigure, Callout, Column, HeatmapFigure, ScatterFigure, Series, Table

WORDS = {CONV: "convolutions", LINEAR: "linear layers"}
Trials = Sequence[Mapping[str, Any]]


def show(found: Mapping[str, Any], head: str, best_by_pair: Callable[[Trials], Mapping[Any, Any]]) -> list[Any]:
    """The blocks of one search: `found` holds its trials, finalists and importances."""
    trials = found["trials"]
    best = best_by_pair(trials)
    names = tuple(SCHEMES)
    cells = [[best[(c, f)]["value"] if (c, f) in best else None for f in names] for c in names]
    return [
        _answer(found, head),
        _finalists(found, head),
        HeatmapFigure(f"Best accuracy by pair ({head})", "linear layers", "convolutions", names, names, cells),
        *(
            _by_rate(trials, head, place, what, key)
            for what, key in (("accuracy", "value"), ("epochs until it stopped", "epochs"))
            for place in SELECTORS
        ),
        _by_std(trials, head),
        BarFigure(
            f"Importance, fANOVA ({head})", "choice", "share of variance",
            (Series("importance", list(found["importances"]), list(found["importances"].values())),),
        ),
        _why(trials, head),
    ]  # fmt: skip


def _values(finalist: Mapping[str, Any]) -> list[float]:
    return [run["value"] for run in finalist["runs"]]


def _ranked(found: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    return sorted(found["finalists"].items(), key=lambda item: -float(np.mean(_values(item[1]))))


def _answer(found: Mapping[str, Any], head: str) -> Callout:
    """The best finalist, and which of the others the seeds cannot tell from it."""
    ranked = _ranked(found)
    name, best = ranked[0]
    lines = [f"{name} has the best mean test accuracy, {np.mean(_values(best)):.2%}, over {len(_values(best))} seeds."]
    for label, other in ranked[1:]:
        low, mean, high = t_interval([a - b for a, b in zip(_values(best), _values(other), strict=True)])
        said = "is not told from it" if low <= 0 <= high else "is behind it"
        lines.append(f"{label} {said}: {100 * mean:.2f} points [{100 * low:.2f}, {100 * high:.2f}].")
    trials = found["trials"]
    good = [t for t in trials if t["value"] >= 0.9 * max(u["value"] for u in trials)]
    poor = [t for t in trials if t["value"] < 0.9 * max(u["value"] for u in trials)]
    if good and poor:
        lines.append(
            f"Of {len(trials)} trials {len(good)} came within a tenth of the best. At their start a median of "
            f"{np.median([t['saturated'] for t in good]):.0%} of the sigmoid units were saturated, and the first "
            f"convolution's gradient was {np.median([t['gradient'] for t in good]):.2g}; in the others "
            f"{np.median([t['saturated'] for t in poor]):.0%} and {np.median([t['gradient'] for t in poor]):.2g}."
        )
    return Callout("info", f"Which pair is best ({head})", " ".join(lines))


def _finalists(found: Mapping[str, Any], head: str) -> Table:
    columns = (
        Column("convolutions + linear layers"),
        Column("learning rate", "right"),
        Column("stds", "right"),
        Column("test accuracy", "right"),
        Column("std over seeds", "right"),
        Column("epochs", "right"),
    )
    rows = [
        (
            label,
            f"{item['params'][RATE]:.2g}",
            ", ".join(f"{std:.2g}" for p in SELECTORS if (std := std_of(item["params"], p)) is not None) or "—",
            f"{np.mean(_values(item)):.4f}",
            f"{np.std(_values(item), ddof=1):.4f}",
            f"{np.mean([run['epochs'] for run in item['runs']]):.1f}",
        )
        for label, item in _ranked(found)
    ]
    note = f"{len(found['trials'])} trials were searched; finalists were trained from fresh seeds."
    return Table(f"Finalists ({head})", columns, rows, note)


def _by_rate(trials: Trials, head: str, place: str, what: str, key: str) -> ScatterFigure:
    series = tuple(
        Series(name, [t["params"][RATE] for t in group], [t[key] for t in group])
        for name in SCHEMES
        if (group := [t for t in trials if t["params"][place] == name])
    )
    title = f"{what.capitalize()} against learning rate, by the scheme of the {WORDS[place]} ({head})"
    return ScatterFigure(title, "learning rate", what, series, log_x=True)


def _by_std(trials: Trials, head: str) -> ScatterFigure:
    series = []
    for place, words in WORDS.items():
        points = [(std, t["value"]) for t in trials if (std := std_of(t["params"], place)) is not None]
        if points:
            series.append(Series(words, [p[0] for p in points], [p[1] for p in points]))
    title = f"Accuracy against the std of a normal start ({head})"
    return ScatterFigure(title, "std", "accuracy", tuple(series), log_x=True)


def _why(trials: Trials, head: str) -> ScatterFigure:
    series = tuple(
        Series(name, [max(t["gradient"], 1e-12) for t in group], [t["value"] for t in group])
        for name in SCHEMES
        if (group := [t for t in trials if t["params"][CONV] == name])
    )
    title = f"Accuracy against the first convolution's gradient before training ({head})"
    note = "By the scheme of the convolutions; 1e-12 stands for no gradient at all."
    return ScatterFigure(title, "rms of the gradient", "accuracy", series, log_x=True, note=note)
