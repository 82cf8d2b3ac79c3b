"""`bert`: a truncated normal."""

from __future__ import annotations

from initlab.planning.policy import Policy, RoleLaw, Training
from initlab.planning.recipes.common.given import Cut

RECIPE = Policy(
    name="bert",
    about="every matrix and table N(0, 0.02²) cut at 2 std",
    source="Devlin et al., BERT (2019); google-research/bert modeling.py, create_initializer",
    code="google-research/bert modeling.py, create_initializer; optimization.py (eedf571)",
    year=2019,
    laws=(
        RoleLaw("weight", Cut("std", 2.0), "N(0, std²) cut at ±2 std"),
        RoleLaw("embedding", Cut("std", 2.0), "N(0, std²) cut at ±2 std"),
    ),
    numbers={"std": 0.02},
    training=Training(
        "adam",
        1e-4,
        (0.9, 0.999),
        1e-6,
        0.01,
        "10,000 steps of warm-up, linear to 0",
        "batch 256",
    ),
    right="Encoders with norms after the branches.",
    wrong="Deep post-norm encoders at high rates without warm-up.",
    leaves="Nothing: biases zero, norms one. The std after the cut is 0.0176, which PyTorch copies (0.02) miss.",
)
