"""Promise 1 in the browser: the page draws the bits that Python draws, for any scheme, shape, seed and name."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import headless
import numpy as np
import pytest

from initlab import get_scheme, list_schemes, playground
from initlab.sampling import laws, sample
from initlab.schemes import Geometry

# Orthogonal factors are products of reflections: they agree to a few roundings of float32, as between machines.
TO_ROUNDING = {"orthogonal", "delta_orthogonal", "mirrored"}
CELLS = [((64, 2), 0, "blocks.0.linear.weight"), ((48, 48), 7, "blocks.3.linear.weight"),
         ((10, 64), 2**64 - 1, "readout.weight"), ((8, 8), 123456789, "층.weight")]  # fmt: skip


@pytest.fixture(scope="module")
def tab(browser: headless.Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[headless.Tab]:
    opened = browser.open(playground.save(tmp_path_factory.mktemp("page") / "playground.html"))
    yield opened
    opened.close()


def drawn(tab: headless.Tab, law: str, shape: tuple[int, int], seed: int, name: str, dtype: str = "float32") -> Any:
    """What the page draws: float64 numbers, as each float32 is one."""
    call = f"playground.draw({law}, {list(shape)}, {seed}n, {json.dumps(name)}, {json.dumps(dtype)})"
    return np.array(tab.run(f"Array.from({call})"), dtype=dtype).reshape(shape)


@pytest.mark.parametrize(("shape", "seed", "name"), CELLS)
@pytest.mark.parametrize("scheme", list_schemes())
def test_schemes(tab: headless.Tab, scheme: str, shape: tuple[int, int], seed: int, name: str) -> None:
    law = f"playground.lawOf(playground.SCHEMES.get({json.dumps(scheme)}), {list(shape)})"
    wanted = get_scheme(scheme).sample(shape, seed=seed, name=name)
    found = drawn(tab, law, shape, seed, name)
    if scheme in TO_ROUNDING:
        np.testing.assert_allclose(found, wanted, rtol=0, atol=2e-6)
    else:
        np.testing.assert_array_equal(found.view(np.uint32), wanted.view(np.uint32))


@pytest.mark.parametrize("gain", [0.1, 0.7071, 1.0, 2.3])
@pytest.mark.parametrize("scheme", ["he_normal", "xavier_uniform", "variance_scaling", "identity"])
def test_gains(tab: headless.Tab, scheme: str, gain: float) -> None:
    shape = (32, 64)
    law = get_scheme(scheme).law(Geometry.from_shape(shape), gain)
    own = f"playground.lawOf(playground.SCHEMES.get({json.dumps(scheme)}), {list(shape)}, {gain!r})"
    wanted = sample(law, shape, seed=3, name="w")
    np.testing.assert_array_equal(drawn(tab, own, shape, 3, "w"), wanted)


@pytest.mark.parametrize(
    ("law", "own"),
    [
        (laws.Normal(0.0, 0.3), "{family: 'normal', mean: 0, std: 0.3}"),
        (laws.Uniform(-0.2, 0.7), "{family: 'uniform', low: -0.2, high: 0.7}"),
        (laws.TruncatedNormal.from_sigmas(0.7), "playground.centredLaw('truncated_normal', 0.7)"),
    ],
)
@pytest.mark.parametrize("shape", [(64, 64), (3, 5)])
def test_float64(tab: headless.Tab, law: laws.Law, own: str, shape: tuple[int, int]) -> None:
    wanted = sample(law, shape, seed=11, name="fc.weight", dtype="float64")
    found = drawn(tab, own, shape, 11, "fc.weight", "float64")
    np.testing.assert_array_equal(found.view(np.uint64), wanted.view(np.uint64))


def test_opens_without_trouble(tab: headless.Tab) -> None:
    assert tab.trouble() == []
    assert tab.requests() == []
