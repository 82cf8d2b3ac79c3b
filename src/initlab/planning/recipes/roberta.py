"""`roberta`: BERT's std without the cut."""

from __future__ import annotations

from initlab.planning.policy import Policy, RoleLaw, Training
from initlab.planning.recipes.common.given import Normal

RECIPE = Policy(
    name="roberta",
    about="every matrix and table N(0, 0.02²), biases zero",
    source="Liu et al., RoBERTa (2019); fairseq modules/transformer_sentence_encoder.py, init_bert_params",
    year=2019,
    laws=(
        RoleLaw("weight", Normal("std"), "N(0, std²)"),
        RoleLaw("embedding", Normal("std"), "N(0, std²)"),
    ),
    numbers={"std": 0.02},
    training=Training(
        "adam",
        6e-4,
        (0.9, 0.98),
        1e-6,
        0.01,
        "24,000 steps of warm-up, linear to 0",
        "batch 8,192",
    ),
    right="Encoders with norms after the branches, and what PyTorch calls BERT.",
    wrong="Deep post-norm encoders at high rates without warm-up.",
    leaves="Nothing: biases zero, norms one.",
)
