"""`gpt3`: GPT-2's start, as GPT-3 took it over."""

from __future__ import annotations

from initlab.planning.policy import Policy, RoleLaw, Training
from initlab.planning.recipes.common.given import Normal, OverBranches

RECIPE = Policy(
    name="gpt3",
    about="N(0, 0.02²), ends of residual branches over √branches",
    source="Brown et al., Language models are few-shot learners (2020), section 2.1: the initialization of GPT-2",
    code=(
        "karpathy/minGPT README.md (06b7c32), which quotes the paper: GPT-2's initialization, betas, eps, decay, "
        "clipping and warm-up"
    ),
    year=2020,
    laws=(
        RoleLaw("branch_end", OverBranches("std"), "N(0, (std/√branches)²)"),
        RoleLaw("weight", Normal("std"), "N(0, std²)"),
        RoleLaw("embedding", Normal("std"), "N(0, std²)"),
    ),
    numbers={"std": 0.02},
    training=Training(
        "adam", 6e-4, (0.9, 0.95), 1e-8, 0.1, "375M tokens of warm-up, cosine to a tenth", "the 125M model; clip 1.0"
    ),
    right="Transformers with norms before the branches, 125M to 175B parameters.",
    wrong="Narrow models, where 0.02 is far below 1/√fan_in.",
    leaves="Biases (zero) and norms (one).",
)
