"""`nanochat`: every matrix by the spectral condition, ends of branches and the read-out zero."""

from __future__ import annotations

from initlab.planning.policy import Policy, RoleLaw, Training, has, has_head
from initlab.schemes import get_scheme

RECIPE = Policy(
    name="nanochat",
    about="std min(1, √(fan_out/fan_in))/√fan_in; ends of branches and read-out zero; tables N(0, 1)",
    source="karpathy/nanochat nanochat/gpt.py, GPT.init_weights (October 2025)",
    code="karpathy/nanochat nanochat/gpt.py at its first commit (3a5e0bc); later ones draw uniforms",
    year=2025,
    laws=(
        RoleLaw("head", get_scheme("zeros")),
        RoleLaw("branch_end", get_scheme("zeros"), "0: every branch starts as the identity"),
        RoleLaw("weight", get_scheme("spectral")),
        RoleLaw("embedding", get_scheme("normal", std=1.0)),
    ),
    needs=(
        has_head(),
        has("branch_end", words="residual branches that end in a weight"),
    ),
    training=Training("muon", 0.02, more="matrices; tables by AdamW at 0.2, the read-out at 0.004, times √(768/width)"),
    right="Small decoders with norms before the branches, trained by Muon.",
    wrong="Post-norm models, whose branches must say something for the norm to read.",
    leaves="Norms there have no scale.",
)
