"""`orthogonal`: gain times a Haar-distributed orthogonal matrix."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from initlab.sampling import laws
from initlab.schemes import checks
from initlab.schemes.geometry import Geometry
from initlab.schemes.scheme import Scheme


def _law(geometry: Geometry, arguments: Mapping[str, Any], gain: float | None) -> laws.Law:
    return laws.Orthogonal(float(arguments["gain"] if gain is None else gain), geometry.out_axis, geometry.in_axis)


SCHEME = Scheme(
    name="orthogonal",
    formula=("W = gain · Q, Q Haar-distributed with Q Qᵀ = I or Qᵀ Q = I (rows = outputs, columns = inputs × kernel)"),
    latex=r"W = g\,Q, \quad Q Q^\top = I \text{ or } Q^\top Q = I, \quad Q \sim \text{Haar}",
    keeps="The length of every vector, not only of the average one: all singular values are gain.",
    why=(
        "QR of a Gaussian matrix gives Q; multiplying its columns by the signs of R's diagonal makes Q "
        "Haar-distributed (without it, LAPACK's sign convention biases Q). ‖Qx‖ = ‖x‖, so a product of many "
        "layers keeps all directions, where a product of Gaussian matrices keeps only the mean of the squared "
        "singular values."
    ),
    source=("Saxe, McClelland & Ganguli, Exact solutions to the nonlinear dynamics of learning; signs: Mezzadri 2007"),
    year=2014,
    suits=("identity", "tanh"),
    misuse=(
        "ReLU cannot keep all directions, orthogonal weights or not (Pennington et al. 2017): use gain √2 there; "
        "the advantage over He is small."
    ),
    arguments={"gain": 1.0},
    rule=_law,
    checks={"gain": checks.at_least_zero},
    uses="matrix",
)
