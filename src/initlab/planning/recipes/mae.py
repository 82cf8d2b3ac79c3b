"""`mae`: masked autoencoders."""

from __future__ import annotations

from initlab.planning.policy import Policy, RoleLaw, Training, has
from initlab.planning.recipes.common.given import Normal, flattened_patch
from initlab.schemes import get_scheme

RECIPE = Policy(
    name="mae",
    about="Xavier uniform, the patch projection as a matrix too, tokens N(0, 0.02²), positions as they are made",
    source="He et al., Masked autoencoders (2022), appendix A.1; facebookresearch/mae models_mae.py",
    code="facebookresearch/mae models_mae.py (efb2a80)",
    year=2022,
    laws=(
        RoleLaw("conv", flattened_patch, "U(±√(6/(out + in · kernel)))"),
        RoleLaw("conv_bias", get_scheme("torch_default"), "U(±1/√fan_in): the patch projection's, as torch draws it"),
        RoleLaw("packed_attention", flattened_patch, "U(±√(6/(rows + columns))), packed as it lies"),
        RoleLaw("weight", get_scheme("xavier_uniform")),
        RoleLaw("token", Normal("token"), "N(0, token²)"),
    ),
    numbers={"token": 0.02},
    needs=(
        has("conv", words="a patch projection"),
        has("token", words="a token beside the patches"),
    ),
    training=Training(
        "adamw",
        1.5e-4,
        (0.9, 0.95),
        1e-8,
        0.05,
        "40 epochs of warm-up, cosine",
        "rate · batch / 256",
    ),
    right="Masked autoencoders with fixed sine positions.",
    wrong="q, k and v in weights of their own, each then drawn for itself: the code packs them and draws the whole.",
    leaves="Positions, which are fixed there (a frozen parameter or a buffer is kept).",
)
