"""`dit`: diffusion transformers whose branches begin closed (adaLN-Zero)."""

from __future__ import annotations

from initlab.planning.policy import Policy, RoleLaw, Training, has, has_head
from initlab.planning.recipes.common.given import Normal, flattened_patch
from initlab.schemes import get_scheme

RECIPE = Policy(
    name="dit",
    about="Xavier uniform; what makes the scales of norms and the read-out zero; step and label embeddings N(0, 0.02²)",
    source="Peebles & Xie, Scalable diffusion models with transformers (2023), section 3.2; facebookresearch/DiT",
    code="facebookresearch/DiT models.py, initialize_weights (ed81ce2)",
    year=2023,
    laws=(
        RoleLaw("modulation", get_scheme("zeros"), "0: every branch starts as the identity"),
        RoleLaw("head", get_scheme("zeros")),
        RoleLaw("conv", flattened_patch, "U(±√(6/(out + in · kernel)))"),
        RoleLaw("packed_attention", flattened_patch, "U(±√(6/(rows + columns))), packed as it lies"),
        RoleLaw("in_branch", get_scheme("xavier_uniform")),
        RoleLaw("weight", Normal("std"), "N(0, std²): the MLP that embeds the step"),
        RoleLaw("embedding", Normal("std"), "N(0, std²): the labels"),
    ),
    numbers={"std": 0.02},
    needs=(
        has("modulation", words="adaptive norms (adaLN)"),
        has_head(),
    ),
    training=Training("adamw", 1e-4, (0.9, 0.999), 1e-8, 0.0, "constant", "batch 256; EMA 0.9999"),
    right="Diffusion transformers and others with adaptive norms.",
    wrong="Without adaptive norms nothing closes the branches.",
    leaves="Positions, which are fixed sines there.",
)
