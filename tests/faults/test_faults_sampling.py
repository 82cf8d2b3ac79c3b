"""Planted faults that the statistical battery must reject, on the sizes that CI uses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from tests.statistical import battery

from initlab.sampling import laws, orthogonal, sample

SHAPE = (512, 640)
LEVEL = 1e-3
LAW = laws.Normal(0.0, 1.0)
Array = np.ndarray[Any, Any]


def _healthy() -> Array:
    return sample(LAW, SHAPE, seed=11, name="faults", dtype="float64")


def _outliers(x: Array) -> Array:
    x[3, 5], x[400, 6] = 1000.0, -1000.0
    return x


def _truncated(x: Array) -> Array:
    return sample(laws.TruncatedNormal.from_sigmas(1.0, 2.5), SHAPE, seed=11, dtype="float64")


def _second_half(sign: float) -> Callable[[Array], Array]:
    def plant(x: Array) -> Array:
        flat = x.reshape(-1)
        flat[flat.size // 2 :] = sign * flat[: flat.size // 2]
        return x

    return plant


def _lagged(x: Array) -> Array:
    flat = x.reshape(-1)
    flat[1:] = 0.05 * flat[:-1] + np.sqrt(1 - 0.05**2) * flat[1:]
    return x


def _rank_one(x: Array) -> Array:
    """A rank-1 part with a hundredth of the variance, rescaled so that the std is right."""
    rows, columns = (sample(LAW, (n, 1), seed=n, dtype="float64") for n in SHAPE)
    return (x + 0.1 * rows @ columns.T) / np.sqrt(1.01)


FAULTS: dict[str, tuple[Callable[[Array], Array], set[str]]] = {
    "std one percent too large": (lambda x: 1.01 * x, {"variance"}),
    "std one percent too small": (lambda x: x / 1.01, {"variance"}),
    "two outliers at 1000 sigma": (_outliers, {"largest"}),
    "truncated and re-scaled": (_truncated, {"largest", "kurtosis"}),
    "quantised to 1/64": (lambda x: np.round(64 * x) / 64, {"distinct"}),
    "second half equals the first": (_second_half(1.0), {"2 blocks"}),
    "second half is the first's negative": (_second_half(-1.0), {"2 blocks"}),
    "lag-1 correlation of 0.05": (_lagged, {"lag 1"}),
    "sorted rows": (lambda x: np.sort(x, axis=1), {"order", "lag 1"}),
    "a rank-1 leak": (_rank_one, {"edge"}),
    "mean one hundredth of a std off": (lambda x: x + 0.01, {"mean"}),
    "halves of different std": (lambda x: x * np.repeat([[1.1], [0.9]], 256, axis=0) / np.sqrt(1.01), {"kurtosis"}),
}


def test_the_healthy_tensor_passes() -> None:
    assert battery.holm(battery.element_battery(_healthy(), LAW), LEVEL) == []


@pytest.mark.parametrize("fault", FAULTS)
def test_the_battery_rejects(fault: str) -> None:
    plant, named = FAULTS[fault]
    rejected = {outcome.name for outcome in battery.holm(battery.element_battery(plant(_healthy()), LAW), LEVEL)}
    assert named <= rejected


def test_the_battery_rejects_a_missing_haar_sign_fix() -> None:
    factors = [np.linalg.qr(sample(LAW, (24, 24), seed=seed, dtype="float64"))[0] for seed in range(400)]
    rejected = {outcome.name for outcome in battery.holm(battery.orthogonal_battery(factors, 1.0), LEVEL)}
    assert "diagonal sign" in rejected


def test_the_battery_rejects_a_factor_that_is_not_orthogonal() -> None:
    factors = [(1 + 1e-4) * sample(laws.Orthogonal(), (24, 24), seed=seed) for seed in range(400)]
    assert [outcome.name for outcome in battery.holm(battery.orthogonal_battery(factors, 1.0), LEVEL)] == [
        "orthogonality"
    ]


def test_the_battery_rejects_layers_of_one_seed() -> None:
    same = sample(LAW, (64, 64), seed=0, name="layer")
    tensors = [sample(LAW, (64, 64), seed=0, name=f"layers.{i}") for i in range(6)]
    assert battery.holm(battery.independence_battery(tensors), LEVEL) == []
    assert battery.holm(battery.independence_battery([*tensors, same, same.copy()]), LEVEL) != []


def test_the_haar_factor_without_its_signs_would_be_caught_at_the_source(monkeypatch: pytest.MonkeyPatch) -> None:
    """The fault planted in the project's own code, where R's diagonal is taken for positive."""
    draw = orthogonal.reflections

    def unsigned(vectors: Array) -> tuple[Array, Array]:
        tau, signs = draw(vectors)
        return tau, np.abs(signs)

    monkeypatch.setattr(orthogonal, "reflections", unsigned)
    factors = [sample(laws.Orthogonal(), (24, 24), seed=seed) for seed in range(400)]
    rejected = battery.holm(battery.orthogonal_battery(factors, 1.0), LEVEL)
    assert "diagonal sign" in {outcome.name for outcome in rejected}
