"""`convnext`: N(0, 0.02²) with layer scales of 1e-6."""

from __future__ import annotations

from initlab.planning.choice import Options
from initlab.planning.parameters.scene import Subject
from initlab.planning.policy import Policy, RoleLaw, Training, has
from initlab.planning.recipes.common.given import Normal
from initlab.schemes import Scheme, get_scheme


def _scale(subject: Subject, options: Options) -> Scheme:
    return get_scheme("constant", value=options["layer_scale"])


RECIPE = Policy(
    name="convnext",
    about="kernels and matrices N(0, 0.02²), biases zero, the scale of every branch 1e-6",
    source="Liu et al., A ConvNet for the 2020s (2022), appendix A; facebookresearch/ConvNeXt models/convnext.py",
    code="facebookresearch/ConvNeXt models/convnext.py (048efce)",
    year=2022,
    laws=(
        RoleLaw("branch_scale", _scale, "layer_scale"),
        RoleLaw("weight", Normal("std"), "N(0, std²): trunc_normal_ cuts at ±2, which is ±100 std"),
    ),
    numbers={"std": 0.02, "layer_scale": 1e-6},
    needs=(has("branch_scale", words="a scale on every residual branch"),),
    training=Training("adamw", 4e-3, (0.9, 0.999), 1e-8, 0.05, "20 epochs of warm-up, cosine", "batch 4,096"),
    right="Convolutional networks with layer scale on ImageNet.",
    wrong="Without the layer scale: depthwise kernels of 0.02 shrink the signal seven times a layer.",
    leaves="The factor on the read-out, 1 in training from scratch.",
)
