"""`cnn-optuna`: schemes of convolutions and of linear layers searched together with the learning rate by TPE."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor, nn

from initlab.comparison import search
from initlab.comparison.search_result import TrialRecord
from initlab.data import Split
from initlab.experiments.claims import Claim, Judgement, every, greater, mean_below
from initlab.experiments.lab import Lab
from initlab.experiments.registry import Experiment
from initlab.experiments.training import finals, train
from initlab.reporting import BarFigure, Column, HeatmapFigure, ScatterFigure, Series, Table
from initlab.schemes import get_scheme

SOURCE = "a PyTorch and Optuna tutorial on weight initialization (CNN on MNIST; no results published)"
CONV, LINEAR = "@Conv2d", "@Linear"
SIZE = 28
SCHEMES: tuple[Any, ...] = (
    "zeros",
    ("constant", {"value": (0.5, 0.5)}),
    ("normal", {"std": (0.01, 4.0)}),
    "xavier_uniform",
    "xavier_normal",
    "he_uniform",
    "he_normal",
)
NAMES = ("zeros", "constant", "normal", "xavier_uniform", "xavier_normal", "he_uniform", "he_normal")
HEADS = ("logits", "softmax as printed")
RATES = (5e-4, 1e-2)
CLASSIC = ("he_normal", "xavier_normal")


def network(head: str) -> nn.Sequential:
    """The source's network of 121,994 parameters; as printed its output is a softmax, fed into cross-entropy."""
    layers: list[nn.Module] = [
        *(nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(64, 64, 3), nn.ReLU(), nn.Flatten()),
        *(nn.Linear(1024, 64), nn.Sigmoid(), nn.Linear(64, 10)),
    ]
    return nn.Sequential(*layers, *([nn.Softmax(dim=1)] if head == HEADS[1] else []))


def _measure(lab: Lab) -> dict[str, Any]:
    train_pair, valid, split = _parts(lab)
    trials, steps = (14, 60) if lab.small else (100, 1250)
    results: dict[str, Any] = {"small": lab.small}
    for head in HEADS:

        def compute(head: str = head) -> dict[str, Any]:
            return _search(lab, head, train_pair, valid, split.test, trials, steps)

        found = lab.part(f"search {head} {trials} {steps}", compute)
        finalists = _finalists(found["trials"], 2 if lab.small else 4)
        runs = {}
        for label, (policy, rate) in finalists.items():
            trained = train(
                lab,
                f"final {head} {label}",
                build=_builder(head),
                data=split,
                starts={label: policy},
                seeds=3 if lab.small else 8,
                optimizer="adamw",
                lr=rate,
                weight_decay=0.01,
                batch_size=32,
                steps=steps,
                every=max(1, steps // 10),
            )
            runs[label] = trained[label]
        results[head] = found | {"finalists": runs}
    return results


def _builder(head: str) -> Callable[[], nn.Module]:
    return lambda: network(head)


def _parts(lab: Lab) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor], Split]:
    """2,000 training and 2,000 validation images and the test set, pixels scaled by (0.5, 0.5)."""
    data = lab.data(flat=False)
    x, y = _scaled(data.train[0]), data.train[1]
    size = 300 if lab.small else 2000
    test = (_scaled(data.test[0]), data.test[1])
    pair, valid = (x[:size], y[:size]), (x[size : 2 * size], y[size : 2 * size])
    return pair, valid, Split(train=pair, test=test, name=data.name, image_shape=(SIZE, SIZE))


def _scaled(x: Tensor) -> Tensor:
    """To [−1, 1]; the digits' 8 × 8 pixels are enlarged to 28 × 28."""
    if x.shape[-1] != SIZE:
        x = nn.functional.interpolate(x, size=(SIZE, SIZE), mode="bilinear")
    return (x - 0.5) / 0.5


def _search(
    lab: Lab,
    head: str,
    pair: tuple[Tensor, Tensor],
    valid: tuple[Tensor, Tensor],
    test: tuple[Tensor, Tensor],
    trials: int,
    steps: int,
) -> dict[str, Any]:
    found = search(
        _builder(head),
        pair,
        valid,
        test,
        {CONV: SCHEMES, LINEAR: SCHEMES, "lr": RATES},
        trials,
        steps=steps,
        batch_size=32,
        optimizer="adamw",
        seed=lab.seed,
        progress=False,
    )
    records = [
        {"params": dict(t.params), "value": _reached(t), "state": t.state, "steps": t.steps, "why": t.reason}
        for t in found.trials
    ]
    return {
        "trials": records,
        "importances": dict(found.importances),
        "test": found.test_score,
        "seconds": found.seconds,
    }


def _reached(trial: TrialRecord) -> float | None:
    """Best validation accuracy, also of a trial that was pruned on its way; None where it was refused at once."""
    if math.isfinite(trial.value):
        return trial.value
    return max(trial.curve.values(), default=None)


def _pair(trial: Mapping[str, Any]) -> tuple[str, str]:
    return trial["params"][CONV], trial["params"][LINEAR]


def _scored(trials: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [t for t in trials if t["value"] is not None and math.isfinite(t["value"])]


def best_by_pair(trials: Sequence[Mapping[str, Any]]) -> dict[tuple[str, str], Mapping[str, Any]]:
    """The trial with the best validation accuracy of every pair of schemes that was tried, best pair first."""
    best: dict[tuple[str, str], Mapping[str, Any]] = {}
    for trial in sorted(_scored(trials), key=lambda t: -t["value"]):
        best.setdefault(_pair(trial), trial)
    return best


def _finalists(trials: Sequence[Mapping[str, Any]], count: int) -> dict[str, tuple[Any, float]]:
    """The best pairs of the search and the classic answer (He for convolutions, Xavier for linear layers).

    Each gets the learning rate of its best trial; the classic pair, where the search never tried it, the best trial's.
    """
    ranked = best_by_pair(trials)
    chosen = dict(list(ranked.items())[:count])
    chosen.setdefault(CLASSIC, ranked.get(CLASSIC) or {"params": {**next(iter(ranked.values()))["params"]}})
    found = {}
    for pair, trial in chosen.items():
        params = trial["params"]
        policy = {s: _policy(scheme, params, s) for s, scheme in zip((CONV, LINEAR), pair, strict=True)}
        found[" + ".join(pair)] = (policy, float(params["lr"]))
    return found


def _policy(scheme: str, params: Mapping[str, Any], selector: str) -> Any:
    if scheme == "normal":
        return get_scheme("normal", std=next(v for k, v in params.items() if k.startswith(selector) and "std" in k))
    return get_scheme("constant", value=0.5) if scheme == "constant" else scheme


def _ranking(results: Mapping[str, Any], head: str) -> list[tuple[str, list[float]]]:
    runs = results[head]["finalists"]
    return sorted(
        ((label, finals(r, "accuracy")) for label, r in runs.items()), key=lambda item: -float(np.mean(item[1]))
    )


def _classic_wins(results: Mapping[str, Any]) -> Judgement:
    """Against the best other finalist; under 0.2 points counts as no difference worth a claim."""
    (classic,) = [v for label, v in _ranking(results, HEADS[0]) if label == " + ".join(CLASSIC)]
    others = [(label, v) for label, v in _ranking(results, HEADS[0]) if label != " + ".join(CLASSIC)]
    return greater(classic, others[0][1], f"test accuracy, He + Xavier − {others[0][0]}")


def _untrained(results: Mapping[str, Any], scheme: str) -> Judgement:
    """Validation accuracy of every trial that gave `scheme` to the convolutions; a refused start counts as chance."""
    values = [
        t["value"] if t["value"] is not None and math.isfinite(t["value"]) else 0.1
        for head in HEADS
        for t in results[head]["trials"]
        if t["params"].get(CONV) == scheme
    ]
    if len(values) < 2:
        return Judgement("inconclusive", f"the search tried {scheme} {len(values)} times", "needs two trials")
    return mean_below(values, 0.5, f"validation accuracy with {scheme} convolutions")


def _logits_better(results: Mapping[str, Any]) -> Judgement:
    pairs = [
        (
            finals(results[HEADS[0]]["finalists"][label], "accuracy"),
            finals(results[HEADS[1]]["finalists"][label], "accuracy"),
        )
        for label in results[HEADS[0]]["finalists"]
        if label in results[HEADS[1]]["finalists"]
    ]
    return every([greater(a, b, "test accuracy, logits − softmax as printed") for a, b in pairs])


def _large_std(results: Mapping[str, Any]) -> Judgement:
    """Trials with a normal law of std over 1 on the convolutions, against all others that were trained."""
    large: list[float] = []
    small: list[float] = []
    for head in HEADS:
        for t in _scored(results[head]["trials"]):
            stds = [v for k, v in t["params"].items() if k.startswith(CONV) and "std" in k]
            (large if stds and stds[0] > 1 else small).append(t["value"])
    if len(large) < 2:
        return Judgement("inconclusive", f"the search trained {len(large)} such starts", "needs two trials")
    return mean_below(large, float(np.median(small)), "validation accuracy with convolution std over 1")


CLAIMS = (
    Claim("He for ReLU convolutions with Xavier for the sigmoid layers wins.", "the usual advice", _classic_wins),
    Claim("Convolutions that start at zero do not learn (under 50%).", SOURCE, lambda r: _untrained(r, "zeros")),
    Claim("Convolutions that start at 0.5 do not learn (under 50%).", SOURCE, lambda r: _untrained(r, "constant")),
    Claim("A normal start with std over 1 is worse than the median of the rest.", SOURCE, _large_std),
    Claim(
        "Logits do better than the softmax that the source feeds into cross-entropy.", "the misprint", _logits_better
    ),
)


def _show(results: Mapping[str, Any]) -> list[Any]:
    return [block for head in HEADS for block in _show_head(results[head], head)]


def _show_head(found: Mapping[str, Any], head: str) -> list[Any]:
    trials = found["trials"]
    best = best_by_pair(trials)
    cells = [[best[(c, f)]["value"] if (c, f) in best else None for f in NAMES] for c in NAMES]
    heat = HeatmapFigure(
        f"Best validation accuracy by pair ({head})", "linear layers", "convolutions", NAMES, NAMES, cells
    )
    by_rate = [
        ScatterFigure(
            f"{title} against learning rate ({head})",
            "learning rate",
            title.lower(),
            tuple(
                Series(name, [t["params"]["lr"] for t in group], [t[key] for t in group])
                for name in NAMES
                if (group := [t for t in _scored(trials) if t["params"][CONV] == name])
            ),
            log_x=True,
            note="Coloured by the scheme of the convolutions.",
        )
        for title, key in (("Validation accuracy", "value"), ("Steps trained", "steps"))
    ]
    stds = []
    for selector, name in ((CONV, "convolutions"), (LINEAR, "linear layers")):
        points = [
            (v, t["value"])
            for t in _scored(trials)
            for k, v in t["params"].items()
            if k.startswith(selector) and "std" in k
        ]
        stds.append(Series(name, [p[0] for p in points], [p[1] for p in points]))
    by_std = ScatterFigure(
        f"Validation accuracy against the std of a normal start ({head})", "std", "accuracy", tuple(stds), log_x=True
    )
    importance = BarFigure(
        f"Importance, fANOVA ({head})", "choice", "share of variance",
        (Series("importance", list(found["importances"]), list(found["importances"].values())),),
    )  # fmt: skip
    columns = (
        Column("convolutions + linear layers"),
        Column("test accuracy", "right"),
        Column("std over seeds", "right"),
    )
    rows = [
        (label, f"{np.mean(finals(runs, 'accuracy')):.4f}", f"{np.std(finals(runs, 'accuracy'), ddof=1):.4f}")
        for label, runs in found["finalists"].items()
    ]
    refused = sum(1 for t in trials if t["state"] != "COMPLETE")
    note = f"{len(trials)} trials, {refused} refused or pruned, {found['seconds']:.0f} s. Finalists train in full."
    return [Table(f"Finalists ({head})", columns, rows, note), heat, *by_rate, by_std, importance]


EXPERIMENT = Experiment(
    name="cnn-optuna",
    title="A CNN's starts searched with Optuna",
    source=SOURCE,
    asks="Which pair of schemes is best, and does He for ReLU convolutions with Xavier for the sigmoid layers win?",
    measure=_measure,
    claims=CLAIMS,
    show=_show,
    errata=(
        "The source feeds a softmax output into cross-entropy, which takes it again. Run as printed and with logits.",
        "The source published neither results nor reasons; both are produced here.",
    ),
    minutes=(0.82, None),
)
