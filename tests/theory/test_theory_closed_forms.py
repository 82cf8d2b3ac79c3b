"""Theory against closed forms, quadrature orders, and what is not a scalar function."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy import integrate, special
from torch import nn

from initlab import theory
from initlab.errors import InputError
from initlab.theory.activations import ACTIVATIONS
from initlab.theory.functions import resolve

SMOOTH = [
    "arctan",
    "cos",
    "erf",
    "gelu",
    "gelu_tanh",
    "lecun_tanh",
    "mish",
    "sigmoid",
    "silu",
    "sin",
    "softplus",
    "tanh",
]
KINKED = ["relu", "leaky_relu", "prelu", "relu6", "hardtanh", "hardsigmoid", "hardswish", "elu", "selu", "softshrink"]


def relu_correlation(c: float) -> float:
    """Cho & Saul 2009, arc-cosine kernel of degree 1, over E[relu²] = 1/2."""
    return (math.sqrt(1 - c * c) + (math.pi - math.acos(c)) * c) / math.pi


@pytest.mark.parametrize(
    ("name", "q", "second", "source"),
    [
        ("identity", 3.0, 3.0, "E[z²] = q"),
        ("relu", 1.0, 0.5, "half of a symmetric second moment"),
        ("relu", 7.3, 3.65, "the same at any q"),
        ("leaky_relu", 1.0, (1 + 1e-4) / 2, "(1 + a²)/2, He et al. 2015 eq. 15"),
        ("prelu", 1.0, (1 + 0.0625) / 2, "(1 + a²)/2 with a = 1/4"),
        ("erf", 1.0, 2 / math.pi * math.asin(2 / 3), "Williams 1997"),
        ("erf", 2.5, 2 / math.pi * math.asin(5 / 6), "Williams 1997: 2q/(1 + 2q)"),
        ("sin", 1.0, (1 - math.exp(-2)) / 2, "sin² = (1 − cos 2x)/2"),
        ("cos", 2.0, (1 + math.exp(-4)) / 2, "cos² = (1 + cos 2x)/2"),
        ("exp", 1.0, math.exp(2), "log-normal"),
        ("exp", 9.0, math.exp(18), "log-normal whose mass lies at 6 sigma"),
        ("abs", 2.0, 2.0, "|z|² = z²"),
        ("step", 5.0, 0.5, "P(z > 0)"),
        ("square_relu", 2.0, 6.0, "half of E[z⁴] = 3q²"),
        ("selu", 1.0, 1.0, "Klambauer et al. 2017: built so that E[φ²] = 1"),
        ("gaussian", 1.0, 1 / math.sqrt(5), "E[exp(−2z²)] = 1/√(1 + 4q)"),
    ],
)
def test_second_moment_has_its_closed_form(name: str, q: float, second: float, source: str) -> None:
    assert theory.moments(name, q).second == pytest.approx(second, rel=1e-11), source


@pytest.mark.parametrize("c", [-1.0, -0.999, -0.4, 0.0, 0.3, 0.9, 0.999999, 1.0])
def test_relu_and_erf_correlations_have_their_closed_forms(c: float) -> None:
    assert theory.correlation_map("relu", c, q=2.0, sigma_w=1.3) == pytest.approx(relu_correlation(c), abs=1e-12)
    erf = math.asin(2 * c / 3) / math.asin(2 / 3)
    assert theory.correlation_map("erf", c) == pytest.approx(erf, abs=1e-12)


@pytest.mark.parametrize("c", [-0.8, 0.3, 0.9])
def test_a_function_of_many_panels_is_not_summed_over_the_plane(c: float) -> None:
    """erf(60x) takes 768 panels; E[erf(a u) erf(a v)] = 2/π · asin(2a²c/(1 + 2a²)) (Williams 1997)."""
    taken: list[int] = []

    def steep(x: Any) -> Any:
        taken.append(x.size)
        return special.erf(60 * x)

    first, second = (math.asin(2 * 60**2 * r / (1 + 2 * 60**2)) for r in (c, 1.0))
    assert theory.correlation_map(steep, c) == pytest.approx(first / second, abs=1e-13)  # of a sum's rounding
    assert sum(taken) < 100_000  # numbers of the line; 192 panels of 14 nodes along each axis would be 14 million


def test_bias_raises_the_correlation_as_poole_has_it() -> None:
    expected = (2.0 * 0.5 * relu_correlation(0.2) + 0.09) / (2.0 * 0.5 + 0.09)
    assert theory.correlation_map("relu", 0.2, sigma_w=math.sqrt(2), sigma_b=0.3) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("name", [*SMOOTH, *KINKED])
@pytest.mark.parametrize("q", [0.04, 1.0, 30.0])
def test_moments_agree_with_adaptive_quadrature(name: str, q: float) -> None:
    function, root = ACTIVATIONS[name], math.sqrt(q)
    breaks = sorted({b / root for b in (-3, -1, -0.5, 0, 0.5, 1, 3, 6) if abs(b) < 12 * root})

    def integrand(z: float) -> float:
        value = float(function(np.float64(root * z)))
        return value * value * math.exp(-z * z / 2) / math.sqrt(2 * math.pi)

    edges = [-12.0, *breaks, 12.0]
    pairs = itertools.pairwise(edges)
    expected = sum(integrate.quad(integrand, a, b, epsabs=1e-14, epsrel=1e-12, limit=200)[0] for a, b in pairs)
    assert theory.moments(name, q).second == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("name", SMOOTH)
def test_doubling_the_order_changes_nothing_for_smooth_functions(name: str) -> None:
    once, twice = theory.moments(name, order=20), theory.moments(name, order=40)
    for field in ("mean", "second", "slope_second", "slope_mean", "growth"):
        assert abs(getattr(once, field) - getattr(twice, field)) < 1e-10, field


def test_order_matters_where_it_is_too_small() -> None:
    assert abs(theory.moments("tanh", 400.0, order=4).slope_second - theory.moments("tanh", 400.0).slope_second) > 1e-13


@pytest.mark.parametrize("name", [*SMOOTH, *KINKED])
def test_growth_is_the_derivative_of_the_variance_map(name: str) -> None:
    step = 1e-4
    up, down = (theory.moments(name, 1.5 + sign * step).second for sign in (1, -1))
    assert theory.moments(name, 1.5).growth == pytest.approx((up - down) / (2 * step), abs=1e-6)


@pytest.mark.parametrize("name", [*SMOOTH, *KINKED])
def test_chi_is_the_slope_of_the_correlation_map_at_one(name: str) -> None:
    """Price's theorem: q dE[φφ]/dq₁₂ = E[φ'φ']; the difference quotient at c = 1 is right to O(√step) for kinks."""
    step, q = 1e-8, 1.3
    quotient = (1 - theory.correlation_map(name, 1 - step, q)) / step
    expected = theory.chi(name, q) * q / theory.moments(name, q).second
    assert quotient == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize(
    ("fn", "same_as"),
    [
        (nn.ReLU(), "relu"),
        (nn.Tanh(), "tanh"),
        (nn.GELU(), "gelu"),
        (nn.GELU(approximate="tanh"), "gelu_tanh"),
        (nn.SiLU(), "silu"),
        (nn.Mish(), "mish"),
        (nn.Hardswish(), "hardswish"),
        (nn.PReLU(), "prelu"),
        (nn.SELU(), "selu"),
        (torch.sigmoid, "sigmoid"),
        (torch.nn.functional.softsign, "softsign"),
        (lambda x: x.clamp(min=0), "relu"),
        (lambda x: x * torch.sigmoid(x), "silu"),
        (lambda x: 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))), "gelu_tanh"),
        (lambda x: np.where(x > 0, x, 0.01 * x), "leaky_relu"),
        (lambda x: x if x > 0 else 0.0, "relu"),
        (math.tanh, "tanh"),
        (lambda x: (x > 0) * x, "relu"),
        (lambda x: torch.nn.functional.relu(x.float()), "relu"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_gain_of_any_callable(fn: Callable[..., Any], same_as: str) -> None:
    tolerance = 1e-6 if same_as in ("prelu", "relu") else 1e-10
    assert theory.gain(fn) == pytest.approx(theory.gain(same_as), rel=tolerance)


def test_numpy_and_torch_have_the_same_named_functions() -> None:
    x = torch.linspace(-8, 8, 401, dtype=torch.float64)
    functional = ["celu", "elu", "gelu", "hardshrink", "hardsigmoid", "hardswish", "hardtanh", "logsigmoid", "mish"]
    functional += [
        "relu",
        "relu6",
        "selu",
        "sigmoid",
        "silu",
        "softplus",
        "softshrink",
        "softsign",
        "tanh",
        "tanhshrink",
    ]
    for name in functional:
        expected = getattr(torch.nn.functional, name)(x).numpy()
        np.testing.assert_allclose(resolve(name)(x.numpy()), expected, rtol=1e-7, atol=2e-9, err_msg=name)


def test_kinks_away_from_zero_and_steep_functions() -> None:
    hinge = theory.moments(lambda x: np.maximum(x - 0.7312345, 0.0))
    tail = special.ndtr(-0.7312345)
    density = math.exp(-(0.7312345**2) / 2) / math.sqrt(2 * math.pi)
    assert hinge.mean == pytest.approx(density - 0.7312345 * tail, rel=1e-11)
    assert hinge.slope_second == pytest.approx(tail, rel=1e-10)
    assert theory.moments(lambda x: np.tanh(200 * x)).slope_second == pytest.approx(
        200 * (4 / 3) / math.sqrt(2 * math.pi), rel=1e-4
    )


@pytest.mark.parametrize(
    ("fn", "q", "chi"),
    [
        ("sin", 1e6, 0.5),
        ("cos", 1e8, 0.5),
        (lambda x: np.abs(np.mod(500 * x, 1.0) - 0.5), 1.0, 500.0**2),
        (lambda x: np.round(1000 * x) / 1000, 1.0, math.inf),
        (lambda x: np.mod(500 * x, 1.0), 1.0, math.inf),
    ],
)
def test_functions_of_very_many_features_jump_or_have_their_slope(fn: Any, q: float, chi: float) -> None:
    """A sine of a wide signal, as behind Fourier features, is smooth; a rounded number jumps."""
    assert theory.chi(fn, q) == pytest.approx(chi, rel=1e-5)


def test_quantised_function_is_summed_on_a_lattice() -> None:
    rounded = theory.correlation_map(lambda x: np.round(np.tanh(x) * 127) / 127, 0.5)
    assert rounded == pytest.approx(theory.correlation_map("tanh", 0.5), abs=1e-3)


@pytest.mark.parametrize(
    ("fn", "message"),
    [
        ("rleu", "did you mean 'relu'"),
        (lambda x: np.log(x), "finite"),
        (lambda x: 1 / np.maximum(x, 0), "finite"),
        (nn.Softmax(dim=-1), "element by element"),
        (lambda x: x / np.abs(x).sum(), "element by element"),
        (lambda x: x - x.mean(), "element by element"),
        (lambda x: np.cumsum(x), "element by element"),
        (lambda x: x[:3], "shape"),
        (lambda x: x.sum(), "shape"),
        (nn.Dropout(0.5), "element by element"),
        (nn.Linear(3, 3), "raised"),
        (lambda x: "text", "real numbers"),
        (lambda x: None, "real numbers"),
        (lambda x: x + 1j, "real numbers"),
        (lambda x, y: x, "raised"),
        (lambda x: np.sort(x), "element by element"),
        (3.0, "callable"),
        (lambda x: x * 0.0, "zero everywhere"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_what_is_not_a_finite_scalar_function_is_refused(fn: Any, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        theory.gain(fn)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -1.0, "x", None])
def test_bad_numbers_are_refused(bad: Any) -> None:
    calls: list[Callable[[], Any]] = [
        lambda: theory.moments("relu", bad),
        lambda: theory.variance_map("relu", bad),
        lambda: theory.variance_map("relu", 1.0, sigma_w=bad),
        lambda: theory.variance_map("relu", 1.0, sigma_b=bad),
        lambda: theory.chi("relu", bad),
        lambda: theory.criticality("relu", bad),
        lambda: theory.fixed_point("relu", bad),
        lambda: theory.propagate("relu", 3, bad),
        lambda: theory.propagate("relu", bad, 1.0),
        lambda: theory.propagate("relu", 3, 1.0, q0=bad),
    ]
    for call in calls:
        with pytest.raises(InputError):
            call()


@pytest.mark.parametrize("c", [1.01, -1.01, math.nan])
def test_correlation_outside_its_range_is_refused(c: float) -> None:
    with pytest.raises(InputError, match="c"):
        theory.correlation_map("relu", c)


def test_zero_weights_leave_no_correlation() -> None:
    with pytest.raises(InputError, match="signal"):
        theory.correlation_map("relu", 0.5, sigma_w=0.0)
    assert theory.variance_map("relu", 0.0, sigma_b=0.5) == 0.25


@pytest.mark.parametrize(
    ("name", "sigma_w", "sigma_b", "source"),
    [
        ("relu", math.sqrt(2), 0.0, "He et al. 2015; Hayou et al. 2019"),
        ("identity", 1.0, 0.0, "linear"),
        ("leaky_relu", math.sqrt(2 / (1 + 1e-4)), 0.0, "He et al. 2015"),
        ("abs", 1.0, 0.0, "|z|² = z², slope² = 1"),
    ],
)
def test_critical_point_has_its_closed_form(name: str, sigma_w: float, sigma_b: float, source: str) -> None:
    found = theory.criticality(name)
    assert (found.sigma_w, found.sigma_b) == pytest.approx((sigma_w, sigma_b), rel=1e-10), source


@pytest.mark.parametrize("name", ["tanh", "erf", "gelu", "silu", "sigmoid", "selu", "hardtanh", "mish"])
def test_critical_point_is_a_fixed_point_with_chi_one(name: str) -> None:
    found = theory.criticality(name)
    assert theory.variance_map(name, found.q_star, found.sigma_w, found.sigma_b) == pytest.approx(
        found.q_star, rel=1e-9
    )
    assert theory.chi(name, found.q_star, found.sigma_w) == pytest.approx(1.0, rel=1e-11)


def test_tanh_near_the_origin_is_critical_at_weight_one() -> None:
    """Schoenholz et al. 2017: the critical line of tanh starts at (σ_w, σ_b) = (1, 0)."""
    found = theory.criticality("tanh", q_star=1e-4)
    assert (found.sigma_w, found.sigma_b) == pytest.approx((1.0, 0.0), abs=2e-3)


@pytest.mark.parametrize("name", ["softplus", "step", "sign", "exp"])
def test_no_critical_point_is_said(name: str) -> None:
    found = theory.criticality(name)
    assert not found.exists
    assert math.isnan(found.sigma_w)
    assert "none" in repr(found)


@pytest.mark.parametrize(
    ("sigma_w", "sigma_b", "phase"),
    [(0.9, 0.3, "ordered"), (2.5, 0.1, "chaotic"), (0.5, 0.0, "vanishing"), (1.4674135916, 0.3885416701, "critical")],
)
def test_phase_of_a_tanh_stack(sigma_w: float, sigma_b: float, phase: str) -> None:
    assert theory.fixed_point("tanh", sigma_w, sigma_b).phase == phase


@pytest.mark.parametrize(
    ("name", "sigma_w", "sigma_b", "q_star", "source"),
    [
        ("relu", 1.4142, 0.1, 0.01 / (1 - 1.4142**2 / 2), "q = σ_w² q/2 + σ_b²; 52,000 layers a factor e"),
        ("abs", 0.9999, 0.5, 0.25 / (1 - 0.9999**2), "q = σ_w² q + σ_b²"),
        ("relu", 2**0.5, 0.1, math.inf, "σ_b² more a layer, without end"),
        ("relu", 1.4, 0.0, 0.0, "0.98 times a layer"),
        ("tanh", 1.0, 0.0, 0.0, "q − 2q² a layer: falls as 1/(2 layers), without end"),
        ("tanh", 1.001, 0.0, 1.0013e-3, "(1 − 1/σ_w²)/2 to first order"),
    ],
)
def test_a_fixed_point_that_is_approached_slowly(
    name: str, sigma_w: float, sigma_b: float, q_star: float, source: str
) -> None:
    assert theory.fixed_point(name, sigma_w, sigma_b).q_star == pytest.approx(q_star, rel=1e-4), source


def test_depth_scales_are_those_of_the_iterated_maps() -> None:
    point = theory.fixed_point("tanh", 2.0, 0.3)
    path = theory.propagate("tanh", 150, 2.0, 0.3, q0=0.5, c0=0.9)
    gaps = np.abs(path.c - point.c_star)
    measured = -1 / math.log(gaps[41] / gaps[40])
    assert path.c[-1] == pytest.approx(point.c_star, abs=1e-6)
    assert measured == pytest.approx(point.depth_scale_c, rel=0.02)


def test_gradient_of_a_stack_is_the_product_of_chi() -> None:
    path = theory.propagate("tanh", 10, 1.2, 0.1)
    assert path.gradient[0] == pytest.approx(float(np.prod(path.chi[:-1])))
    assert path.gradient[-1] == 1.0


def test_exploding_and_vanishing_stacks_stay_numbers_or_infinities() -> None:
    assert theory.propagate("relu", 400, 4.0).q[-1] == math.inf
    assert theory.propagate("relu", 2000, 0.1).q[-1] == 0.0


def draws_and_does_not_show_it(x: np.ndarray) -> np.ndarray:
    torch.rand(1), np.random.rand(), random.random()
    return np.tanh(x)


def test_no_global_random_state_moves() -> None:
    python, legacy, tensors = random.getstate(), np.random.get_state()[1].copy(), torch.random.get_rng_state()
    for fn in (nn.RReLU(), nn.Dropout(0.5), nn.Tanh(), draws_and_does_not_show_it):
        try:
            theory.gain(fn)
        except InputError:
            continue
    assert random.getstate() == python
    assert (np.random.get_state()[1] == legacy).all()
    assert torch.equal(torch.random.get_rng_state(), tensors)


@pytest.mark.parametrize("q", [0.25, 1.0, 4.0, 9.0])
def test_the_share_of_a_second_moment_beyond_four_standard_deviations(q: float) -> None:
    """exp squared under N(0, q) is a Gaussian about 2√q, so that Φ(2√q − 4) + Φ(−2√q − 4) of it lies beyond 4."""
    shift = 2 * math.sqrt(q)
    expected = special.ndtr(shift - 4) + special.ndtr(-shift - 4)
    assert theory.moments(np.exp, q).tail == pytest.approx(expected, rel=0.02)
    assert theory.moments("relu", q).tail < 2e-3
