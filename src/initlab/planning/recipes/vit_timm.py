"""`vit_timm`: the vision transformer of timm."""

from __future__ import annotations

from initlab.planning.policy import Policy, RoleLaw, Training, has
from initlab.planning.recipes.common.given import Normal
from initlab.schemes import get_scheme

RECIPE = Policy(
    name="vit_timm",
    about="N(0, 0.02²), positions alike, the token N(0, 1e-6²), the patch projection and its bias as torch draws them",
    source="huggingface/pytorch-image-models timm/models/vision_transformer.py, init_weights_vit_timm",
    code="huggingface/pytorch-image-models timm/models/vision_transformer.py (aa4b585)",
    year=2021,
    laws=(
        RoleLaw("first", get_scheme("torch_default")),
        RoleLaw("conv_bias", get_scheme("torch_default"), "U(±1/√fan_in): the patch projection's, as torch draws it"),
        RoleLaw("weight", Normal("std"), "N(0, std²): trunc_normal_ cuts at ±2, which is ±100 std"),
        RoleLaw("position", Normal("std"), "N(0, std²)"),
        RoleLaw("token", get_scheme("normal", std=1e-6)),
    ),
    numbers={"std": 0.02},
    needs=(has("first", words="a weight that reads the image"),),
    training=Training("adamw", 1e-3, (0.9, 0.999), 1e-8, 0.05, "5 epochs of warm-up, cosine", "batch 1,024"),
    right="Vision transformers on ImageNet with strong augmentation.",
    wrong="Very wide or very narrow ones: one std for all widths.",
    leaves="The other biases zero, norms one.",
)
