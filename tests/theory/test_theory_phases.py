"""The phase diagram, residual and orthogonal stacks, and what one draw of finite width does, against the literature."""

from __future__ import annotations

import math

import numpy as np
import pytest

from initlab import InputError
from initlab.theory import critical_line, criticality, fixed_point, jacobian_spread, propagate

# activation, sigma_b², sigma_w² on the critical line, source
LINE = [
    ("tanh", 0.0, 1.0, "Schoenholz et al. 2017, figure 1: the line starts at (1, 0)"),
    ("tanh", 0.05, 1.76, "Schoenholz et al. 2017, figures 2 and 3: sigma_w² = 1.76 at sigma_b² = 0.05"),
    ("relu", 0.0, 2.0, "He et al. 2015, equation 10: (√2, 0)"),
    ("erf", 0.0, math.pi / 4, "the slope of erf at 0 is 2/√π"),
    ("gelu", 0.17292239, 1.98305826, "Roberts, Yaida & Hanin 2022, section 5.3.4"),
    ("silu", 0.55514317, 1.98800468, "Roberts, Yaida & Hanin 2022, section 5.3.4"),
]


@pytest.mark.parametrize(("name", "bias", "weight", "source"), LINE)
def test_the_critical_line_goes_where_the_source_has_it(name: str, bias: float, weight: float, source: str) -> None:
    point = critical_line(name, math.sqrt(bias))
    assert point.exists
    assert point.sigma_w**2 == pytest.approx(weight, abs=0.005 if weight == 1.76 else 1e-5)
    assert point.chi == pytest.approx(1.0, abs=1e-9)


@pytest.mark.parametrize("name", ["gelu", "silu"])
def test_the_nearest_critical_point_of_a_half_stable_activation_is_its_tip(name: str) -> None:
    bias, weight = next((b, w) for n, b, w, _ in LINE if n == name)
    point = criticality(name)
    assert (point.sigma_b**2, point.sigma_w**2) == (pytest.approx(bias, abs=1e-7), pytest.approx(weight, abs=1e-7))


def test_relu_has_no_critical_line_beyond_a_bias_of_zero() -> None:
    assert not critical_line("relu", 0.1).exists


@pytest.mark.parametrize(
    ("sigma_w2", "phase"), [(1.3, "ordered"), (1.7, "ordered"), (1.8, "chaotic"), (3.0, "chaotic")]
)
def test_the_line_parts_the_phases(sigma_w2: float, phase: str) -> None:
    """Schoenholz et al. 2017, figure 2, at sigma_b² = 0.05."""
    assert fixed_point("tanh", math.sqrt(sigma_w2), math.sqrt(0.05)).phase == phase


def test_the_depth_scale_of_the_correlation_diverges_at_the_line_and_that_of_q_does_not() -> None:
    """Schoenholz et al. 2017, figure 2(c): ξ_c has a peak at criticality, ξ_q stays a few layers."""
    scales = [fixed_point("tanh", math.sqrt(w), math.sqrt(0.05)) for w in (1.3, 1.7, 1.75, 1.78, 1.9, 2.5)]
    assert scales[0].depth_scale_c < scales[1].depth_scale_c < scales[2].depth_scale_c > 100
    assert 100 < scales[3].depth_scale_c > scales[4].depth_scale_c > scales[5].depth_scale_c
    assert max(s.depth_scale_q for s in scales) < 6


def test_a_residual_stack_of_relu_doubles_at_he_and_grows_by_e_over_all_layers_when_scaled() -> None:
    """Yang & Schoenholz 2017; with branches of 1/√L the growth is (1 + 1/L)^L."""
    assert propagate("relu", 5, 2**0.5, q0=0.5, residual=1.0).q.tolist() == pytest.approx([1, 2, 4, 8, 16])
    scaled = propagate("relu", 65, 2**0.5, q0=0.5, residual=64**-0.5)
    assert scaled.q[-1] == pytest.approx((1 + 1 / 64) ** 64)
    assert scaled.gradient[0] == pytest.approx((1 + 1 / 64) ** 64)


def test_the_spread_of_relu_is_five_over_the_width_a_layer() -> None:
    """Hanin & Nica 2019, theorem 1; the mean square of a layer's own units varies by 2/width more."""
    spread = propagate("relu", 9, 2**0.5, width=40).spread
    assert (spread**2).tolist() == pytest.approx([(2 + 5 * layer) / 40 for layer in range(9)])
    assert propagate("relu", 9, 2**0.5).spread is None


@pytest.mark.parametrize(
    ("name", "sigma_w", "sigma_b", "residual"),
    [
        ("relu", 2**0.5, 0.0, 0.0),
        ("tanh", 1.5, 0.0, 0.0),
        ("tanh", 1.5, 0.5, 0.0),
        ("relu", 2**0.5, 0.0, 0.5),
        ("relu", 2**0.5, 0.8, 0.5),
        ("tanh", 1.2, 1.0, 0.5),
    ],
)
def test_the_spread_is_that_of_networks_that_are_drawn(
    name: str, sigma_w: float, sigma_b: float, residual: float
) -> None:
    """2,000 networks of 128 units: the std of ln q is known to ±5% (chi-square at 99.9%), its theory to order 1/n."""
    rng, width, depth, draws = np.random.default_rng(0), 128, 6, 2000
    act = {"relu": lambda z: np.maximum(z, 0), "tanh": np.tanh}[name]
    logs = np.zeros((depth, draws))
    size = math.sqrt(sigma_w**2 + sigma_b**2)
    z = size * rng.standard_normal((draws, width))
    for layer in range(depth):
        logs[layer] = np.log((z**2).mean(1))
        # Given what the layer reads, its units are independent normals.
        size = np.sqrt(sigma_w**2 * (act(z) ** 2).mean(1, keepdims=True) + sigma_b**2)
        fresh = size * rng.standard_normal((draws, width))
        z = z + residual * fresh if residual else fresh
    theory = propagate(name, depth, sigma_w, sigma_b, residual=residual, width=width).spread
    assert logs.std(1) == pytest.approx(theory, rel=0.08)


@pytest.mark.parametrize(
    ("name", "orthogonal", "spread", "source"),
    [("identity", True, 0.0, "Saxe et al. 2014: dynamical isometry"),
     ("identity", False, 8.0, "Pennington et al. 2017, equation 22: L"),
     ("relu", True, 8.0, "the same: slopes are 0 or 1, E[φ'⁴]/E[φ'²]² = 2"),
     ("relu", False, 16.0, "the same")],
)  # fmt: skip
def test_the_spread_of_the_jacobian(name: str, orthogonal: bool, spread: float, source: str) -> None:
    assert jacobian_spread(name, 8, orthogonal=orthogonal) == pytest.approx(spread)


def test_the_spread_of_the_jacobian_is_that_of_drawn_weights() -> None:
    rng, n = np.random.default_rng(1), 400
    product = np.eye(n)
    for _ in range(4):
        product = rng.standard_normal((n, n)) / math.sqrt(n) @ product
    squares = np.linalg.svd(product, compute_uv=False) ** 2
    assert squares.var() / squares.mean() ** 2 == pytest.approx(jacobian_spread("identity", 4), rel=0.15)


@pytest.mark.parametrize(
    ("call", "part"),
    [(lambda: propagate("relu", 3, 1.0, width=0), "width"),
     (lambda: propagate("relu", 3, 1.0, residual=-1.0), "residual"),
     (lambda: jacobian_spread("relu", 0), "depth"), (lambda: jacobian_spread("relu", 2, q=0.0), "q"),
     (lambda: jacobian_spread(lambda x: 0 * x + 1.0, 3), "a slope somewhere"),
     (lambda: critical_line("relu", -1.0), "sigma_b"),
     (lambda: critical_line("relu", 1e200), "sigma_b must be at most"),
     (lambda: propagate("relu", 3, 1e200), "sigma_w must be at most"),
     (lambda: propagate("relu", 1 << 64, 1.0), "depth must be at most"),
     (lambda: propagate("relu", 3, 1.0, width=10**400), "width must be at most"),
     (lambda: jacobian_spread("relu", 2, orthogonal="no"), "orthogonal must be True or False")],
)  # fmt: skip
def test_bad_numbers_are_one_error(call: object, part: str) -> None:
    with pytest.raises(InputError, match=part):
        call()
