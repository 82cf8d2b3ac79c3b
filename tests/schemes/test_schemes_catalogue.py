"""Every entry of the catalogue: its std from its source, its arguments, its words; and what is refused."""

from __future__ import annotations

import copy
import math
import pickle
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats

from initlab import Fans, Geometry, get_scheme, list_schemes, plan
from initlab.errors import InputError
from initlab.sampling import laws
from initlab.schemes import ALIASES, Scheme, scheme_like
from initlab.schemes.registry import ENTRIES

N, M = 300.0, 200.0

# name, arguments, std for (fan_in, fan_out) = (300, 200), the source of the number
STDS: list[tuple[str, dict[str, Any], float, str]] = [
    ("zeros", {}, 0.0, "constant"),
    ("ones", {}, 0.0, "constant"),
    ("constant", {"value": 3.0}, 0.0, "constant"),
    ("uniform", {"low": -1.0, "high": 2.0}, 3 / math.sqrt(12), "(b − a)/√12"),
    ("normal", {"std": 0.02}, 0.02, "as asked"),
    ("normal", {"std": 0.0}, 0.0, "a zero std is allowed"),
    ("truncated_normal", {"std": 0.3}, 0.3, "the std after the cut"),
    ("truncated_normal", {"std": 0.3, "low": -0.6, "high": 0.8}, 0.3, "the std after the cut"),
    ("gan_normal", {}, 0.02, "Radford et al. 2016 §4"),
    ("lecun_normal", {}, math.sqrt(1 / N), "LeCun et al. 1998 eq. 16"),
    ("lecun_uniform", {}, math.sqrt(1 / N), "LeCun et al. 1998 eq. 16"),
    ("xavier_normal", {}, math.sqrt(2 / (N + M)), "Glorot & Bengio 2010 eq. 12"),
    ("xavier_uniform", {}, math.sqrt(6 / (N + M)) / math.sqrt(3), "Glorot & Bengio 2010 eq. 16"),
    ("xavier_uniform", {"gain": 5 / 3}, 5 / 3 * math.sqrt(2 / (N + M)), "gain times the std"),
    ("xavier_normal", {"gain": 0.0}, 0.0, "zero gain is allowed"),
    ("he_normal", {}, math.sqrt(2 / N), "He et al. 2015 eq. 10"),
    ("he_normal", {"mode": "fan_out"}, math.sqrt(2 / M), "He et al. 2015 eq. 14"),
    ("he_normal", {"mode": "fan_avg"}, math.sqrt(4 / (N + M)), "2 over the mean of the fans"),
    ("he_normal", {"mode": "fan_geo_avg"}, math.sqrt(2 / math.sqrt(N * M)), "2 over the geometric mean"),
    ("he_normal", {"negative_slope": 0.2}, math.sqrt(2 / 1.04 / N), "He et al. 2015 eq. 15"),
    ("he_normal", {"negative_slope": -3.0}, math.sqrt(2 / 10 / N), "any slope: 1 + a²"),
    ("he_uniform", {}, math.sqrt(6 / N) / math.sqrt(3), "He et al. 2015; U(−a, a) has std a/√3"),
    ("variance_scaling", {}, math.sqrt(1 / N), "Keras VarianceScaling"),
    ("variance_scaling", {"scale": 2.0, "mode": "fan_out", "distribution": "uniform"}, math.sqrt(2 / M), "Keras"),
    ("small_init", {}, math.sqrt(2 / (5 * N)), "Nguyen & Salazar 2019"),
    ("siren", {}, math.sqrt(6 / N) / 30 / math.sqrt(3), "Sitzmann et al. 2020 §3.2"),
    ("siren", {"omega": 1.0}, math.sqrt(2 / N), "Sitzmann et al. 2020 §3.2"),
    ("spectral", {}, math.sqrt(M / N) / math.sqrt(N), "Yang, Simon & Bernstein 2023, parametrization 1"),
    ("orthogonal", {}, 1 / math.sqrt(N), "Σ squares = min(r, c), so std = 1/√max(r, c)"),
    ("orthogonal", {"gain": 2.0}, 2 / math.sqrt(N), "gain times the std"),
    ("delta_orthogonal", {}, 1 / math.sqrt(N), "a 1×1 kernel is an orthogonal matrix"),
    ("mirrored", {}, 1 / math.sqrt(N / 2), "A of half the size each way, four times"),
    ("mirrored", {"side": "outputs"}, 1 / math.sqrt(N), "[A; −A]: A has all the inputs"),
    ("identity", {}, math.sqrt(1 / N - 1 / N**2), "one element in 300 is 1"),
    ("sparse", {"sparsity": 0.75, "std": 2.0}, 1.0, "a quarter of the elements have variance 4"),
    ("sparse", {"incoming": 15, "std": 1.0}, math.sqrt(15 / N), "Martens 2010 §5: 15 weights a unit"),
    ("torch_default", {}, 1 / math.sqrt(3 * N), "kaiming_uniform(a=√5): U(±1/√fan_in)"),
]


@pytest.mark.parametrize(("name", "arguments", "std", "source"), STDS)
def test_std_is_that_of_the_source(name: str, arguments: dict[str, Any], std: float, source: str) -> None:
    assert get_scheme(name, **arguments).std((N, M)) == pytest.approx(std, rel=1e-6), source
    assert get_scheme(name, **arguments).std(Fans(N, M)) == pytest.approx(std, rel=1e-6), source


@pytest.mark.parametrize(("name", "arguments", "std", "source"), STDS)
def test_drawn_values_have_that_std(name: str, arguments: dict[str, Any], std: float, source: str) -> None:
    """Exact chi-square interval (99.99%) for independent elements; exact for matrix laws and constants."""
    shape = (int(M), int(N))
    values = get_scheme(name, **arguments).sample(shape, seed=0).astype(np.float64)
    law = get_scheme(name, **arguments).law(Geometry.from_shape(shape))
    second = float(((values - law.mean) ** 2).mean()) if not math.isnan(law.mean) else float(values.var())
    if isinstance(law, laws.Uniform | laws.Normal | laws.TruncatedNormal) and std > 0:
        low, high = (stats.chi2.ppf(p, values.size) / values.size for p in (5e-5, 1 - 5e-5))
        assert low < second / std**2 < high, source
    else:
        assert second == pytest.approx(std**2, rel=0.03, abs=1e-12), source


def test_every_entry_has_a_row_above() -> None:
    assert {name for name, *_ in STDS} == set(list_schemes())


@pytest.mark.parametrize("name", list_schemes())
def test_every_entry_says_what_it_is(name: str) -> None:
    scheme = get_scheme(name)
    for field in ("formula", "latex", "keeps", "why", "source", "misuse"):
        assert len(getattr(scheme, field)) > 3, field
    assert 1980 < scheme.year < 2027
    assert set(scheme.arguments) == set(scheme.checks)
    assert scheme.formula in repr(scheme)


@pytest.mark.parametrize("name", list_schemes())
def test_a_scheme_is_a_value(name: str) -> None:
    scheme = get_scheme(name)
    for again in (copy.deepcopy(scheme), pickle.loads(pickle.dumps(scheme)), scheme.with_(), scheme_like(scheme)):
        assert again == scheme
        assert hash(again) == hash(scheme)
    assert scheme.label == name


@pytest.mark.parametrize(("alias", "name"), sorted(ALIASES.items()))
def test_aliases(alias: str, name: str) -> None:
    assert get_scheme(alias) == ENTRIES[name]


@pytest.mark.parametrize(
    ("short", "name"),
    [("he", "he_normal"), ("kaiming", "he_normal"), ("xavier", "xavier_normal"), ("glorot", "xavier_normal")],
)
def test_a_family_name_means_the_normal_form_and_the_plan_says_so(short: str, name: str) -> None:
    assert get_scheme(short) == get_scheme(name)
    entry = plan(torch.nn.Linear(3, 2), policy=short)["weight"]
    assert entry.scheme == name
    assert entry.reason == f"policy {name} ({short!r} means {name})"
    assert f"`{short}`" in str(get_scheme.__doc__)


def test_label_shows_what_was_changed() -> None:
    scheme = get_scheme("he_normal", mode="fan_out", negative_slope=0.2)
    assert scheme.label == "he_normal(mode='fan_out', negative_slope=0.2)"
    assert scheme != get_scheme("he_normal")


@pytest.mark.parametrize(
    ("name", "reference"),
    [
        ("xavier_uniform", torch.nn.init.xavier_uniform_),
        ("xavier_normal", torch.nn.init.xavier_normal_),
        ("he_uniform", lambda w: torch.nn.init.kaiming_uniform_(w, nonlinearity="relu")),
        ("he_normal", lambda w: torch.nn.init.kaiming_normal_(w, nonlinearity="relu")),
        ("torch_default", lambda w: torch.nn.init.kaiming_uniform_(w, a=math.sqrt(5))),
    ],
)
@pytest.mark.parametrize("shape", [(400, 600), (64, 32, 5, 5)])
def test_dense_and_plain_convolution_agree_with_torch(name: str, reference: Any, shape: tuple[int, ...]) -> None:
    tensor = torch.empty(shape)
    generator = torch.get_rng_state()
    reference(tensor)
    torch.set_rng_state(generator)
    assert get_scheme(name).std(Geometry.from_shape(shape)) == pytest.approx(float(tensor.std()), rel=0.02)


def test_arguments_beyond_the_range_of_numbers_are_refused_in_one_line() -> None:
    with pytest.raises(InputError, match=r"negative_slope=1e\+308.* is beyond the range of numbers"):
        get_scheme("he_normal", negative_slope=1e308).std((10, 10))


@pytest.mark.parametrize("gain", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("name", ["lecun_normal", "he_normal", "he_uniform", "variance_scaling", "lecun_uniform"])
def test_a_given_gain_replaces_the_schemes_own(name: str, gain: float) -> None:
    assert get_scheme(name).law(Geometry.from_shape((50, 100)), gain=gain).std == pytest.approx(gain / 10)


@pytest.mark.parametrize("gain", [0.5, 2.0])
def test_a_given_gain_scales_orthogonal_and_leaves_fixed_numbers(gain: float) -> None:
    geometry = Geometry.from_shape((50, 100))
    law = get_scheme("orthogonal", gain=7.0).law(geometry, gain=gain)
    assert law.std_of((50, 100)) == pytest.approx(gain / 10)
    assert get_scheme("normal", std=0.3).law(geometry, gain=gain).std == 0.3


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("he_norml", {}, "did you mean 'he_normal'"),
        ("", {}, "unknown scheme"),
        ("fixup", {}, "a recipe for a whole model goes to plan or init_ by its name"),
        (7, {}, "must be a string"),
        ("he_normal", {"std": 0.1}, "accepts mode, negative_slope"),
        ("zeros", {"value": 1}, "accepts no arguments"),
        ("he_normal", {"mode": "fan_inn"}, "did you mean 'fan_in'"),
        ("he_normal", {"negative_slope": math.nan}, "negative_slope"),
        ("normal", {"std": -1.0}, "std must be at least 0"),
        ("normal", {"std": math.inf}, "std"),
        ("normal", {"mean": math.nan}, "mean"),
        ("normal", {"std": "0.1"}, "std"),
        ("normal", {"std": True}, "std"),
        ("constant", {"value": -math.inf}, "value"),
        ("constant", {"value": None}, "value"),
        ("uniform", {"low": 1.0, "high": 0.0}, "low must not exceed high"),
        ("truncated_normal", {"low": 1.0, "high": -1.0, "std": 0.1}, "low must be below high"),
        ("truncated_normal", {"low": 40.0, "high": 41.0, "std": 0.1}, "mean must lie near"),
        ("truncated_normal", {"low": -1.0}, "both low and high"),
        ("truncated_normal", {"sigmas": 0.0}, "sigmas"),
        ("truncated_normal", {"sigmas": 40.0}, "sigmas"),
        ("xavier_normal", {"gain": -1.0}, "gain must be at least 0"),
        ("orthogonal", {"gain": math.nan}, "gain"),
        ("variance_scaling", {"scale": -1.0}, "scale"),
        ("variance_scaling", {"distribution": "cauchy"}, "unknown distribution"),
        ("sparse", {"sparsity": 1.5}, "sparsity must be at most 1"),
        ("sparse", {"sparsity": -0.1}, "sparsity must be at least 0"),
        ("sparse", {"sparsity": math.nan}, "sparsity"),
        ("sparse", {"incoming": 0}, "incoming must be a whole number of at least 1"),
        ("siren", {"omega": 0.0}, "omega must be greater than 0"),
    ],
)
def test_bad_arguments_are_refused_in_one_line(name: Any, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        get_scheme(name, **arguments)
    assert "\n" not in str(caught.value)


def test_equal_uniform_bounds_are_a_constant() -> None:
    assert get_scheme("uniform", low=0.5, high=0.5).std((3, 4)) == 0.0


@pytest.mark.parametrize("shape", [3, "ab", (2.0, 3), (-1, 3), None])
def test_bad_shape_is_refused(shape: Any) -> None:
    with pytest.raises(InputError, match="shape must"):
        get_scheme("he_normal").sample(shape)


@pytest.mark.parametrize("gain", [math.nan, math.inf, -1.0, "2"])
def test_bad_gain_is_refused(gain: Any) -> None:
    with pytest.raises(InputError, match="gain"):
        get_scheme("he_normal").law(Geometry.from_shape((2, 3)), gain=gain)


def own(rule: Any) -> Scheme:
    words = {"formula": "std = scale/fan_in", "latex": "", "keeps": "", "why": "", "source": "", "misuse": ""}
    return Scheme(name="own", year=2026, suits=(), arguments={"scale": 1.0}, rule=rule, **words)


def test_a_users_own_scheme_takes_its_arguments_and_returns_a_law() -> None:
    scheme = own(lambda geometry, arguments, gain: laws.Normal(0.0, arguments["scale"] / geometry.fan_in))
    assert scheme.with_(scale=3.0).std((6, 4)) == 0.5
    with pytest.raises(InputError, match="accepts scale"):
        scheme.with_(size=3.0)
    with pytest.raises(InputError, match="must return a law"):
        own(lambda *_: None).std((6, 4))


@pytest.mark.parametrize("shape", [(20, 784), (20, 17), (20, 9), (12, 49, 3), (1, 784)])
def test_every_unit_of_martens_sparse_start_reads_as_many_inputs(shape: tuple[int, ...]) -> None:
    """Martens 2010, section 5: a hard limit on the weights that come into each unit, however wide the layer."""
    values = get_scheme("sparse", incoming=15, std=1.0).sample(shape, seed=1)
    assert ((values != 0).sum(1) == min(15, shape[1])).all()
