"""`cnn-optuna`: schemes of convolutions and of linear layers searched together with the learning rate by TPE."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor, nn

from initlab.experiments.claims import LEVEL, Claim, Judgement, every, exactly, greater, mean_below, trend, within
from initlab.experiments.cnn_trials import (
    AT_ONCE,
    CONSTANTS,
    CONV,
    DECAY,
    LINEAR,
    RATE,
    Images,
    importances,
    policy,
    search,
    std_of,
    train_to_plateau,
)
from initlab.experiments.cnn_view import show
from initlab.experiments.lab import Lab
from initlab.experiments.registry import Experiment
from initlab.sampling import derive_seed
from initlab.training.task import RunSpec

SOURCE = "a PyTorch and Optuna tutorial on weight initialization (CNN on MNIST; no results published)"
HEADS = ("logits", "softmax as printed")
CLASSIC = ("he_normal", "xavier_normal")
PARAMETERS = 121_994
SIZE = 28


def network(head: str) -> nn.Sequential:
    """The source's network; as printed its output is a softmax, which is fed into cross-entropy."""
    layers: list[nn.Module] = [
        *(nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(64, 64, 3), nn.ReLU(), nn.Flatten()),
        *(nn.Linear(1024, 64), nn.Sigmoid(), nn.Linear(64, 10)),
    ]
    return nn.Sequential(*layers, *([nn.Softmax(dim=1)] if head == HEADS[1] else []))


def _builder(head: str) -> Callable[[], nn.Module]:
    return lambda: network(head)


def _measure(lab: Lab) -> dict[str, Any]:
    images = _images(lab)
    trials, epochs, count, seeds = (12, 5, 2, 3) if lab.small else (100, 30, 3, 8)
    results: dict[str, Any] = {"small": lab.small, "parameters": sum(p.numel() for p in network(HEADS[0]).parameters())}
    for head in HEADS:
        found = search(lab, f"cnn {head}", _builder(head), images, trials, epochs)
        runs = {
            label: _final(lab, head, images, params, seeds, epochs) for label, params in finalists(found, count).items()
        }
        shares = importances(found, derive_seed(lab.seed, "fanova"))
        results[head] = {"trials": found, "finalists": runs, "importances": shares}
    return results


def _images(lab: Lab) -> Images:
    """2,000 images to train on, 2,000 to stop by, 5,000 to choose by and the test set; pixels scaled by (0.5, 0.5)."""
    data = lab.data(flat=False)
    x, y = data.train
    ends = np.cumsum((0, 192, 100, 200) if lab.small else (0, 2000, 2000, 5000)).tolist()
    training, each_epoch, each_trial = ((_scaled(x[a:b]), y[a:b]) for a, b in itertools.pairwise(ends))
    return Images(training, each_epoch, each_trial, test=(_scaled(data.test[0]), data.test[1]))


def _scaled(x: Tensor) -> Tensor:
    """To [−1, 1]; the digits' 8 × 8 pixels are enlarged to 28 × 28."""
    if x.shape[-1] != SIZE:
        x = nn.functional.interpolate(x, size=(SIZE, SIZE), mode="bilinear")
    return (x - 0.5) / 0.5


def _pair(trial: Mapping[str, Any]) -> tuple[str, str]:
    return trial["params"][CONV], trial["params"][LINEAR]


def best_by_pair(trials: Sequence[Mapping[str, Any]]) -> dict[tuple[str, str], Mapping[str, Any]]:
    """The trial with the best per-trial accuracy of every pair of schemes that was tried, best pair first."""
    best: dict[tuple[str, str], Mapping[str, Any]] = {}
    for trial in sorted(trials, key=lambda t: -t["value"]):
        best.setdefault(_pair(trial), trial)
    return best


def finalists(trials: Sequence[Mapping[str, Any]], count: int) -> dict[str, dict[str, Any]]:
    """Label -> parameters: the `count` best pairs of a search, and He for convolutions with Xavier for linear layers.

    Each has the learning rate and std of its best trial; the classic pair, where the search never tried it, the
    learning rate of the best trial of all.
    """
    ranked = best_by_pair(trials)
    chosen = {pair: dict(trial["params"]) for pair, trial in list(ranked.items())[:count]}
    if CLASSIC not in chosen:
        known = ranked.get(CLASSIC)
        rate = next(iter(ranked.values()))["params"][RATE]
        chosen[CLASSIC] = dict(known["params"]) if known else {CONV: CLASSIC[0], LINEAR: CLASSIC[1], RATE: rate}
    return {" + ".join(pair): params for pair, params in chosen.items()}


def _final(lab: Lab, head: str, images: Images, params: Mapping[str, Any], seeds: int, epochs: int) -> dict[str, Any]:
    """A finalist trained as a trial is, from seeds that no trial has used, and measured on the test images."""
    task = images.task(_builder(head), images.test, epochs, derive_seed(lab.seed, "training"))
    runs: list[dict[str, Any]] = []
    for first in range(1, seeds + 1, AT_ONCE):
        chosen = range(first, min(first + AT_ONCE, seeds + 1))
        specs = [RunSpec(f"finalist {seed}", "finalist", policy(params), seed, params[RATE], DECAY) for seed in chosen]

        def compute(specs: Sequence[RunSpec] = specs) -> list[dict[str, Any]]:
            return list(train_to_plateau(task, specs, epochs).values())

        key = f"cnn {head} finalist {sorted(params.items())} {len(images.train[0])} {epochs} {first}"
        words = f"cnn {head}: {params[CONV]} and {params[LINEAR]}, {len(specs)} seeds"
        runs += lab.part(key, compute, words=words)
    return {"params": dict(params), "runs": runs}


def scores(results: Mapping[str, Any], head: str) -> dict[str, list[float]]:
    """Finalist -> test accuracy of every seed, the best mean first."""
    found = {k: [run["value"] for run in v["runs"]] for k, v in results[head]["finalists"].items()}
    return dict(sorted(found.items(), key=lambda item: -float(np.mean(item[1]))))


def _classic_wins(results: Mapping[str, Any]) -> Judgement:
    """Against every other finalist; each comparison at LEVEL over their number (Bonferroni)."""
    table = scores(results, HEADS[0])
    name = " + ".join(CLASSIC)
    classic = table.pop(name)
    level = LEVEL / max(1, len(table))
    return every([greater(classic, v, f"test accuracy, {name} − {label}", level=level) for label, v in table.items()])


def _alike(results: Mapping[str, Any]) -> Judgement:
    table = list(scores(results, HEADS[0]).items())
    (name, best), rest = table[0], table[1:]
    return every(
        [
            within([a - b for a, b in zip(best, v, strict=True)], 0.0, 0.005, f"test accuracy, {name} − {label}")
            for label, v in rest
        ]
    )


def _constant(results: Mapping[str, Any], place: str, what: str) -> Judgement:
    """Accuracy of every trial of both searches that gave a constant to that place."""
    values = [t["value"] for head in HEADS for t in results[head]["trials"] if t["params"][place] in CONSTANTS]
    if len(values) < 2:
        return Judgement("inconclusive", f"the searches tried {len(values)} constant {what}", "needs two trials")
    return mean_below(values, 0.5, f"per-trial accuracy with constant {what}")


def _large_std(results: Mapping[str, Any]) -> Judgement:
    """Trials of the convolutions' normal law with std over 1, against the median of all other random starts."""
    large, rest = [], []
    for head in HEADS:
        for trial in results[head]["trials"]:
            std = std_of(trial["params"], CONV)
            if std is not None and std > 1:
                large.append(trial["value"])
            elif not set(_pair(trial)) & set(CONSTANTS):
                rest.append(trial["value"])
    if len(large) < 2 or not rest:
        return Judgement("inconclusive", f"the searches tried {len(large)} such starts", "needs two trials")
    return mean_below(large, float(np.median(rest)), "per-trial accuracy with convolution std over 1")


def _logits_better(results: Mapping[str, Any]) -> Judgement:
    logits, printed = (scores(results, head) for head in HEADS)
    return greater(
        logits[" + ".join(CLASSIC)], printed[" + ".join(CLASSIC)], "test accuracy of the classic pair, logits − softmax"
    )


def _schemes_matter_most(results: Mapping[str, Any]) -> Judgement:
    """Two searches, two answers: confirmed where both say so, refuted where both deny it."""
    shares = [results[head]["importances"] for head in HEADS]
    holds = [found[CONV] + found[LINEAR] > found[RATE] for found in shares]
    numbers = "; ".join(
        f"{head}: schemes {found[CONV] + found[LINEAR]:.2f}, learning rate {found[RATE]:.2f}"
        for head, found in zip(HEADS, shares, strict=True)
    )
    verdict: Any = "confirmed" if all(holds) else "inconclusive" if any(holds) else "refuted"
    return Judgement(verdict, numbers, "fANOVA shares, the same order in both searches")


def _trend(results: Mapping[str, Any], what: str, sign: int, words: str) -> Judgement:
    """Over the random starts of both searches: constants fail for their symmetry, whatever their signals."""
    trials = [t for head in HEADS for t in results[head]["trials"] if not set(_pair(t)) & set(CONSTANTS)]
    return trend([t[what] for t in trials], [t["value"] for t in trials], words, sign=sign)


CLAIMS = (
    Claim(
        "The printed network has 121,994 parameters.",
        SOURCE,
        lambda r: exactly(r["parameters"] == PARAMETERS, f"{r['parameters']:,} parameters"),
    ),
    Claim("He for ReLU convolutions with Xavier for the sigmoid layers wins.", "the usual advice", _classic_wins),
    Claim(
        "Between the finalists the pair hardly matters: each is within half a point of the best.", "asked here", _alike
    ),
    Claim(
        "Convolutions that start constant (0 or 0.5) do not learn (under 50%).",
        SOURCE,
        lambda r: _constant(r, CONV, "convolutions"),
    ),
    Claim(
        "Linear layers that start constant (0 or 0.5) do not learn (under 50%).",
        SOURCE,
        lambda r: _constant(r, LINEAR, "linear layers"),
    ),
    Claim("A normal start with std over 1 is worse than the median of the other random starts.", SOURCE, _large_std),
    Claim(
        "The schemes matter more than the learning rate within the range searched.", "asked here", _schemes_matter_most
    ),
    Claim(
        "Why: random starts whose sigmoid units begin saturated end less accurate.",
        "Glorot & Bengio 2010, §3",
        lambda r: _trend(r, "saturated", -1, "saturated share at the start against accuracy"),
    ),
    Claim(
        "Why: random starts that bring more gradient to the first convolution end more accurate.",
        "Glorot & Bengio 2010, §4",
        lambda r: _trend(r, "gradient", 1, "first convolution's gradient at the start against accuracy"),
    ),
    Claim(
        "Logits do better than the softmax that the source feeds into cross-entropy.", "the misprint", _logits_better
    ),
)


EXPERIMENT = Experiment(
    name="cnn-optuna",
    title="A CNN's starts searched with Optuna",
    source=SOURCE,
    asks="Which pair of schemes is best, and does He for ReLU convolutions with Xavier for the sigmoid layers win?",
    measure=_measure,
    claims=CLAIMS,
    show=lambda results: [block for head in HEADS for block in show(results[head], head, best_by_pair)],
    errata=(
        "The source feeds a softmax output into cross-entropy, which takes it again. Run as printed and with logits.",
        "The source published neither results nor reasons; both are produced here.",
    ),
    minutes=(0.39, 37),
)
