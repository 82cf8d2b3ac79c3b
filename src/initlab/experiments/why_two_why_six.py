"""`why-two-why-six`: the constants of Glorot's and He's formulas, derived as measured numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from initlab.experiments.claims import Claim, Judgement, every, mean_above, mean_below, within
from initlab.experiments.lab import Lab
from initlab.experiments.registry import Experiment
from initlab.reporting import Column, LineFigure, Series, Table
from initlab.sampling import derive_seed
from initlab.schemes import Scheme, get_scheme

GLOROT = "Glorot & Bengio 2010, eq. 10–16"
HE = "He, Zhang, Ren & Sun 2015, eq. 9–14"
WIDE, NARROW = 768, 256


def _measure(lab: Lab) -> dict[str, Any]:
    runs, depth, width = (8, 12, 256) if lab.small else (20, 20, 512)
    seeds = [derive_seed(lab.seed, "why-two-why-six", run) for run in range(runs)]
    return {
        "uniform_variance": [_uniform_variance(seed) for seed in seeds],
        "he_uniform_variance": [_weight_variance("he_uniform", seed) for seed in seeds],
        "xavier_uniform_variance": [_weight_variance("xavier_uniform", seed) for seed in seeds],
        "relu_share": [_relu_share(seed) for seed in seeds],
        "forward": {mode: [_forward_ratio(mode, seed) for seed in seeds] for mode in ("fan_in", "fan_out", "fan_avg")},
        "backward": {
            mode: [_backward_ratio(mode, seed) for seed in seeds] for mode in ("fan_in", "fan_out", "fan_avg")
        },
        "profile": {
            label: [_relu_profile(scheme, depth, width, seed) for seed in seeds]
            for label, scheme in {"xavier_normal": "xavier_normal", "he_normal": "he_normal"}.items()
        },
    }


def _uniform_variance(seed: int) -> float:
    """The variance of U(-1, 1), which is 1/3: so a bound of √(3·v) gives variance v."""
    return float(get_scheme("uniform", low=-1.0, high=1.0).sample((1000, 1000), seed=seed, name="u").var())


def _weight_variance(name: str, seed: int) -> float:
    """Variance of the drawn weights, in units of the variance that the formula's normal form has."""
    weights = get_scheme(name).sample((WIDE, WIDE), seed=seed, name=name)
    return float(weights.var() * WIDE / (2 if name.startswith("he") else 1))


def _relu_share(seed: int) -> float:
    """E[relu(z)²] / E[z²] for standard normal z."""
    z = get_scheme("normal", std=1.0).sample((1000, 1000), seed=seed, name="z").astype(np.float64)
    return float((np.maximum(z, 0) ** 2).mean() / (z**2).mean())


def _scheme(mode: str) -> Scheme:
    return get_scheme("variance_scaling", scale=1.0, mode=mode, distribution="normal")


def _forward_ratio(mode: str, seed: int) -> float:
    """Second moment of W x over that of x for a linear layer WIDE → NARROW."""
    weights = _scheme(mode).sample((NARROW, WIDE), seed=seed, name="w").astype(np.float64)
    x = get_scheme("normal", std=1.0).sample((512, WIDE), seed=seed, name="x").astype(np.float64)
    return float(((x @ weights.T) ** 2).mean() / (x**2).mean())


def _backward_ratio(mode: str, seed: int) -> float:
    """Second moment of Wᵀ g over that of g for the same layer."""
    weights = _scheme(mode).sample((NARROW, WIDE), seed=seed, name="w").astype(np.float64)
    g = get_scheme("normal", std=1.0).sample((512, NARROW), seed=seed, name="g").astype(np.float64)
    return float(((g @ weights) ** 2).mean() / (g**2).mean())


def _relu_profile(name: str, depth: int, width: int, seed: int) -> list[float]:
    """Second moment of the pre-activations of each layer of a ReLU network, the first taken as 1."""
    x = get_scheme("normal", std=1.0).sample((512, width), seed=seed, name="x").astype(np.float64)
    moments = []
    for layer in range(depth):
        z = x @ get_scheme(name).sample((width, width), seed=seed, name=f"layer{layer}").astype(np.float64).T
        moments.append(float((z**2).mean()))
        x = np.maximum(z, 0)
    return [moment / moments[0] for moment in moments]


def _log2_per_layer(profiles: Sequence[Sequence[float]]) -> list[float]:
    return [float(np.log2(p[-1]) / (len(p) - 1)) for p in profiles]


def _two_sided(results: Mapping[str, Any]) -> Judgement:
    """With fan_avg the wide side loses and the narrow side gains, by factors that mirror each other."""
    average = (WIDE + NARROW) / 2
    return every(
        [
            within(results["forward"]["fan_avg"], WIDE / average, 0.03, "forward second moment × "),
            within(results["backward"]["fan_avg"], NARROW / average, 0.03, "backward second moment × "),
        ]
    )


CLAIMS = (
    Claim(
        "A uniform law on (−a, a) has variance a²/3: hence the 3 under the root.",
        GLOROT,
        lambda r: within(r["uniform_variance"], 1 / 3, 0.002, "variance of U(−1, 1)"),
    ),
    Claim(
        "√6/√(fan_in + fan_out) as the bound of a uniform law gives variance 2/(fan_in + fan_out).",
        GLOROT,
        lambda r: within(r["xavier_uniform_variance"], 1.0, 0.005, "variance over 2/(fan_in + fan_out)"),
    ),
    Claim(
        "√(6/fan_in) as the bound of a uniform law gives variance 2/fan_in.",
        HE,
        lambda r: within(r["he_uniform_variance"], 1.0, 0.005, "variance over 2/fan_in"),
    ),
    Claim(
        "ReLU halves the second moment of a symmetric signal: hence the 2 in 2/fan_in.",
        HE,
        lambda r: within(r["relu_share"], 0.5, 0.002, "E[relu(z)²] / E[z²]"),
    ),
    Claim(
        "Variance 1/fan_in keeps the forward second moment of a linear layer, whatever its shape.",
        GLOROT,
        lambda r: within(r["forward"]["fan_in"], 1.0, 0.03, "forward second moment ×"),
    ),
    Claim(
        "Variance 1/fan_out keeps the backward second moment of a linear layer, whatever its shape.",
        GLOROT,
        lambda r: within(r["backward"]["fan_out"], 1.0, 0.03, "backward second moment ×"),
    ),
    Claim(
        "The average of both fans keeps neither exactly, but splits the error between the two directions.",
        GLOROT,
        _two_sided,
    ),
    Claim(
        "In a deep ReLU network Xavier's weights halve the second moment at every layer.",
        HE,
        lambda r: within(_log2_per_layer(r["profile"]["xavier_normal"]), -1.0, 0.1, "log₂ of the moment per layer"),
    ),
    Claim(
        "In a deep ReLU network He's weights keep the second moment from layer to layer.",
        HE,
        lambda r: within(_log2_per_layer(r["profile"]["he_normal"]), 0.0, 0.1, "log₂ of the moment per layer"),
    ),
    Claim(
        "fan_in against fan_out matters in He's scheme only by a constant of the shapes: with fan_out the forward "
        f"second moment of a layer {WIDE}→{NARROW} is multiplied by {WIDE / NARROW:g}.",
        HE,
        lambda r: every(
            [
                mean_above(r["forward"]["fan_out"], 0.95 * WIDE / NARROW, "forward second moment ×"),
                mean_below(r["forward"]["fan_out"], 1.05 * WIDE / NARROW, "forward second moment ×"),
            ]
        ),
    ),
)


def _show(results: Mapping[str, Any]) -> list[Any]:
    profiles = {label: np.asarray(rows) for label, rows in results["profile"].items()}
    series = tuple(
        Series(
            name=label,
            x=tuple(range(1, rows.shape[1] + 1)),
            y=tuple(rows.mean(0)),
            low=tuple(rows.min(0)),
            high=tuple(rows.max(0)),
        )
        for label, rows in profiles.items()
    )
    figure = LineFigure(
        title="Second moment of the pre-activations of a ReLU network",
        x_label="layer",
        y_label="second moment (layer 1 = 1)",
        series=series,
        log_y=True,
        note="Mean over seeds; the band is their range.",
    )
    rows = tuple(
        (mode, f"{np.mean(results['forward'][mode]):.3f}", f"{np.mean(results['backward'][mode]):.3f}")
        for mode in ("fan_in", "fan_avg", "fan_out")
    )
    table = Table(
        title=f"A linear layer {WIDE} → {NARROW} with variance 1/fan",
        columns=(Column("fan"), Column("forward moment ×", align="right"), Column("backward moment ×", align="right")),
        rows=rows,
    )
    return [figure, table]


EXPERIMENT = Experiment(
    name="why-two-why-six",
    title="Why 2 in He's formula, why 6 in the uniform forms",
    source=f"{GLOROT}; {HE}",
    asks="Where do the constants of the initialization formulas come from, and which side does each keep?",
    measure=_measure,
    claims=CLAIMS,
    show=_show,
    minutes=(0.02, 0.16),
)
