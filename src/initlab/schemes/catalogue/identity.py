"""`identity`: gain times the identity."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from initlab.sampling import laws
from initlab.schemes import checks
from initlab.schemes.geometry import Geometry
from initlab.schemes.scheme import Scheme


def _law(geometry: Geometry, arguments: Mapping[str, Any], gain: float | None) -> laws.Law:
    return laws.Identity(float(arguments["gain"] if gain is None else gain), geometry.out_axis, geometry.in_axis)


SCHEME = Scheme(
    name="identity",
    formula="W = gain · I (for a convolution: I at the kernel's centre), zero elsewhere",
    latex=r"W_{ij} = g\,\delta_{ij}, \quad W_{ij\beta} = g\,\delta_{ij}\,\delta_{\beta,\text{centre}}",
    keeps="The signal itself: y = gain · x.",
    why="I x = x. In a ReLU recurrent net the hidden state is carried on without decay, and so is its gradient.",
    source="Le, Jaitly & Hinton, A simple way to initialize recurrent networks of rectified linear units",
    year=2015,
    suits=("identity", "relu"),
    misuse=(
        "Rows past the square part are zero: those units are equal to one another. Deep plain stacks learn "
        "slowly from it."
    ),
    arguments={"gain": 1.0},
    rule=_law,
    checks={"gain": checks.at_least_zero},
    uses="matrix",
    aliases=("dirac", "eye"),
)
