"""`auto`: the gain of what feeds each layer, derived and then measured."""

from __future__ import annotations

from initlab.planning.defaults.by_role import spread_bias
from initlab.planning.defaults.weights import fed_weight
from initlab.planning.policy import Policy, RoleLaw

RECIPE = Policy(
    name="auto",
    about=(
        "Var(W) = gain² / fan_in with the gain of the function that feeds each layer; hidden-to-hidden weights "
        "orthogonal; one pass on the example inputs corrects what misses its target"
    ),
    source="LeCun et al. (1998); He et al. (2015), equation 10, taken at the layer's input",
    year=2015,
    laws=(
        RoleLaw("weight", fed_weight, "Var(W) = gain² / fan_in, the gain being that of what feeds the layer"),
        RoleLaw("bias", spread_bias, "zero; U(±1/√n) beside a weight that reads data of n < 8 features"),
    ),
    right="Any model whose recipe nobody has written: it derives what it can and measures the rest.",
    wrong="Where a published result is to be repeated: its authors drew something else.",
    leaves="The learning rate.",
    measured=True,
)
