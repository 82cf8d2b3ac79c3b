"""`sparse`: a fixed number of non-zero weights a column."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from initlab.sampling import laws
from initlab.schemes import checks
from initlab.schemes.geometry import Geometry
from initlab.schemes.scheme import Scheme


def _law(geometry: Geometry, arguments: Mapping[str, Any], gain: float | None) -> laws.Law:
    return laws.Sparse(arguments["std"], arguments["sparsity"], geometry.out_axis, geometry.in_axis)


SCHEME = Scheme(
    name="sparse",
    formula="each column: ⌈sparsity · rows⌉ entries are 0, the others ~ N(0, std²)",
    latex=(
        r"W_{ij} = 0 \text{ for } \lceil s\, n_{out} \rceil \text{ rows of each column, else } \mathcal{N}(0, "
        r"\sigma^2)"
    ),
    keeps="Each unit's input at a fixed number of terms, whatever the layer's width.",
    why=(
        "With k incoming weights of variance σ² a unit sums k σ² E[x²] however wide the layer is, so units stay "
        "distinct."
    ),
    source="Martens, Deep learning via Hessian-free optimization, section 5",
    year=2010,
    suits=("tanh", "sigmoid"),
    misuse="The default std is torch's, far smaller than Martens' 1: with it signals shrink in deep nets.",
    arguments={"sparsity": 0.9, "std": 0.01},
    rule=_law,
    checks={"sparsity": checks.share, "std": checks.at_least_zero},
    uses="matrix",
)
