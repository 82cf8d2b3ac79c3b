"""`lecun_normal`: Var(W) = 1 / fan_in, normal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from initlab.sampling import laws
from initlab.schemes.geometry import Geometry
from initlab.schemes.scaling import FORWARD, own_gain, scaled
from initlab.schemes.scheme import Scheme

SOURCE = "LeCun, Bottou, Orr & Müller, Efficient backprop, section 4.6, equation 16"
MISUSE = "With ReLU the second moment halves at every layer; with sigmoid signals collapse onto their mean."


def _law(geometry: Geometry, arguments: Mapping[str, Any], gain: float | None) -> laws.Law:
    return scaled(geometry, "fan_in", "normal", own_gain(gain, 1.0))


SCHEME = Scheme(
    name="lecun_normal",
    formula="W ~ N(0, 1 / fan_in)",
    latex=r"W_{ij} \sim \mathcal{N}\left(0, \tfrac{1}{n_{in}}\right)",
    keeps="The second moment of the forward signal, for inputs that come as they are.",
    why=FORWARD + "The std is √(1/n), not 1/n, as some copies have it. SELU is built to have gain 1 under this law.",
    source=SOURCE,
    year=1998,
    suits=("identity", "tanh", "selu"),
    misuse=MISUSE,
    arguments={},
    rule=_law,
    checks={},
)
