"""Fans, geometry and packing: what they count, what blocks they make, and what they refuse."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from initlab import Fans, Geometry, get_scheme, list_schemes
from initlab.errors import InputError
from initlab.sampling import laws
from initlab.schemes import Packing

MATRIX = ["orthogonal", "delta_orthogonal", "identity", "sparse"]
FAN_RULES = [name for name in list_schemes() if get_scheme(name).uses == "fans"]


@pytest.mark.parametrize(
    ("mode", "expected"), [("fan_in", 4.0), ("fan_out", 9.0), ("fan_avg", 6.5), ("fan_geo_avg", 6.0)]
)
def test_modes(mode: str, expected: float) -> None:
    assert Fans(4, 9).mode(mode) == expected


@pytest.mark.parametrize("bad", [0, -1, math.nan, math.inf, "4", None, True])
def test_bad_fans_are_refused(bad: Any) -> None:
    for call in (lambda: Fans(bad, 4), lambda: Fans(4, bad), lambda: get_scheme("he_normal").std((bad, 4))):
        with pytest.raises(InputError, match="fan_"):
            call()


@pytest.mark.parametrize("fans", [(3,), (3, 4, 5), 7, None, "ab"])
def test_what_is_not_a_pair_of_fans_is_refused(fans: Any) -> None:
    with pytest.raises(InputError, match="fan"):
        get_scheme("he_normal").std(fans)


@pytest.mark.parametrize(
    ("shape", "fan_in", "fan_out"), [((5, 7), 7, 5), ((5, 7, 3), 21, 15), ((5, 7, 3, 2), 42, 30), ((1, 1, 9), 9, 9)]
)
def test_from_shape_is_torch_layout(shape: tuple[int, ...], fan_in: float, fan_out: float) -> None:
    geometry = Geometry.from_shape(shape)
    assert (geometry.fan_in, geometry.fan_out) == (fan_in, fan_out)


@pytest.mark.parametrize("shape", [(), (5,), (0, 3), (3, 0), (0,)])
@pytest.mark.parametrize("name", [*FAN_RULES, *MATRIX])
def test_tensors_without_fans_are_refused(shape: tuple[int, ...], name: str) -> None:
    with pytest.raises(InputError) as caught:
        get_scheme(name).sample(shape)
    assert str(shape) in str(caught.value)


@pytest.mark.parametrize("kind", ["bias", "norm_weight", "other"])
@pytest.mark.parametrize("name", FAN_RULES)
def test_a_bias_has_no_fans(kind: str, name: str) -> None:
    with pytest.raises(InputError, match="zeros, ones, constant, uniform or normal"):
        get_scheme(name).law(Geometry((5,), 3, 5, kind=kind))


@pytest.mark.parametrize("name", ["zeros", "ones", "constant", "uniform", "normal", "truncated_normal", "gan_normal"])
@pytest.mark.parametrize("shape", [(), (5,), (0, 3)])
def test_fixed_numbers_fill_any_shape(name: str, shape: tuple[int, ...]) -> None:
    assert get_scheme(name).sample(shape).shape == shape


def test_fans_given_by_hand_reach_any_shape() -> None:
    values = get_scheme("lecun_normal").sample((4000,), fans=(100, 1), seed=1)
    assert float(values.std()) == pytest.approx(0.1, rel=0.05)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"shape": (6, 4), "groups": 4}, "groups must divide"),
        ({"shape": (6, 4), "groups": 0}, "groups must be a positive integer"),
        ({"shape": (6, 4), "groups": 1.5}, "groups must be a positive integer"),
        ({"shape": (6, 4), "out_axis": 2}, "out_axis must be an axis"),
        ({"shape": (6, 4), "in_axis": 0}, "must differ"),
        ({"shape": (6, 4), "in_axis": -2}, "must differ"),
        ({"shape": (6, 4), "kind": "linaer"}, "did you mean 'linear'"),
        ({"shape": (6, 4), "packing": Packing(0, (2, 2))}, "do not fill axis 0"),
        ({"shape": (6, 4), "packing": Packing(5, (2, 2))}, "do not fill axis 5"),
        ({"shape": (6, -4)}, "no negative axis"),
        ({"shape": (6, 4.5)}, "sequence of integers"),
        ({"shape": 6}, "sequence of integers"),
    ],
)
def test_bad_geometry_is_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Geometry(**{"fan_in": 4, "fan_out": 6, **arguments})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sizes": ()}, "positive"),
        ({"sizes": (2, 0)}, "positive"),
        ({"sizes": (2, 2), "labels": ("a",)}, "labels"),
        ({"sizes": (2, 2), "fans": (Fans(1, 1),)}, "fans"),
    ],
)
def test_bad_packing_is_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Packing(axis=0, **arguments)


@pytest.mark.parametrize("name", MATRIX)
def test_matrix_laws_go_block_by_block_and_group_by_group(name: str) -> None:
    packed = Geometry((12, 4), 4, 4, packing=Packing(0, (4, 4, 4), ("q", "k", "v")))
    grouped = Geometry((8, 3, 3, 3), 27, 36, groups=2)
    for geometry, sizes in ((packed, (4, 4, 4)), (grouped, (4, 4))):
        law = get_scheme(name).law(geometry)
        assert isinstance(law, laws.Stacked)
        assert law.sizes == sizes


def test_packed_orthogonal_blocks_are_each_orthogonal() -> None:
    geometry = Geometry((12, 4), 4, 4, packing=Packing(0, (4, 4, 4)))
    blocks = get_scheme("orthogonal").sample((12, 4), fans=geometry).reshape(3, 4, 4).astype(np.float64)
    np.testing.assert_allclose(blocks @ blocks.transpose(0, 2, 1), np.broadcast_to(np.eye(4), (3, 4, 4)), atol=1e-6)


def test_transposed_grouped_identity_is_the_identity_map() -> None:
    """torch's ConvTranspose has (in, out/groups, k): groups lie along axis 0, which is the input axis."""
    layer = nn.ConvTranspose1d(6, 6, 3, padding=1, groups=3, bias=False)
    geometry = Geometry((6, 2, 3), 6, 6, out_axis=1, in_axis=0, groups=3)
    layer.weight.data = torch.from_numpy(get_scheme("identity").sample((6, 2, 3), fans=geometry))
    x = torch.arange(30.0).reshape(1, 6, 5)
    assert torch.equal(layer(x), x)


def test_grouped_identity_is_the_identity_map() -> None:
    layer = nn.Conv2d(6, 6, 3, padding=1, groups=2, bias=False)
    geometry = Geometry((6, 3, 3, 3), 27, 27, groups=2)
    layer.weight.data = torch.from_numpy(get_scheme("dirac").sample((6, 3, 3, 3), fans=geometry))
    x = torch.arange(150.0).reshape(1, 6, 5, 5)
    assert torch.equal(layer(x), x)


def test_elementwise_laws_of_equal_blocks_stay_one_law() -> None:
    equal = Geometry((12, 4), 4, 4, packing=Packing(0, (4, 4, 4)))
    assert isinstance(get_scheme("he_normal").law(equal), laws.Normal)


def test_blocks_with_fans_of_their_own_have_laws_of_their_own() -> None:
    """Grouped-query attention: 8 query units, 2 key and 2 value units over 8 inputs."""
    fans = (Fans(8, 8), Fans(8, 2), Fans(8, 2))
    geometry = Geometry((12, 8), 8, 8, packing=Packing(0, (8, 2, 2), ("q", "k", "v"), fans))
    law = get_scheme("xavier_normal").law(geometry)
    assert isinstance(law, laws.Stacked)
    assert [part.std**2 for part in law.laws] == pytest.approx([2 / 16, 2 / 10, 2 / 10])
    assert isinstance(get_scheme("lecun_normal").law(geometry), laws.Stacked)


@pytest.mark.parametrize("name", FAN_RULES)
def test_std_of_a_transposed_convolution_uses_the_true_fans(name: str) -> None:
    true = Geometry((64, 16, 3, 3), 64 * 9, 16 * 9, out_axis=1, in_axis=0, kind="conv_transpose")
    assert get_scheme(name).std(true) == pytest.approx(get_scheme(name).std((64 * 9, 16 * 9)))


def _like_torch(layer: nn.Module, name: str) -> torch.Tensor:
    return getattr(layer, name).detach()


@pytest.mark.parametrize(
    ("build", "name", "geometry"),
    [
        (lambda: nn.Linear(300, 200), "weight", Geometry((200, 300), 300, 200)),
        (lambda: nn.Linear(9, 9000), "bias", Geometry((9000,), 9, 9000, kind="bias", native_fan_in=9)),
        (lambda: nn.Conv2d(32, 64, 3), "weight", Geometry((64, 32, 3, 3), 288, 576, kind="conv")),
        (
            lambda: nn.ConvTranspose2d(64, 16, 3),
            "weight",
            Geometry((64, 16, 3, 3), 576, 144, out_axis=1, in_axis=0, kind="conv_transpose"),
        ),
        (lambda: nn.Embedding(500, 60), "weight", Geometry((500, 60), 1, 60, out_axis=1, in_axis=0, kind="embedding")),
        (
            lambda: nn.LSTM(20, 100),
            "weight_ih_l0",
            Geometry((400, 20), 20, 100, packing=Packing(0, (100,) * 4), kind="recurrent", native_fan_in=100),
        ),
        (
            lambda: nn.GRU(20, 100),
            "weight_hh_l0",
            Geometry((300, 100), 100, 100, packing=Packing(0, (100,) * 3), kind="recurrent"),
        ),
        (
            lambda: nn.MultiheadAttention(120, 4),
            "in_proj_weight",
            Geometry((360, 120), 120, 120, packing=Packing(0, (120,) * 3), kind="attention"),
        ),
        (lambda: nn.Bilinear(40, 30, 50), "weight", Geometry((50, 40, 30), 1200, 50, kind="bilinear")),
    ],
)
def test_torch_default_is_what_torch_draws(build: Any, name: str, geometry: Geometry) -> None:
    """Bounds of a uniform law: of n values the largest is within 20/n of the bound with probability 1 − e⁻²⁰."""
    state = torch.get_rng_state()
    torch.manual_seed(0)
    values = _like_torch(build(), name)
    torch.set_rng_state(state)
    law = get_scheme("torch_default").law(geometry)
    if isinstance(law, laws.Uniform):
        assert law.high * (1 - 20 / values.numel()) < float(values.abs().max()) <= law.high * (1 + 1e-6)
    else:
        assert law.std == pytest.approx(float(values.std()), rel=0.02)


@pytest.mark.parametrize(
    ("kind", "value"),
    [("norm_weight", 1.0), ("norm_bias", 0.0), ("attention_bias", 0.0), ("prelu", 0.25)],
)
def test_torch_default_of_small_parameters(kind: str, value: float) -> None:
    assert get_scheme("torch_default").law(Geometry((5,), 1, 1, kind=kind)) == laws.Constant(value)


def test_torch_default_of_a_raw_parameter_is_refused() -> None:
    with pytest.raises(InputError, match="name a scheme"):
        get_scheme("torch_default").law(Geometry((5,), 1, 1, kind="other"))


@pytest.mark.parametrize("fans", [(0.25, 64.0), (64.0, 0.4)])
def test_fans_below_one_half_have_a_std(fans: tuple[float, float]) -> None:
    """A strided convolution of one tap reaches a quarter of an output on average."""
    assert get_scheme("lecun_normal").std(fans) == pytest.approx(fans[0] ** -0.5)


@pytest.mark.parametrize(
    "geometry", [Geometry((8, 2, 3, 3), 18, 18, groups=4), Geometry((8, 4), 4, 4, packing=Packing(0, (4, 4)))]
)
def test_the_std_of_grouped_and_packed_identities_is_that_of_their_values(geometry: Geometry) -> None:
    values = get_scheme("identity").sample(geometry.shape, fans=geometry)
    assert get_scheme("identity").std(geometry) == pytest.approx(values.std())
