"""`metaformer`: blocks of a mixer and an MLP, whatever the mixer."""

from __future__ import annotations

from initlab.planning.choice import Options
from initlab.planning.parameters.scene import Subject
from initlab.planning.policy import Policy, RoleLaw, Training, has
from initlab.planning.recipes.common.given import Normal
from initlab.schemes import Scheme, get_scheme


def _scale(subject: Subject, options: Options) -> Scheme:
    return get_scheme("constant", value=options["layer_scale"])


RECIPE = Policy(
    name="metaformer",
    about="kernels and matrices N(0, 0.02²), biases zero; a scale of every branch, where there is one, 1e-5",
    source=(
        "Yu et al., MetaFormer is actually what you need for vision (2022), section 4.1; MetaFormer baselines (2024): "
        "sail-sg/metaformer metaformer_baselines.py, _init_weights (64c534a)"
    ),
    year=2022,
    laws=(
        RoleLaw("branch_scale", _scale, "layer_scale (PoolFormer; the baselines have none)"),
        RoleLaw("weight", Normal("std"), "N(0, std²): trunc_normal_ cuts at ±2, which is ±100 std"),
        RoleLaw("scalar_factor", get_scheme("ones"), "1: the factor of StarReLU"),
        RoleLaw("scalar_shift", get_scheme("zeros"), "0: the shift of StarReLU"),
    ),
    numbers={"std": 0.02, "layer_scale": 1e-5},
    needs=(
        has("in_branch", words="residual branches with weights"),
        has("first", words="a weight that reads the image"),
    ),
    training=Training(
        "adamw",
        4e-3,
        (0.9, 0.999),
        1e-8,
        0.05,
        "20 epochs of warm-up, cosine",
        "batch 4,096; LAMB at 8e-3 where attention mixes",
    ),
    aliases=("poolformer", "caformer", "convformer"),
    right="Vision models of four stages whose blocks mix by pooling, convolution or attention.",
    wrong="Without norms before the branches: 0.02 then shrinks the signal in every layer.",
    leaves="The factor on the stream itself (ResScale), which is kept as made: one there.",
)
