"""`rezero`: residual branches multiplied by a parameter that begins at zero, Xavier elsewhere."""

from __future__ import annotations

from initlab.planning.policy import Policy, RoleLaw, Training, has
from initlab.schemes import get_scheme

RECIPE = Policy(
    name="rezero",
    about="the factor α of every residual branch zero, weights and biases as torch draws them",
    source="Bachlechner et al., ReZero is all you need (2021), section 3",
    code=(
        "majumderb/rezero rezero/transformer/rztx.py, RZTXEncoderLayer (bfea86b): resweight 0, one for both "
        "branches of a layer; nn.MultiheadAttention and nn.Linear as torch draws them"
    ),
    year=2021,
    laws=(
        RoleLaw("branch_scale", get_scheme("zeros"), "0: every branch starts as the identity"),
        RoleLaw("weight", get_scheme("torch_default")),
        RoleLaw("bias", get_scheme("torch_default")),
    ),
    needs=(has("branch_scale", words="a factor on every residual branch"),),
    training=Training(more="the rate of the model with norms, without warm-up"),
    right="Deep transformers and networks without norms whose branches have one factor each.",
    wrong="Models whose branches have no factor of their own.",
    leaves="Tables (N(0, 1) here). The authors' layers have one factor for both branches, others one each.",
)
