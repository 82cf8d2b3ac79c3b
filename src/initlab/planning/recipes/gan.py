"""`gan`: DCGAN's start, N(0, 0.02²) and norms about one."""

from __future__ import annotations

from initlab.planning.policy import Policy, RoleLaw, Training
from initlab.schemes import get_scheme

RECIPE = Policy(
    name="gan",
    about="weights N(0, 0.02²), norm weights N(1, 0.02²), the rest zero",
    source="Radford, Metz & Chintala, DCGAN (2016), section 4",
    code="soumith/dcgan.torch main.lua, lines 42 to 50 (6eaac63)",
    year=2016,
    laws=(
        RoleLaw("weight", get_scheme("gan_normal"), "N(0, 0.02²)"),
        RoleLaw("norm_weight", get_scheme("normal", mean=1.0, std=0.02), "N(1, 0.02²)"),
    ),
    training=Training("adam", 2e-4, (0.5, 0.999), 1e-8, 0.0, "constant", "batch 128"),
    aliases=("dcgan",),
    right="Convolutional generators and discriminators with batch norm.",
    wrong="Without batch norm: the signal shrinks in every layer whose fan_in is below 2,500.",
    leaves="Norm weights N(1, 0.02²) are the authors' code (soumith/dcgan.torch), not the paper.",
)
