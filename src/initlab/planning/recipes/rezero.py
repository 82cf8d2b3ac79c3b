"""`rezero`: residual branches multiplied by a parameter that begins at zero, Xavier elsewhere."""

from __future__ import annotations

from initlab.planning.policy import Policy, RoleLaw, Training, has
from initlab.schemes import get_scheme

RECIPE = Policy(
    name="rezero",
    about="the factor α of every residual branch zero, weights Xavier's",
    source="Bachlechner et al., ReZero is all you need (2021), section 3",
    year=2021,
    laws=(
        RoleLaw("branch_scale", get_scheme("zeros"), "0: every branch starts as the identity"),
        RoleLaw("weight", get_scheme("xavier_normal")),
    ),
    needs=(has("branch_scale", words="a factor on every residual branch"),),
    training=Training(more="the rate of the model with norms, without warm-up"),
    right="Deep transformers and networks without norms whose branches have one factor each.",
    wrong="Models whose branches have no factor of their own.",
    leaves="The law of the other weights, which the paper leaves as in the library.",
)
