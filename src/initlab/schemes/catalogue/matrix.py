"""Schemes that need the weight as a matrix: orthogonal, identity and sparse. Blocks and groups are drawn one by one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from initlab.sampling import laws
from initlab.schemes import checks
from initlab.schemes.geometry import Geometry
from initlab.schemes.scheme import Scheme

_Arguments = Mapping[str, Any]


def _gain(arguments: _Arguments, gain: float | None) -> float:
    return float(arguments["gain"] if gain is None else gain)


def _orthogonal(geometry: Geometry, arguments: _Arguments, gain: float | None) -> laws.Law:
    return laws.Orthogonal(_gain(arguments, gain), geometry.out_axis, geometry.in_axis)


def _delta_orthogonal(geometry: Geometry, arguments: _Arguments, gain: float | None) -> laws.Law:
    return laws.DeltaOrthogonal(_gain(arguments, gain), geometry.out_axis, geometry.in_axis)


def _identity(geometry: Geometry, arguments: _Arguments, gain: float | None) -> laws.Law:
    return laws.Identity(_gain(arguments, gain), geometry.out_axis, geometry.in_axis)


def _sparse(geometry: Geometry, arguments: _Arguments, gain: float | None) -> laws.Law:
    return laws.Sparse(arguments["std"], arguments["sparsity"], geometry.out_axis, geometry.in_axis)


MATRIX = (
    Scheme(
        name="orthogonal",
        formula=(
            "W = gain · Q, Q Haar-distributed with Q Qᵀ = I or Qᵀ Q = I (rows = outputs, columns = inputs × kernel)"
        ),
        latex=r"W = g\,Q, \quad Q Q^\top = I \text{ or } Q^\top Q = I, \quad Q \sim \text{Haar}",
        keeps="The length of every vector, not only of the average one: all singular values are gain.",
        why=(
            "QR of a Gaussian matrix gives Q; multiplying its columns by the signs of R's diagonal makes Q "
            "Haar-distributed (without it, LAPACK's sign convention biases Q). ‖Qx‖ = ‖x‖, so a product of many "
            "layers keeps all directions, where a product of Gaussian matrices keeps only the mean of the squared "
            "singular values."
        ),
        source=(
            "Saxe, McClelland & Ganguli, Exact solutions to the nonlinear dynamics of learning; signs: Mezzadri 2007"
        ),
        year=2014,
        suits=("identity", "tanh"),
        misuse=(
            "ReLU cannot keep all directions, orthogonal weights or not (Pennington et al. 2017): use gain √2 there; "
            "the advantage over He is small."
        ),
        arguments={"gain": 1.0},
        rule=_orthogonal,
        checks={"gain": checks.at_least_zero},
        uses="matrix",
    ),
    Scheme(
        name="delta_orthogonal",
        formula="W = 0 but for the kernel's centre, which is gain · Q with orthonormal columns (or rows)",
        latex=r"W_{:,:,\beta} = g\,Q\,\delta_{\beta,\text{centre}}, \quad Q^\top Q = I",
        keeps="The length of the signal at every place of the feature map, so that very deep plain CNNs train.",
        why=(
            "With only the centre tap the convolution is one orthogonal map applied at each position, whose singular "
            "values are all gain. Spread over the kernel, an orthogonal weight is not an orthogonal convolution."
        ),
        source="Xiao et al., Dynamical isometry and a mean field theory of CNNs, algorithm 1",
        year=2018,
        suits=("tanh", "identity"),
        misuse="With few layers the kernel starts as a 1×1 convolution, and must first learn to look around.",
        arguments={"gain": 1.0},
        rule=_delta_orthogonal,
        checks={"gain": checks.at_least_zero},
        uses="matrix",
    ),
    Scheme(
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
        rule=_identity,
        checks={"gain": checks.at_least_zero},
        uses="matrix",
    ),
    Scheme(
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
        rule=_sparse,
        checks={"sparsity": checks.share, "std": checks.at_least_zero},
        uses="matrix",
    ),
)
