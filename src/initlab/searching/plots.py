"""Optuna's own plots of a search, as `optuna.visualization` draws them, for the report."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import optuna
from optuna.importance import FanovaImportanceEvaluator
from optuna.visualization import (
    plot_contour,
    plot_optimization_history,
    plot_parallel_coordinate,
    plot_param_importances,
    plot_slice,
)

from initlab.errors import InputError
from initlab.reporting import ReadyFigure
from initlab.reporting.palette import MUTED, series_colour
from initlab.searching.result import Search
from initlab.study.to_optuna import quiet_optuna

if TYPE_CHECKING:
    import plotly.graph_objects as go

MOST_PARAMETERS = 6  # in one figure, the most important first
TALL = 420
# Optuna's own scale begins at white and ends at black, which vanish on the ground of a light or of a dark page.
_SHOWN = [[0, series_colour(1)], [1, series_colour(0)]]


def optuna_figures(result: Search, names: Sequence[str]) -> list[ReadyFigure]:
    """The plots called `names`, those of them that the search has enough trials for.

    Args:
        result: the search.
        names: of "history", "importances", "slices", "contour" (of the two most important parameters), "parallel".
    """
    complete = sum(trial.state == "COMPLETE" for trial in result.trials)
    if result.study is None or complete < 2:
        return []
    found = []
    for name in names:
        title, note, draw = PLOTS[name]
        figure = _drawn(draw, result)
        if figure is not None:
            plain = json.loads(figure.to_json())
            if name in ("contour", "parallel"):
                plain["layout"]["height"] = TALL
            found.append(ReadyFigure(title, plain["data"], plain["layout"], note, name))
    return found


def _drawn(draw: Callable[[Search], go.Figure | None], result: Search) -> go.Figure | None:
    """None where Optuna has nothing to draw, such as the importance of parameters that never varied."""
    try:
        with quiet_optuna(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            figure = draw(result)
    except (ValueError, RuntimeError, ZeroDivisionError):
        return None
    return figure if figure is not None and figure.data else None


def _ranked(result: Search) -> list[str]:
    """Parameters of complete trials, the most important first."""
    every = dict.fromkeys(name for t in result.trials if t.state == "COMPLETE" for name in t.params)
    return [*(name for name in result.importances if name in every), *(n for n in every if n not in result.importances)]


def study_of(result: Search) -> optuna.Study:
    """The search's Optuna study."""
    if result.study is None:
        raise InputError("this search holds no Optuna study to draw")
    return result.study


def history(result: Search) -> go.Figure:
    """Score of each trial and the best so far."""
    return plot_optimization_history(study_of(result), target_name=f"validation {result.metric}")


def importances(result: Search) -> go.Figure | None:
    """What fANOVA says that mattered."""
    if not result.importances:
        return None
    evaluator = FanovaImportanceEvaluator(seed=0)
    return plot_param_importances(study_of(result), evaluator=evaluator, target_name=f"validation {result.metric}")


def slices(result: Search) -> go.Figure:
    """Score against each parameter."""
    chosen = _ranked(result)[:MOST_PARAMETERS]
    figure = plot_slice(study_of(result), params=chosen, target_name=f"validation {result.metric}")
    return figure.update_traces(marker_colorscale=_SHOWN)


def contour(result: Search) -> go.Figure | None:
    """Score over the two most important parameters."""
    chosen = _ranked(result)[:2]
    if len(chosen) < 2:
        return None
    return plot_contour(study_of(result), params=chosen, target_name=f"validation {result.metric}")


def parallel(result: Search) -> go.Figure:
    """Every trial as a line through its parameters."""
    # A line needs every parameter of its trial: those of one scheme alone would leave most trials out.
    shared = set.intersection(*(set(t.params) for t in result.trials if t.state == "COMPLETE"))
    chosen = [name for name in _ranked(result) if name in shared][:MOST_PARAMETERS]
    figure = plot_parallel_coordinate(study_of(result), params=chosen, target_name=f"validation {result.metric}")
    figure.for_each_trace(_recoloured, selector={"type": "scatter"})
    return figure.update_annotations(font_color=MUTED[0]).update_shapes(line_color=MUTED[0])


def _recoloured(trace: go.Scatter) -> None:
    """A line in the colour of its score, which is its height on the first axis; the scale itself."""
    # lazy: plotly is heavy, and only figures need it
    from plotly.colors import sample_colorscale

    if trace.mode == "markers":
        trace.update(marker_colorscale=_SHOWN, marker_reversescale=False)
    else:
        trace.update(line_color=sample_colorscale(_SHOWN, [trace.y[0]])[0], opacity=0.9)


PLOTS: dict[str, tuple[str, str, Callable[[Search], go.Figure | None]]] = {
    "history": ("Search history", "Complete trials; drawn by Optuna.", history),
    "importances": (
        "What mattered",
        "Share of the variance of the score over complete trials that each parameter explains (fANOVA).",
        importances,
    ),
    "slices": (
        "Slices",
        "Each complete trial against its parameters; orange is early, blue is late.",
        slices,
    ),
    "contour": ("The two that mattered most", "Score between the trials interpolated by Optuna.", contour),
    "parallel": (
        "Parallel coordinates",
        "A line is a complete trial; orange scores low, blue high.",
        parallel,
    ),
}
