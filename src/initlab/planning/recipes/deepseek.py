"""`deepseek`: one small std for everything, experts and routers among it."""

from __future__ import annotations

from initlab.planning.policy import Policy, RoleLaw, Training, has
from initlab.planning.recipes.common.given import Normal
from initlab.schemes import get_scheme

RECIPE = Policy(
    name="deepseek",
    about="every matrix, expert, router and table N(0, 0.006²)",
    source=(
        "DeepSeek-AI, DeepSeek-V3 technical report (2024), section 4.2; Dai et al., DeepSeekMoE (2024), section 4.1.3: "
        "a std of 0.006"
    ),
    code=(
        "the words of DeepSeekMoE, section 4.1.3: all learnable parameters are randomly initialized with a "
        "standard deviation of 0.006; released configurations say 0.02, which loading never uses"
    ),
    year=2024,
    laws=(
        RoleLaw("weight", Normal("std"), "N(0, std²), experts and routers too"),
        RoleLaw("embedding", Normal("std"), "N(0, std²)"),
        RoleLaw("bias", get_scheme("zeros"), "0: what balances the experts begins at zero"),
    ),
    numbers={"std": 0.006},
    needs=(has("router"),),
    training=Training(
        "adamw",
        2.2e-4,
        (0.9, 0.95),
        None,
        0.1,
        "2,000 steps of warm-up, constant for 10T tokens, cosine to a tenth",
        "V3; clip 1.0; no auxiliary loss, biases of experts by 0.001 a step",
    ),
    aliases=("deepseek_moe",),
    right="Mixtures of many small experts, widths of 2,000 and more, with norms before the branches.",
    wrong="Narrow models: 0.006 is an eighth of 1/√fan_in at width 512.",
    leaves="Norms (one). The reports state the std alone.",
)
