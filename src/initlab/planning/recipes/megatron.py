"""`megatron`: N(0, σ²) with scaled ends of branches."""

from __future__ import annotations

from initlab.planning.policy import Policy, RoleLaw, Training
from initlab.planning.recipes.common.given import Normal, OverBranches

RECIPE = Policy(
    name="megatron",
    about="N(0, 0.02²), ends of residual branches over √(2 layers)",
    source="Shoeybi et al., Megatron-LM (2019), section 4.2",
    code="NVIDIA/Megatron-LM megatron/core/transformer/transformer_config.py (d98e8a6)",
    year=2019,
    laws=(
        RoleLaw("branch_end", OverBranches("std"), "N(0, (std/√branches)²)"),
        RoleLaw("weight", Normal("std"), "N(0, std²)"),
        RoleLaw("embedding", Normal("std"), "N(0, std²)"),
    ),
    numbers={"std": 0.02},
    training=Training(
        "adam", 1.5e-4, (0.9, 0.999), 1e-8, 0.01, "3,000 steps of warm-up, cosine to 1e-5", "batch 512; clip 1.0"
    ),
    right="GPT- and BERT-like models in many shards: each shard is the slice of the whole.",
    wrong="Narrow models, as for gpt2.",
    leaves="Biases (zero) and norms (one).",
)
