"""`sparse`: a fixed number of weights that are not zero, of each column or of each row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from initlab.sampling import laws
from initlab.schemes import checks
from initlab.schemes.geometry import Geometry
from initlab.schemes.scheme import Scheme


def _law(geometry: Geometry, arguments: Mapping[str, Any], gain: float | None) -> laws.Law:
    std, incoming = arguments["std"], arguments["incoming"]
    if incoming is None:
        return laws.Sparse(std, arguments["sparsity"], geometry.out_axis, geometry.in_axis)
    inputs = geometry.shape[geometry.in_axis]
    # Half a weight away from a whole number of zeros, whatever the product with the inputs rounds to.
    share = max(0.0, inputs - incoming - 0.5) / inputs
    return laws.Sparse(std, share, geometry.in_axis, geometry.out_axis)


SCHEME = Scheme(
    name="sparse",
    formula=(
        "each column: ⌈sparsity · rows⌉ entries are 0, the others ~ N(0, std²); with incoming = k, each row: all but k "
        "entries are 0"
    ),
    latex=(
        r"W_{ij} = 0 \text{ for } \lceil s\, n_{out} \rceil \text{ rows of each column, else } \mathcal{N}(0, "
        r"\sigma^2)"
    ),
    keeps=(
        "With incoming: each unit's input at a fixed number of terms, whatever the layer's width. With sparsity: the "
        "number of units that each input reaches."
    ),
    why=(
        "With k incoming weights of variance σ² a unit sums k σ² E[x²] however wide the layer is, so units stay "
        "distinct: Martens takes incoming=15 and std=1. torch's form fixes the zeros of each column instead; a unit "
        "then sums about (1 − sparsity) · fan_in terms."
    ),
    source="Martens, Deep learning via Hessian-free optimization, section 5; sparsity: torch.nn.init.sparse_",
    year=2010,
    suits=("tanh", "sigmoid"),
    misuse="The default std is torch's, far smaller than Martens' 1: with it signals shrink in deep nets.",
    arguments={"sparsity": 0.9, "std": 0.01, "incoming": None},
    rule=_law,
    checks={"sparsity": checks.share, "std": checks.at_least_zero, "incoming": checks.count_or_none},
    uses="matrix",
)
