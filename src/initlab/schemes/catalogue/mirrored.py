"""`mirrored`: units in pairs u, −u, which a layer reads as the odd part of its activation ("looks linear")."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from initlab.errors import known
from initlab.sampling import laws
from initlab.schemes import checks
from initlab.schemes.geometry import Geometry
from initlab.schemes.scheme import Scheme

SIDES = ("both", "outputs", "inputs")


def _side(name: str, value: Any) -> str:
    return known(name, value, SIDES)


def _law(geometry: Geometry, arguments: Mapping[str, Any], gain: float | None) -> laws.Law:
    number, side = float(arguments["gain"] if gain is None else gain), arguments["side"]
    return laws.Mirrored(number, geometry.out_axis, geometry.in_axis, side != "inputs", side != "outputs")


SCHEME = Scheme(
    name="mirrored",
    formula="W = gain · [[A, −A], [−A, A]], A orthogonal, at the kernel's centre; first layer [A; −A], last [A, −A]",
    latex=r"W = g \begin{pmatrix} A & -A \\ -A & A \end{pmatrix}, \quad A^\top A = I \text{ or } A A^\top = I",
    keeps="Directions and lengths of signals and gradients through hundreds of plain layers, whatever the activation.",
    why=(
        "Units stand in pairs u, −u, and the next layer reads ψ(u) = φ(u) − φ(−u), the odd part. For ReLU, GELU, SiLU, "
        "softplus and hard swish ψ(u) = u exactly: the network starts as a product of orthogonal matrices. For others "
        "gain² = 1/E[ψ'(z)²] keeps the mean squared singular value of each layer's Jacobian at one."
    ),
    source="Balduzzi et al., The shattered gradients problem, section 4.1; orthogonal A: Saxe et al. 2014",
    year=2017,
    suits=("relu", "leaky_relu", "gelu", "silu", "softplus", "elu", "sigmoid"),
    misuse=(
        "Inputs must come in pairs: a layer that reads data takes side='outputs', or differences of unrelated inputs "
        "are all it sees. Odd activations (tanh, sin) gain nothing over orthogonal. Residual or normalised networks "
        "need none of it, and half of the units start as copies of the other half."
    ),
    arguments={"gain": 1.0, "side": "both"},
    rule=_law,
    checks={"gain": checks.at_least_zero, "side": _side},
    uses="matrix",
)
