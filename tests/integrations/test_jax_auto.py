"""Twelve Flax, NNX and Equinox models under `auto`: every weight keeps the size that its place asks for."""

from __future__ import annotations

import pytest
from jax_zoo import ZOO
from kept import second_moments

from initlab.integrations import jax as ij
from initlab.integrations.arrays import tensors


@pytest.mark.timeout(900)
def test_second_moments_stay_near_one() -> None:
    ratios: dict[str, float] = {}
    for case, make in ZOO.items():
        tree, apply, inputs = make()
        plan = ij.plan(tree, "auto", apply=apply, example_inputs=inputs)
        started = ij.init(tree, plan, seed=0, apply=apply, example_inputs=inputs)
        found = second_moments(ij.as_module(apply, started, inputs), plan, tensors(inputs))
        ratios.update({f"{case}: {name}": ratio for name, ratio in found.items()})
    outside = {name: ratio for name, ratio in ratios.items() if not 0.5 <= ratio <= 2}
    assert len(ratios) > 50
    assert len(outside) <= 0.03 * len(ratios), outside
