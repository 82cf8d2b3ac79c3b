"""`spectral`: every weight with the spectral norm √(fan_out / fan_in), the form of mup that needs no base."""

from __future__ import annotations

from initlab.planning.policy import Policy, RoleLaw, Training
from initlab.planning.recipes.common.given import ByFeed

RECIPE = Policy(
    name="spectral",
    about="every weight's spectral norm Θ(√(fan_out / fan_in)), times the gain of what feeds it",
    source="Yang, Simon & Bernstein, A spectral condition for feature learning (2023), parametrization 1",
    code=(
        "karpathy/nanochat nanochat/gpt.py, _init_weights (3a5e0bc), which cites the paper: std 1/√fan_in · "
        "min(1, √(fan_out/fan_in))"
    ),
    year=2023,
    laws=(RoleLaw("weight", ByFeed("spectral"), "std = gain · min(1, √(fan_out / fan_in)) / √fan_in"),),
    training=Training(
        "sgd",
        more="rate ∝ fan_out / fan_in (SGD), 1 / fan_in (Adam): param_groups(rule='spectral')",
    ),
    right="Wide models of any shape, read-outs and bottlenecks among them: each is treated by its own two fans.",
    wrong="First layers with more inputs than units: they start small until the width passes the data's.",
    leaves="The rate by layer (`param_groups`).",
)
